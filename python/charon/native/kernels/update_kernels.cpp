// The update of an atom's state by products of irreps, for blocks of atoms that stay in the cache. Written once for
// plain numbers and for duals: on duals, the transposed derivative is the second derivative along a direction.
#include <cstdlib>

#include "dual.h"
#include "instruction_sets.h"
#include "products.h"

namespace {

using charon::UpdateTask;
using charon::UpdateWeights;

constexpr int64_t block_atoms = 24;
constexpr double vector_bound = 12.0, tensor_bound = 20.0;  // of model/update.py

template <int L>
struct Sizes {
  static constexpr int rows = (L + 1) * (L + 1);
  static constexpr int invariants = L == 1 ? 4 : 7;
  static constexpr int gates = L == 1 ? 2 : 5;
  static constexpr int inner = L == 1 ? 6 : 8;   // rows of irreps after mixing: left, right or a, b
  static constexpr int gated = L == 1 ? 6 : 21;  // rows that enter vector_out (2 x 3) and tensor_out (3 x 5)
  static constexpr int total = 4 * (L == 1 ? 6 : 10) + 2 * inner + 2 * invariants + 6 + 2 * (1 + gates) + 2 * gated + 5;
};

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
class Update {
  using S = Sizes<L>;
  using P = Pack<T, W>;
  using N = typename NumberOf<T, W, Tangent>::type;

 public:
  explicit Update(const UpdateTask<T> &t)
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
  // ---- numbers in memory

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
  static N one() {
    if constexpr (Tangent)
      return {broadcast<T, W>(T(1)), P::zero()};
    else
      return broadcast<T, W>(T(1));
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

  // ---- forward

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

  static constexpr int part_start[2] = {0, 3}, part_rows[2] = {3, L == 1 ? 3 : 5};
  static constexpr double bound[2] = {vector_bound, L == 1 ? vector_bound : tensor_bound};

  struct Irreps {  // of an atom at a block of channels, after the soft limit: x / sqrt(1 + |x|^2 / bound)
    N x[S::inner];
    N factor[2], square[2];
  };

  static N dot(const N *x, const N *y, int count) {
    N sum = N::zero();
    for (int k = 0; k < count; ++k) sum += x[k] * y[k];
    return sum;
  }

  Irreps limited(int64_t atom, int64_t channel) const {
    Irreps found;
    for (int k = 0; k < S::inner; ++k) found.x[k] = at(mixed + mixed_row(atom, k) + channel);
    for (int part = 0; part < 2; ++part) {
      N *x = found.x + part_start[part];
      const N square = dot(x, x, part_rows[part]);
      found.factor[part] = inverse_root<T, W>(one() + T(1 / bound[part]) * square);
      found.square[part] = square * found.factor[part] * found.factor[part];
      for (int k = 0; k < part_rows[part]; ++k) x[k] = x[k] * found.factor[part];
    }
    return found;
  }

  void invariants_of(const Irreps &irreps, int64_t atom, int64_t channel, N *out) const {
    out[0] = state(atom, 0, channel);
    out[1] = message(atom, 0, channel);
    out[2] = T(1.0 / 3.0) * irreps.square[0];
    if constexpr (L == 1) {
      out[3] = T(1.0 / 3.0) * dot(irreps.x, irreps.x + 3, 3);
    } else {
      N ba[3], aa[5], bb[5];
      products<N, T>(irreps.x, irreps.x + 3, ba, aa, bb);
      out[3] = T(1.0 / 5.0) * irreps.square[1];
      out[4] = T(1.0 / 4.0) * dot(irreps.x, ba, 3);
      out[5] = T(1.0 / 5.0) * dot(irreps.x + 3, bb, 5);
      out[6] = T(1.0 / 8.0) * dot(ba, ba, 3);
    }
  }

  int64_t scale_row(int64_t atom) const { return task.types[first + atom] * S::invariants * channels; }
  int64_t gate_row(int64_t atom) const { return task.types[first + atom] * S::gates * channels; }
  P scale(int64_t atom, int k, int64_t c) const {
    return load<P>(task.weight.element_scale + scale_row(atom) + k * channels + c);
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
      gated_products(limited(atom, c), out);
      for (int k = 0; k < S::gates; ++k) opened[k] = open_gate(atom, k, c);
      for (int k = 0; k < S::gated; ++k) put(gated + gated_row(atom, k) + c, opened[gate_of(k)] * out[k]);
    });
  }

  N open_gate(int64_t atom, int k, int64_t c) const {
    return at(gates + (atom * (1 + S::gates) + 1 + k) * channels + c) +
           load<P>(task.weight.element_gate + gate_row(atom) + k * channels + c);
  }

