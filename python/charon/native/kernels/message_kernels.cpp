// The message kernels of one instruction set (CHARON_ISA): forward, its tangent, and their transposes.
// Atoms in the outer loop, then blocks of channels, then edges, so that the sums of an atom stay in registers.
#include "edge_products.h"
#include "instruction_sets.h"

namespace {

using charon::MessageTask;

constexpr int tile = 64;  // edges whose geometry is kept at hand

template <class T, int W, int L, bool First, bool Tangent>
struct Kernel {
  using S = Shape<L, First>;
  using V = Pack<T, W>;
  using Products = EdgeProducts<T, W, L, First>;

  const MessageTask<T> &task;
  const int64_t channels = task.channels, row = S::filters * channels;
  Edge<T> edges[tile];
  EdgeTangent<T> tangents[Tangent ? tile : 1];

  explicit Kernel(const MessageTask<T> &t) : task(t) {}

  int prepare(int64_t slot, int64_t end) {
    const int count = static_cast<int>(end - slot < tile ? end - slot : tile);
    for (int k = 0; k < count; ++k) {
      edges[k] = edge_geometry(task, slot + k);
      if constexpr (Tangent) tangents[k] = edge_tangent(task, edges[k]);
    }
    return count;
  }

  const T *knots(const Edge<T> &edge, int64_t channel) const { return task.table + edge.knot * row + channel; }

  // ---- A, or its tangent along those of the states and the edge vectors

  void add_message(V *sum, int k, int64_t channel) const {
    const Edge<T> &edge = edges[k];
    const T *table = knots(edge, channel), *sent = task.sent + edge.partner * S::sent * channels + channel;
    V w[S::filters], weighted[3];
    for (int f = 0; f < S::filters; ++f) w[f] = spline<V>(table + f * channels, row, edge.basis);
    if constexpr (!Tangent) {
      for (int l = 0; l <= L; ++l) weighted[l] = w[l] * load<V>(sent + l * channels);
      sum[0] += weighted[0];
      Products::add_directional(sum, edge.y1, edge.y2, weighted);
      Products::add_states(sum, w, sent, channels);
    } else {
      const EdgeTangent<T> &change = tangents[k];
      const T *moved = task.sent_tangent + edge.partner * S::sent * channels + channel;
      V dw[S::filters], dweighted[3];
      for (int f = 0; f < S::filters; ++f) dw[f] = spline<V>(table + f * channels, row, change.basis);
      for (int l = 0; l <= L; ++l) {
        const V h = load<V>(sent + l * channels);
        weighted[l] = w[l] * h;
        dweighted[l] = dw[l] * h + w[l] * load<V>(moved + l * channels);
      }
      sum[0] += dweighted[0];
      Products::add_directional(sum, change.y1, change.y2, weighted);
      Products::add_directional(sum, edge.y1, edge.y2, dweighted);
      Products::add_states(sum, dw, sent, channels);
      Products::add_states(sum, w, moved, channels);
    }
  }

  void receive(int64_t begin, int64_t end) {
    for (int64_t atom = begin; atom < end; ++atom) {
      T *out = task.received + atom * S::received * channels;
      std::memset(out, 0, sizeof(T) * static_cast<size_t>(S::received * channels));
      for (int64_t slot = task.start[atom]; slot < task.start[atom + 1]; slot += tile) {
        const int count = prepare(slot, task.start[atom + 1]);
        for (int64_t channel = 0; channel < channels; channel += W) {
          V sums[S::received];
          for (int k = 0; k < S::received; ++k) sums[k] = load<V>(out + k * channels + channel);
          for (int k = 0; k < count; ++k) add_message(sums, k, channel);
          for (int k = 0; k < S::received; ++k) store(out + k * channels + channel, sums[k]);
        }
      }
    }
  }

  // ---- gradients of the states and, without Tangent, of the edge vectors; Tangent: along the edge vectors' change

  typename Products::Pull pulls[Tangent ? 1 : tile];

  void give_back(V *sum, int k, int64_t channel, const V *own, bool pulled) {
    const Edge<T> &edge = edges[k];
    const T *table = knots(edge, channel);
    const Block<S::received, V, T> x(task.upstream + edge.partner * S::received * channels + channel, channels);
    V w[S::filters], slope[S::filters];
    for (int f = 0; f < S::filters; ++f) w[f] = spline<V>(table + f * channels, row, edge.basis);
    if constexpr (Tangent) {
      V dw[S::filters], only_directional[S::filters];
      for (int f = 0; f < S::filters; ++f) dw[f] = spline<V>(table + f * channels, row, tangents[k].basis);
      Products::add_gradient(sum, dw, edge.y1, edge.y2, x.row);
      for (int f = 0; f < S::filters; ++f) only_directional[f] = f >= 1 && f <= L ? w[f] : V::zero();
      Products::add_gradient(sum, only_directional, tangents[k].y1, tangents[k].y2, x.row);
    } else {
      Products::add_gradient(sum, w, edge.y1, edge.y2, x.row);
      if (!pulled) return;
      for (int f = 0; f < S::filters; ++f) slope[f] = spline<V>(table + f * channels, row, edge.slope);
      Products::add_pull(pulls[k], edge, w, slope, own, x.row);
    }
  }

  void finish_pulls(int count) const {
    for (int k = 0; k < count; ++k) {
      const Edge<T> &edge = edges[k];
      const T stretch = sum<T, W>(pulls[k].stretch);
      T turn[3], along = 0;
      for (int axis = 0; axis < 3; ++axis) {
        turn[axis] = sum<T, W>(pulls[k].turn[axis]);
        along += turn[axis] * edge.unit[axis];
      }
      T *out = task.vector_gradient + 3 * static_cast<int64_t>(edge.id);
      for (int axis = 0; axis < 3; ++axis)
        out[axis] = stretch * edge.unit[axis] + (turn[axis] - along * edge.unit[axis]) * edge.inverse_length;
    }
  }

