// Atoms that an update works on at a time: their numbers, which stay in the cache, and rows of the caller's arrays.
#pragma once
#include <cstdlib>

#include "irreps.h"
#include "update_task.h"

namespace {

using charon::UpdateTask;
using charon::UpdateWeights;

constexpr int64_t block_atoms = 24;

// The numbers of one block, and behind them their derivatives.
template <class T>
class Memory {
 public:
  Memory(int64_t numbers, int copies)
      : shift(numbers), data_(static_cast<T *>(std::malloc(sizeof(T) * static_cast<size_t>(numbers * copies)))) {}
  ~Memory() { std::free(data_); }
  Memory(const Memory &) = delete;
  Memory &operator=(const Memory &) = delete;
  T *take(int64_t numbers) {
    T *start = data_ + used_;
    used_ += numbers;
    return start;
  }
  const int64_t shift;

 private:
  T *data_;
  int64_t used_ = 0;
};

template <class T, int W, int L, bool Tangent>
class AtomBlock {
 protected:
  using S = Sizes<L>;

 public:
  explicit AtomBlock(const UpdateTask<T> &t)
      : task(t), channels(t.channels), memory(block_atoms * t.channels * S::total, Tangent ? 2 : 1) {
    const int64_t unit = block_atoms * channels;
    constexpr int joined = L == 1 ? 6 : 10;  // rows of [message, state]
    vectors_joined = memory.take(joined * unit);
    tensors_joined = memory.take(joined * unit);
    joined_gradient = memory.take(2 * joined * unit);
    mixed = memory.take(S::inner * unit);
    mixed_gradient = memory.take(S::inner * unit);
    invariants = memory.take(S::invariants * unit);
    invariants_gradient = memory.take(S::invariants * unit);
    hidden = memory.take(3 * unit);
    hidden_gradient = memory.take(3 * unit);
    gates = memory.take((1 + S::gates) * unit);
    gates_gradient = memory.take((1 + S::gates) * unit);
    gated = memory.take(S::gated * unit);
    gated_gradient = memory.take(S::gated * unit);
    active = memory.take(2 * unit);
    upstream = memory.take(3 * unit);  // of the vectors; those of tensors follow in joined_gradient
  }

 protected:
  using P = Pack<T, W>;
  using N = typename NumberOf<T, W, Tangent>::type;

  N at(const T *from) const {
    if constexpr (Tangent)
      return {load<P>(from), load<P>(from + memory.shift)};
    else
      return load<P>(from);
  }
  void put(T *to, const N &x) const {
    if constexpr (Tangent) {
      store(to, x.v);
      store(to + memory.shift, x.d);
    } else {
      store(to, x);
    }
  }
  // Of the caller's arrays: with the tangent of the inputs, without one (what is upstream is fixed).
  N input(const T *values, const T *tangents, int64_t place) const {
    if constexpr (Tangent)
      return {load<P>(values + place), load<P>(tangents + place)};
    else
      return load<P>(values + place);
  }
  N fixed(const T *from) const {
    if constexpr (Tangent)
      return {load<P>(from), P::zero()};
    else
      return load<P>(from);
  }
  static void give(T *to, const N &x) { store(to, derivative_part(x)); }

  // A matrix product, also of the derivatives; the bias has none.
  void times(int64_t rows, int64_t inner, int64_t columns, const T *x, const T *w, T *out, const T *bias = nullptr,
             bool add = false) const {
    multiply<T, W>(rows, inner, columns, x, inner, w, out, columns, bias, add);
    if constexpr (Tangent)
      multiply<T, W>(rows, inner, columns, x + memory.shift, inner, w, out + memory.shift, columns, nullptr, add);
  }
  void weigh(int64_t rows, int64_t inner, int64_t columns, const T *x, const T *gradient, T *out) const {
    if constexpr (Tangent) {
      add_outer<T, W>(rows, inner, columns, x, gradient + memory.shift, out);
      add_outer<T, W>(rows, inner, columns, x + memory.shift, gradient, out);
    } else {
      add_outer<T, W>(rows, inner, columns, x, gradient, out);
    }
  }
  template <class Action>
  void each(Action action) const {
    for (int64_t atom = 0; atom < atoms; ++atom)
      for (int64_t channel = 0; channel < channels; channel += W) action(atom, channel);
  }

  void enter(int64_t start, int64_t end) {
    first = start;
    atoms = end - start < block_atoms ? end - start : block_atoms;
  }
  int64_t row(int64_t atom, int k) const { return ((first + atom) * S::rows + k) * channels; }
  N state(int64_t atom, int k, int64_t c) const { return input(task.state, task.state_tangent, row(atom, k) + c); }
  N message(int64_t atom, int k, int64_t c) const {
    return input(task.message, task.message_tangent, row(atom, k) + c);
  }

  int64_t scale_row(int64_t atom) const { return task.types[first + atom] * S::invariants * channels; }
  int64_t gate_row(int64_t atom) const { return task.types[first + atom] * S::gates * channels; }
  P scale(int64_t atom, int k, int64_t c) const {
    return load<P>(task.weight.element_scale + scale_row(atom) + k * channels + c);
  }

  N upstream_of(int64_t atom, int k, int64_t c) const { return fixed(task.upstream + row(atom, k) + c); }

  const UpdateTask<T> &task;
  const int64_t channels;
  Memory<T> memory;
  int64_t first = 0, atoms = 0;
  T *vectors_joined, *tensors_joined, *joined_gradient, *mixed, *mixed_gradient, *invariants, *invariants_gradient;
  T *hidden, *hidden_gradient, *gates, *gates_gradient, *gated, *gated_gradient, *active, *upstream;
};

}  // namespace
