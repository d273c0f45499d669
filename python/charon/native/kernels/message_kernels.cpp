// The message kernels of one instruction set (CHARON_ISA): forward, its tangent, and their transposes.
// Atoms in the outer loop, then blocks of channels, then edges, so that the sums of an atom stay in registers.
#include "edge_geometry.h"
#include "instruction_sets.h"
#include "vector.h"

namespace {

using charon::MessageTask;

constexpr int tile = 64;  // edges whose geometry is kept at hand

template <int L, bool First>
struct Shape {
  static constexpr int directional = L + 1;
  static constexpr int filters = First || L == 0 ? L + 1 : 2 * L + 1;
  static constexpr int received = (L + 1) * (L + 1);
  static constexpr int sent = directional + (First ? 0 : received - 1);
};

template <class V, class T>
inline V spline(const T *table, int64_t row, const T *weight) {
  return weight[0] * load<V>(table) + weight[1] * load<V>(table + row) + weight[2] * load<V>(table + 2 * row) +
         weight[3] * load<V>(table + 3 * row);
}

template <int L, class T, class V>
inline V dot1(const T *y1, const V *x) {
  return y1[0] * x[1] + y1[1] * x[2] + y1[2] * x[3];
}

template <class T, class V>
inline V dot2(const T *y2, const V *x) {
  return y2[0] * x[4] + y2[1] * x[5] + y2[2] * x[6] + y2[3] * x[7] + y2[4] * x[8];
}

// Rows of an atom at a block of channels.
template <int Rows, class V, class T>
struct Block {
  V row[Rows];
  Block(const T *from, int64_t stride) {
    for (int k = 0; k < Rows; ++k) row[k] = load<V>(from + k * stride);
  }
};

template <class T, int W, int L, bool First, bool Tangent>
struct Kernel {
  using S = Shape<L, First>;
  using V = Pack<T, W>;

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

  void add_directional(V *sum, const T *y1, const T *y2, const V *weighted) const {
    if constexpr (L >= 1)
      for (int k = 0; k < 3; ++k) sum[1 + k] += y1[k] * weighted[1];
    if constexpr (L == 2)
      for (int k = 0; k < 5; ++k) sum[4 + k] += y2[k] * weighted[2];
  }

  void add_states(V *sum, const V *w, const T *sent) const {
    if constexpr (!First && L >= 1)
      for (int k = 0; k < 3; ++k) sum[1 + k] += w[L + 1] * load<V>(sent + (S::directional + k) * channels);
    if constexpr (!First && L == 2)
      for (int k = 0; k < 5; ++k) sum[4 + k] += w[4] * load<V>(sent + (S::directional + 3 + k) * channels);
  }

