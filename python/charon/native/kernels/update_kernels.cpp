// The update of an atom's state by products of irreps, for blocks of atoms that stay in the cache. Written once for
// plain numbers and for duals: on duals, the transposed derivative is the second derivative along a direction.
#include "instruction_sets.h"
#include "update_value.h"

namespace {

template <class T, int W, int L, bool Tangent>
class Update : UpdateValue<T, W, L, Tangent> {
  using Base = UpdateValue<T, W, L, Tangent>;
  using Base::active, Base::at, Base::atoms, Base::channels, Base::each, Base::enter, Base::evaluate, Base::gate_of,
      Base::gate_row, Base::gated, Base::gated_gradient, Base::gated_row, Base::gates, Base::gates_gradient, Base::give,
      Base::hidden, Base::hidden_gradient, Base::invariants, Base::invariants_gradient, Base::invariants_of,
      Base::joined_gradient, Base::leave, Base::limited, Base::message, Base::mixed, Base::mixed_gradient,
      Base::mixed_row, Base::mixed_tensors, Base::open_gate, Base::put, Base::row, Base::scale, Base::scale_row,
      Base::state, Base::task, Base::tensors_joined, Base::times, Base::upstream, Base::upstream_of,
      Base::vectors_joined, Base::weigh;
  using typename Base::N;
  using typename Base::P;
  using typename Base::Parts;
  using typename Base::S;

 public:
  using Base::Base;

  void forward(int64_t begin, int64_t end) {
    for (int64_t start = begin; start < end; start += block_atoms) {
      enter(start, end);
      evaluate();
      leave();
    }
  }

  void backward(int64_t begin, int64_t end) {
    for (int64_t start = begin; start < end; start += block_atoms) {
      enter(start, end);
      evaluate();
      if constexpr (Tangent) leave();
      pull();
      if (task.weight_gradient) pull_weights(*task.weight_gradient);
    }
  }

 private:
  T *tensor_upstream() const { return joined_gradient; }

  void gather_upstream(int from, int count, T *out) const {
    each([&](int64_t atom, int64_t c) {
      for (int k = 0; k < count; ++k) put(out + (atom * count + k) * channels + c, upstream_of(atom, from + k, c));
    });
  }

  void pull() {
    const UpdateWeights<const T> &w = task.transposed;
    gather_upstream(1, 3, upstream);
    times(3 * atoms, channels, 2 * channels, upstream, w.vector_out, gated_gradient);
    if constexpr (L == 2) {
      gather_upstream(4, 5, tensor_upstream());
      times(5 * atoms, channels, 3 * channels, tensor_upstream(), w.tensor_out, gated_gradient + 6 * atoms * channels);
      if (task.weight_gradient)
        weigh(5 * atoms, 3 * channels, channels, gated + 6 * atoms * channels, tensor_upstream(),
              task.weight_gradient->tensor_out);
    }
    pull_gates();
    times(atoms, (1 + S::gates) * channels, 2 * channels, gates_gradient, w.gates, joined_gradient);
    pull_hidden(joined_gradient);
    times(atoms, 3 * channels, S::invariants * channels, hidden_gradient, w.hidden, invariants_gradient);
    pull_irreps();
    spread(1, 3, L == 1 ? 2 : 1, mixed_gradient, w.vector_in);
    if constexpr (L == 2) spread(4, 5, 1, mixed_tensors(mixed_gradient), w.tensor_in);
  }

  void pull_gates() {
    each([&](int64_t atom, int64_t c) {
      N out[S::gated], sums[S::gates];
      limited(atom, c).gated_products(out);
      for (N &zero : sums) zero = N::zero();
      for (int k = 0; k < S::gated; ++k) sums[gate_of(k)] += out[k] * at(gated_gradient + gated_row(atom, k) + c);
      T *place = gates_gradient + atom * (1 + S::gates) * channels + c;
      put(place, upstream_of(atom, 0, c));
      for (int k = 0; k < S::gates; ++k) put(place + (1 + k) * channels, sums[k]);
    });
  }

  void pull_hidden(const T *of_active) {  // through silu; the linear part takes the gradient of the scalars as it is
    each([&](int64_t atom, int64_t c) {
      for (int k = 0; k < 2; ++k) {
        const N one = NumberOf<T, W, Tangent>::one();
        const N x = at(hidden + (atom * 3 + k) * channels + c), s = logistic<T, W>(x);
        put(hidden_gradient + (atom * 3 + k) * channels + c,
            s * (one + x * (one - s)) * at(of_active + (atom * 2 + k) * channels + c));
      }
      put(hidden_gradient + (atom * 3 + 2) * channels + c, upstream_of(atom, 0, c));
    });
  }

