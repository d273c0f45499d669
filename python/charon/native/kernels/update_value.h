// The new states of a block of atoms.
#pragma once
#include "update_block.h"

namespace {

template <class T, int W, int L, bool Tangent>
class UpdateValue : protected AtomBlock<T, W, L, Tangent> {
 protected:
  using Base = AtomBlock<T, W, L, Tangent>;
  using Base::active, Base::at, Base::atoms, Base::channels, Base::each, Base::first, Base::gate_row, Base::gated,
      Base::gates, Base::give, Base::hidden, Base::invariants, Base::joined_gradient, Base::message, Base::mixed,
      Base::put, Base::row, Base::scale, Base::state, Base::task, Base::tensors_joined, Base::times,
      Base::vectors_joined;
  using Base::Base;
  using typename Base::N;
  using typename Base::P;
  using typename Base::S;
  using Parts = Irreps<T, W, L, Tangent>;

  void join(int from, int count, T *out) const {  // [atoms, count, 2 channels]
    each([&](int64_t atom, int64_t c) {
      for (int k = 0; k < count; ++k) {
        T *place = out + (atom * count + k) * 2 * channels + c;
        put(place, message(atom, from + k, c));
        put(place + channels, state(atom, from + k, c));
      }
    });
  }

  void mix() {
    join(1, 3, vectors_joined);
    times(3 * atoms, 2 * channels, (L == 1 ? 2 : 1) * channels, vectors_joined, task.weight.vector_in, mixed);
    if constexpr (L == 2) {
      join(4, 5, tensors_joined);
      times(5 * atoms, 2 * channels, channels, tensors_joined, task.weight.tensor_in, mixed_tensors(mixed));
    }
  }
  T *mixed_tensors(T *of) const { return of + 3 * atoms * channels; }

  // Row k of an atom in `mixed`: l_max 1 interleaves left and right, l_max 2 has vectors first, then tensors.
  int64_t mixed_row(int64_t atom, int k) const {
    if constexpr (L == 1) return k < 3 ? (atom * 3 + k) * 2 * channels : ((atom * 3 + k - 3) * 2 + 1) * channels;
    return k < 3 ? (atom * 3 + k) * channels : (3 * atoms + atom * 5 + k - 3) * channels;
  }

  Parts limited(int64_t atom, int64_t channel) const {
    Parts found;
    for (int k = 0; k < S::inner; ++k) found.x[k] = at(mixed + mixed_row(atom, k) + channel);
    found.limit();
    return found;
  }

  void invariants_of(const Parts &irreps, int64_t atom, int64_t channel, N *out) const {
    out[0] = state(atom, 0, channel);
    out[1] = message(atom, 0, channel);
    irreps.invariants(out);
  }

  void evaluate() {
    mix();
    each([&](int64_t atom, int64_t c) {
      N found[S::invariants];
      invariants_of(limited(atom, c), atom, c, found);
      for (int k = 0; k < S::invariants; ++k)
        put(invariants + (atom * S::invariants + k) * channels + c, found[k] * scale(atom, k, c));
    });
    times(atoms, S::invariants * channels, 3 * channels, invariants, task.weight.hidden, hidden,
          task.weight.hidden_bias);
    each([&](int64_t atom, int64_t c) {
      for (int k = 0; k < 2; ++k) {
        const N x = at(hidden + (atom * 3 + k) * channels + c);
        put(active + (atom * 2 + k) * channels + c, x * logistic<T, W>(x));
      }
    });
    times(atoms, 2 * channels, (1 + S::gates) * channels, active, task.weight.gates, gates, task.weight.gates_bias);
    each([&](int64_t atom, int64_t c) {
      N out[S::gated], opened[S::gates];
      limited(atom, c).gated_products(out);
      for (int k = 0; k < S::gates; ++k) opened[k] = open_gate(atom, k, c);
      for (int k = 0; k < S::gated; ++k) put(gated + gated_row(atom, k) + c, opened[gate_of(k)] * out[k]);
    });
  }

  N open_gate(int64_t atom, int k, int64_t c) const {
    return at(gates + (atom * (1 + S::gates) + 1 + k) * channels + c) +
           load<P>(task.weight.element_gate + gate_row(atom) + k * channels + c);
  }

  // Place of a gated row: [atoms, 3, 2 channels] for vectors, then [atoms, 5, 3 channels] for tensors.
  int64_t gated_row(int64_t atom, int k) const {
    if (k < 6) return ((atom * 3 + k % 3) * 2 + k / 3) * channels;
    return 6 * atoms * channels + ((atom * 5 + (k - 6) % 5) * 3 + (k - 6) / 5) * channels;
  }
  static constexpr int gate_of(int k) { return k < 6 ? k / 3 : 2 + (k - 6) / 5; }

  void leave() {
    each([&](int64_t atom, int64_t c) {
      const N change = at(gates + atom * (1 + S::gates) * channels + c) + at(hidden + (atom * 3 + 2) * channels + c);
      give(task.updated + row(atom, 0) + c, state(atom, 0, c) + change);
    });
    leave_rows(1, 3, 2, gated, task.weight.vector_out);
    if constexpr (L == 2) leave_rows(4, 5, 3, gated + 6 * atoms * channels, task.weight.tensor_out);
  }

  void leave_rows(int from, int count, int parts, const T *x, const T *w) {
    times(count * atoms, parts * channels, channels, x, w, joined_gradient);
    each([&](int64_t atom, int64_t c) {
      for (int k = 0; k < count; ++k)
        give(task.updated + row(atom, from + k) + c,
             state(atom, from + k, c) + at(joined_gradient + (atom * count + k) * channels + c));
    });
  }
};

}  // namespace