  void add_message(V *sum, int k, int64_t channel) const {
    const Edge<T> &edge = edges[k];
    const T *table = knots(edge, channel), *sent = task.sent + edge.partner * S::sent * channels + channel;
    V w[S::filters], weighted[3];
    for (int f = 0; f < S::filters; ++f) w[f] = spline<V>(table + f * channels, row, edge.basis);
    if constexpr (!Tangent) {
      for (int l = 0; l <= L; ++l) weighted[l] = w[l] * load<V>(sent + l * channels);
      sum[0] += weighted[0];
      add_directional(sum, edge.y1, edge.y2, weighted);
      add_states(sum, w, sent);
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
      add_directional(sum, change.y1, change.y2, weighted);
      add_directional(sum, edge.y1, edge.y2, dweighted);
      add_states(sum, dw, sent);
      add_states(sum, w, moved);
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

  struct Pull {  // of one edge at a block of channels, summed over channels at the end
    V stretch, turn[3];
  };
  Pull pulls[Tangent ? 1 : tile];

  void add_gradient(V *sum, const V *w, const T *y1, const T *y2, const V *x) const {
    sum[0] += w[0] * x[0];
    if constexpr (L >= 1) sum[1] += w[1] * dot1<L>(y1, x);
    if constexpr (L == 2) sum[2] += w[2] * dot2(y2, x);
    if constexpr (!First && L >= 1)
      for (int k = 0; k < 3; ++k) sum[S::directional + k] += w[L + 1] * x[1 + k];
    if constexpr (!First && L == 2)
      for (int k = 0; k < 5; ++k) sum[S::directional + 3 + k] += w[4] * x[4 + k];
  }

  void add_pull(Pull &pull, const Edge<T> &edge, const V *w, const V *slope, const V *h, const V *x) const {
    pull.stretch += slope[0] * h[0] * x[0];
    if constexpr (L >= 1) {
      const V weighted = T(root_3) * w[1] * h[1];
      pull.stretch += slope[1] * h[1] * dot1<L>(edge.y1, x);
      for (int k = 0; k < 3; ++k) pull.turn[k] += weighted * x[1 + k];
    }
    if constexpr (L == 2) {
      const T *u = edge.unit;
      const T a = T(2 * root_15_2 * tensor_a), b = T(2 * root_15_2 * tensor_b);
      const V weighted = w[2] * h[2];
      pull.stretch += slope[2] * h[2] * dot2(edge.y2, x);
      const T au[3] = {a * u[0], a * u[1], a * u[2]}, bu[3] = {b * u[0], b * u[1], T(2) * b * u[2]};
      pull.turn[0] += weighted * (au[1] * x[4] + au[2] * x[6] + au[0] * x[7] - bu[0] * x[8]);
      pull.turn[1] += weighted * (au[0] * x[4] + au[2] * x[5] - au[1] * x[7] - bu[1] * x[8]);
      pull.turn[2] += weighted * (au[1] * x[5] + au[0] * x[6] + bu[2] * x[8]);
    }
    if constexpr (!First && L >= 1)
      pull.stretch +=
          slope[L + 1] * (h[S::directional] * x[1] + h[S::directional + 1] * x[2] + h[S::directional + 2] * x[3]);
    if constexpr (!First && L == 2) {
      V product = V::zero();
      for (int k = 0; k < 5; ++k) product += h[S::directional + 3 + k] * x[4 + k];
      pull.stretch += slope[4] * product;
    }
  }

  void give_back(V *sum, int k, int64_t channel, const V *own, bool pulled) {
    const Edge<T> &edge = edges[k];
    const T *table = knots(edge, channel);
    const Block<S::received, V, T> x(task.upstream + edge.partner * S::received * channels + channel, channels);
    V w[S::filters], slope[S::filters];
    for (int f = 0; f < S::filters; ++f) w[f] = spline<V>(table + f * channels, row, edge.basis);
    if constexpr (Tangent) {
      V dw[S::filters], only_directional[S::filters];
      for (int f = 0; f < S::filters; ++f) dw[f] = spline<V>(table + f * channels, row, tangents[k].basis);
      add_gradient(sum, dw, edge.y1, edge.y2, x.row);
      for (int f = 0; f < S::filters; ++f) only_directional[f] = f >= 1 && f <= L ? w[f] : V::zero();
      add_gradient(sum, only_directional, tangents[k].y1, tangents[k].y2, x.row);
    } else {
      add_gradient(sum, w, edge.y1, edge.y2, x.row);
      if (!pulled) return;
      for (int f = 0; f < S::filters; ++f) slope[f] = spline<V>(table + f * channels, row, edge.slope);
      add_pull(pulls[k], edge, w, slope, own, x.row);
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
        if (pulled) std::memset(pulls, 0, sizeof(Pull) * static_cast<size_t>(count));
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

  void products(V *g, const T *y1, const T *y2, const T *sent, const V *x) const {
    g[0] = load<V>(sent) * x[0];
    if constexpr (L >= 1) g[1] = load<V>(sent + channels) * dot1<L>(y1, x);
    if constexpr (L == 2) g[2] = load<V>(sent + 2 * channels) * dot2(y2, x);
    for (int f = S::directional; f < S::filters; ++f) g[f] = V::zero();
    if constexpr (!First && L >= 1)
      for (int k = 0; k < 3; ++k) g[L + 1] += load<V>(sent + (S::directional + k) * channels) * x[1 + k];
    if constexpr (!First && L == 2)
      for (int k = 0; k < 5; ++k) g[4] += load<V>(sent + (S::directional + 3 + k) * channels) * x[4 + k];
  }

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
    products(g, edge.y1, edge.y2, task.sent + place, x);
    if constexpr (!Tangent) {
      add_to_table(edge, channel, edge.basis, g);
    } else {
      V turned[S::filters], moved[S::filters];
      add_to_table(edge, channel, tangents[k].basis, g);
      products(moved, edge.y1, edge.y2, task.sent_tangent + place, x);
      products(turned, tangents[k].y1, tangents[k].y2, task.sent + place, x);
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