  void pull_irreps() {
    each([&](int64_t atom, int64_t c) {
      const Parts irreps = limited(atom, c);
      N of[S::invariants], gated_of[S::gated], g[S::inner];
      for (int k = 0; k < S::invariants; ++k)
        of[k] = at(invariants_gradient + (atom * S::invariants + k) * channels + c) * scale(atom, k, c);
      give(task.state_gradient + row(atom, 0) + c, upstream_of(atom, 0, c) + of[0]);
      give(task.message_gradient + row(atom, 0) + c, of[1]);
      for (int k = 0; k < S::gated; ++k)
        gated_of[k] = open_gate(atom, gate_of(k), c) * at(gated_gradient + gated_row(atom, k) + c);
      irreps.pull(of, gated_of, g);
      for (int k = 0; k < S::inner; ++k) put(mixed_gradient + mixed_row(atom, k) + c, g[k]);
    });
  }

  // Gradients of message and state from those of the mixed rows; the state also passes through unchanged.
  void spread(int from, int count, int parts, const T *gradient, const T *w) {
    times(count * atoms, parts * channels, 2 * channels, gradient, w, joined_gradient);
    each([&](int64_t atom, int64_t c) {
      for (int k = 0; k < count; ++k) {
        const T *in = joined_gradient + (atom * count + k) * 2 * channels + c;
        give(task.message_gradient + row(atom, from + k) + c, at(in));
        give(task.state_gradient + row(atom, from + k) + c, upstream_of(atom, from + k, c) + at(in + channels));
      }
    });
  }

  void pull_weights(const UpdateWeights<T> &out) const {
    weigh(3 * atoms, 2 * channels, (L == 1 ? 2 : 1) * channels, vectors_joined, mixed_gradient, out.vector_in);
    if constexpr (L == 2)
      weigh(5 * atoms, 2 * channels, channels, tensors_joined, mixed_tensors(mixed_gradient), out.tensor_in);
    weigh(atoms, S::invariants * channels, 3 * channels, invariants, hidden_gradient, out.hidden);
    weigh(atoms, 2 * channels, (1 + S::gates) * channels, active, gates_gradient, out.gates);
    weigh(3 * atoms, 2 * channels, channels, gated, upstream, out.vector_out);
    each([&](int64_t atom, int64_t c) {
      for (int k = 0; k < 3; ++k)
        add(out.hidden_bias + k * channels + c, at(hidden_gradient + (atom * 3 + k) * channels + c));
      for (int k = 0; k < 1 + S::gates; ++k) {
        const N g = at(gates_gradient + (atom * (1 + S::gates) + k) * channels + c);
        add(out.gates_bias + k * channels + c, g);
        if (k > 0) add(out.element_gate + gate_row(atom) + (k - 1) * channels + c, g);
      }
      N found[S::invariants];
      invariants_of(limited(atom, c), atom, c, found);
      for (int k = 0; k < S::invariants; ++k)
        add(out.element_scale + scale_row(atom) + k * channels + c,
            found[k] * at(invariants_gradient + (atom * S::invariants + k) * channels + c));
    });
  }
  static void add(T *to, const N &x) { store(to, load<P>(to) + derivative_part(x)); }
};

// ---- the choice of a kernel by sizes known at run time

enum class Part { forward, backward, tangent };

template <Part part, class T, int W, int L>
void run(const UpdateTask<T> &task, int64_t begin, int64_t end) {
  Update<T, W, L, part == Part::tangent> update(task);
  part == Part::forward ? update.forward(begin, end) : update.backward(begin, end);
}

template <Part part, class T, int W>
void by_rank(const UpdateTask<T> &task, int64_t begin, int64_t end) {
  task.l_max == 1 ? run<part, T, W, 1>(task, begin, end) : run<part, T, W, 2>(task, begin, end);
}

template <Part part, class T>
void by_width(const UpdateTask<T> &task, int64_t begin, int64_t end) {
  constexpr int widest = CHARON_VECTOR_BYTES / static_cast<int>(sizeof(T));
  if (task.channels % widest == 0) return by_rank<part, T, widest>(task, begin, end);
  if (task.channels % 4 == 0) return by_rank<part, T, 4>(task, begin, end);
  return by_rank<part, T, 1>(task, begin, end);
}

template <class T>
constexpr charon::UpdateKernels<T> kernels{by_width<Part::forward, T>, by_width<Part::backward, T>,
                                           by_width<Part::tangent, T>};

}  // namespace

namespace charon::CHARON_ISA {

const UpdateKernels<float> update_float = kernels<float>;
const UpdateKernels<double> update_double = kernels<double>;

}  // namespace charon::CHARON_ISA