  // Rows of products that the gates multiply: l_max 1: left, right; l_max 2: a, ba | b, aa, bb
  static void gated_products(const Irreps &irreps, N *out) {
    if constexpr (L == 1) {
      for (int k = 0; k < 6; ++k) out[k] = irreps.x[k];
    } else {
      for (int k = 0; k < 3; ++k) out[k] = irreps.x[k];
      for (int k = 0; k < 5; ++k) out[6 + k] = irreps.x[3 + k];
      products<N, T>(irreps.x, irreps.x + 3, out + 3, out + 11, out + 16);
    }
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

  // ---- transposed

  N upstream_of(int64_t atom, int k, int64_t c) const { return fixed(task.upstream + row(atom, k) + c); }
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
      gated_products(limited(atom, c), out);
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
        const N x = at(hidden + (atom * 3 + k) * channels + c), s = logistic<T, W>(x);
        put(hidden_gradient + (atom * 3 + k) * channels + c,
            s * (one() + x * (one() - s)) * at(of_active + (atom * 2 + k) * channels + c));
      }
      put(hidden_gradient + (atom * 3 + 2) * channels + c, upstream_of(atom, 0, c));
    });
  }

  void pull_irreps() {
    each([&](int64_t atom, int64_t c) {
      const Irreps irreps = limited(atom, c);
      N of[S::invariants], g[S::inner];
      for (int k = 0; k < S::invariants; ++k)
        of[k] = at(invariants_gradient + (atom * S::invariants + k) * channels + c) * scale(atom, k, c);
      give(task.state_gradient + row(atom, 0) + c, upstream_of(atom, 0, c) + of[0]);
      give(task.message_gradient + row(atom, 0) + c, of[1]);
      pull_products(irreps, of, atom, c, g);
      unlimit(irreps, g);
      for (int k = 0; k < S::inner; ++k) put(mixed_gradient + mixed_row(atom, k) + c, g[k]);
    });
  }

  // Gradients of the limited irreps from those of the invariants and of the gated products.
  void pull_products(const Irreps &irreps, const N *of, int64_t atom, int64_t c, N *g) const {
    N gated_of[S::gated];
    for (int k = 0; k < S::gated; ++k)
      gated_of[k] = open_gate(atom, gate_of(k), c) * at(gated_gradient + gated_row(atom, k) + c);
    const N *a = irreps.x, *b = irreps.x + 3;
    const N square_a = T(2.0 / 3.0) * of[2];
    if constexpr (L == 1) {
      const N cross = T(1.0 / 3.0) * of[3];
      for (int k = 0; k < 3; ++k) {
        g[k] = gated_of[k] + square_a * a[k] + cross * b[k];
        g[3 + k] = gated_of[3 + k] + cross * a[k];
      }
    } else {
      N ba[3], aa[5], bb[5], of_ba[3], of_bb[5];
      products<N, T>(a, b, ba, aa, bb);
      const N square_b = T(2.0 / 5.0) * of[3], aba = T(1.0 / 4.0) * of[4], bbb = T(1.0 / 5.0) * of[5],
              norm = T(2.0 / 8.0) * of[6];
      for (int k = 0; k < 3; ++k) {
        g[k] = gated_of[k] + square_a * a[k] + aba * ba[k];
        of_ba[k] = gated_of[3 + k] + aba * a[k] + norm * ba[k];
      }
      for (int k = 0; k < 5; ++k) {
        g[3 + k] = gated_of[6 + k] + square_b * b[k] + bbb * bb[k];
        of_bb[k] = gated_of[16 + k] + bbb * b[k];
      }
      products_backward<N, T>(a, b, of_ba, gated_of + 11, of_bb, g, g + 3);
    }
  }

  // y = x f, f = (1 + |x|^2 / bound)^(-1/2): dx = f (dy - y (y . dy) / bound)
  static void unlimit(const Irreps &irreps, N *g) {
    for (int part = 0; part < 2; ++part) {
      const int from = part_start[part];
      const N along = T(1 / bound[part]) * dot(irreps.x + from, g + from, part_rows[part]);
      for (int k = from; k < from + part_rows[part]; ++k) g[k] = irreps.factor[part] * (g[k] - along * irreps.x[k]);
    }
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

  // ---- gradients of the weights

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

  const UpdateTask<T> &task;
  const int64_t channels;
  Memory<T> memory;
  int64_t first = 0, atoms = 0;
  T *vectors_joined, *tensors_joined, *joined_gradient, *mixed, *mixed_gradient, *invariants, *invariants_gradient;
  T *hidden, *hidden_gradient, *gates, *gates_gradient, *gated, *gated_gradient, *active, *upstream;
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
