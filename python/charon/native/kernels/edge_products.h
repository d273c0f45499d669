// What one edge adds to the sums of an atom and takes from them, at a block of channels; formulas of MessageTask.
#pragma once
#include "edge_geometry.h"
#include "vector.h"

namespace {

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

template <class T, int W, int L, bool First>
struct EdgeProducts {
  using S = Shape<L, First>;
  using V = Pack<T, W>;

  struct Pull {  // of one edge at a block of channels, summed over channels at the end
    V stretch, turn[3];
  };
  static void add_directional(V *sum, const T *y1, const T *y2, const V *weighted) {
    if constexpr (L >= 1)
      for (int k = 0; k < 3; ++k) sum[1 + k] += y1[k] * weighted[1];
    if constexpr (L == 2)
      for (int k = 0; k < 5; ++k) sum[4 + k] += y2[k] * weighted[2];
  }

  static void add_states(V *sum, const V *w, const T *sent, int64_t channels) {
    if constexpr (!First && L >= 1)
      for (int k = 0; k < 3; ++k) sum[1 + k] += w[L + 1] * load<V>(sent + (S::directional + k) * channels);
    if constexpr (!First && L == 2)
      for (int k = 0; k < 5; ++k) sum[4 + k] += w[4] * load<V>(sent + (S::directional + 3 + k) * channels);
  }

  static void add_gradient(V *sum, const V *w, const T *y1, const T *y2, const V *x) {
    sum[0] += w[0] * x[0];
    if constexpr (L >= 1) sum[1] += w[1] * dot1<L>(y1, x);
    if constexpr (L == 2) sum[2] += w[2] * dot2(y2, x);
    if constexpr (!First && L >= 1)
      for (int k = 0; k < 3; ++k) sum[S::directional + k] += w[L + 1] * x[1 + k];
    if constexpr (!First && L == 2)
      for (int k = 0; k < 5; ++k) sum[S::directional + 3 + k] += w[4] * x[4 + k];
  }

  static void add_pull(Pull &pull, const Edge<T> &edge, const V *w, const V *slope, const V *h, const V *x) {
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

  static void of_table(V *g, const T *y1, const T *y2, const T *sent, int64_t channels, const V *x) {
    g[0] = load<V>(sent) * x[0];
    if constexpr (L >= 1) g[1] = load<V>(sent + channels) * dot1<L>(y1, x);
    if constexpr (L == 2) g[2] = load<V>(sent + 2 * channels) * dot2(y2, x);
    for (int f = S::directional; f < S::filters; ++f) g[f] = V::zero();
    if constexpr (!First && L >= 1)
      for (int k = 0; k < 3; ++k) g[L + 1] += load<V>(sent + (S::directional + k) * channels) * x[1 + k];
    if constexpr (!First && L == 2)
      for (int k = 0; k < 5; ++k) g[4] += load<V>(sent + (S::directional + 3 + k) * channels) * x[4 + k];
  }
};

}  // namespace