  void give(int64_t begin, int64_t end) {
    const bool pulled = !Tangent && task.vector_gradient != nullptr;
    for (int64_t atom = begin; atom < end; ++atom) {
      const T *own = task.sent + atom * S::sent * channels;
      T *out = task.sent_gradient ? task.sent_gradient + atom * S::sent * channels : nullptr;
      if (out) std::memset(out, 0, sizeof(T) * static_cast<size_t>(S::sent * channels));
      for (int64_t slot = task.start[atom]; slot < task.start[atom + 1]; slot += tile) {
        const int count = prepare(slot, task.start[atom + 1]);
        if (pulled) std::memset(pulls, 0, sizeof(pulls[0]) * static_cast<size_t>(count));
        for (int64_t channel = 0; channel < channels; channel += W) {
          const Block<S::sent, V, T> h(own + channel, channels);
          V sums[S::sent];
          for (V &zero : sums) zero = V::zero();
          for (int k = 0; k < count; ++k) give_back(sums, k, channel, h.row, pulled);
          if (!out) continue;
          for (int k = 0; k < S::sent; ++k) {
            T *place = out + k * channels + channel;
            store(place, load<V>(place) + sums[k]);
          }
        }
        if (pulled) finish_pulls(count);
      }
    }
  }

  // ---- gradient of the table, or its tangent

  void add_to_table(const Edge<T> &edge, int64_t channel, const T *weight, const V *g) const {
    T *out = task.table_gradient + edge.knot * row + channel;
    for (int m = 0; m < 4; ++m)
      for (int f = 0; f < S::filters; ++f) {
        T *place = out + m * row + f * channels;
        store(place, load<V>(place) + weight[m] * g[f]);
      }
  }

  void collect(int64_t begin, int64_t end) {
    for (int64_t atom = begin; atom < end; ++atom)
      for (int64_t slot = task.start[atom]; slot < task.start[atom + 1]; slot += tile) {
        const int count = prepare(slot, task.start[atom + 1]);
        for (int64_t channel = 0; channel < channels; channel += W) {
          const Block<S::received, V, T> x(task.upstream + atom * S::received * channels + channel, channels);
          for (int k = 0; k < count; ++k) collect_edge(k, channel, x.row);
        }
      }
  }

  void collect_edge(int k, int64_t channel, const V *x) const {
    const Edge<T> &edge = edges[k];
    const int64_t place = edge.partner * S::sent * channels + channel;
    V g[S::filters];
    Products::of_table(g, edge.y1, edge.y2, task.sent + place, channels, x);
    if constexpr (!Tangent) {
      add_to_table(edge, channel, edge.basis, g);
    } else {
      V turned[S::filters], moved[S::filters];
      add_to_table(edge, channel, tangents[k].basis, g);
      Products::of_table(moved, edge.y1, edge.y2, task.sent_tangent + place, channels, x);
      Products::of_table(turned, tangents[k].y1, tangents[k].y2, task.sent + place, channels, x);
      for (int l = 1; l <= L; ++l) moved[l] += turned[l];
      add_to_table(edge, channel, edge.basis, moved);
    }
  }
};

// ---- the choice of a kernel by sizes known at run time

enum class Part { receive, give, collect };

template <Part part, class T, int W, int L, bool First, bool Tangent>
void run(const MessageTask<T> &task, int64_t begin, int64_t end) {
  Kernel<T, W, L, First, Tangent> kernel(task);
  if constexpr (part == Part::receive) kernel.receive(begin, end);
  if constexpr (part == Part::give) kernel.give(begin, end);
  if constexpr (part == Part::collect) kernel.collect(begin, end);
}

template <Part part, class T, int W, bool Tangent>
void by_shape(const MessageTask<T> &task, int64_t begin, int64_t end) {
  if (task.l_max == 0) return run<part, T, W, 0, true, Tangent>(task, begin, end);
  if (task.l_max == 1)
    return task.first ? run<part, T, W, 1, true, Tangent>(task, begin, end)
                      : run<part, T, W, 1, false, Tangent>(task, begin, end);
  return task.first ? run<part, T, W, 2, true, Tangent>(task, begin, end)
                    : run<part, T, W, 2, false, Tangent>(task, begin, end);
}

template <Part part, class T, bool Tangent>
void by_width(const MessageTask<T> &task, int64_t begin, int64_t end) {
  constexpr int widest = CHARON_VECTOR_BYTES / static_cast<int>(sizeof(T));
  if (task.channels % widest == 0) return by_shape<part, T, widest, Tangent>(task, begin, end);
  if (task.channels % 4 == 0) return by_shape<part, T, 4, Tangent>(task, begin, end);
  return by_shape<part, T, 1, Tangent>(task, begin, end);
}

template <class T>
constexpr charon::MessageKernels<T> kernels{by_width<Part::receive, T, false>, by_width<Part::receive, T, true>,
                                            by_width<Part::give, T, false>,    by_width<Part::give, T, true>,
                                            by_width<Part::collect, T, false>, by_width<Part::collect, T, true>};

}  // namespace

namespace charon::CHARON_ISA {

const MessageKernels<float> message_float = kernels<float>;
const MessageKernels<double> message_double = kernels<double>;

}  // namespace charon::CHARON_ISA
