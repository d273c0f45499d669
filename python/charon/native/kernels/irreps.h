// The mixed irreps of an atom at a block of channels, their soft limit, products and gradients; see model/update.py.
// Written once for plain numbers and for duals.
#pragma once
#include "dual.h"
#include "products.h"

namespace {

constexpr double vector_bound = 12.0, tensor_bound = 20.0;  // of model/update.py

template <int L>
struct Sizes {
  static constexpr int rows = (L + 1) * (L + 1);
  static constexpr int invariants = L == 1 ? 4 : 7;
  static constexpr int gates = L == 1 ? 2 : 5;
  static constexpr int inner = L == 1 ? 6 : 8;   // rows of irreps after mixing: left, right or a, b
  static constexpr int gated = L == 1 ? 6 : 21;  // rows that enter vector_out (2 x 3) and tensor_out (3 x 5)
  // numbers of an atom per channel
  static constexpr int total = 4 * (L == 1 ? 6 : 10) + 2 * inner + 2 * invariants + 6 + 2 * (1 + gates) + 2 * gated + 5;
};

template <class T, int W, int L, bool Tangent>
struct Irreps {  // l_max 1: left and right, two vectors; l_max 2: a vector a and a tensor b
  using S = Sizes<L>;
  using Number = NumberOf<T, W, Tangent>;
  using N = typename Number::type;
  static constexpr int part_start[2] = {0, 3}, part_rows[2] = {3, L == 1 ? 3 : 5};
  static constexpr double bound[2] = {vector_bound, L == 1 ? vector_bound : tensor_bound};

  N x[S::inner];
  N factor[2], square[2];

  static N dot(const N *x, const N *y, int count) {
    N sum = N::zero();
    for (int k = 0; k < count; ++k) sum += x[k] * y[k];
    return sum;
  }

  // x / sqrt(1 + |x|^2 / bound)
  void limit() {
    for (int part = 0; part < 2; ++part) {
      N *rows = x + part_start[part];
      const N norm = dot(rows, rows, part_rows[part]);
      factor[part] = inverse_root<T, W>(Number::one() + T(1 / bound[part]) * norm);
      square[part] = norm * factor[part] * factor[part];
      for (int k = 0; k < part_rows[part]; ++k) rows[k] = rows[k] * factor[part];
    }
  }

  // Those of the directions, from the third on; the first two are the scalars of state and message.
  void invariants(N *out) const {
    out[2] = T(1.0 / 3.0) * square[0];
    if constexpr (L == 1) {
      out[3] = T(1.0 / 3.0) * dot(x, x + 3, 3);
    } else {
      N ba[3], aa[5], bb[5];
      products<N, T>(x, x + 3, ba, aa, bb);
      out[3] = T(1.0 / 5.0) * square[1];
      out[4] = T(1.0 / 4.0) * dot(x, ba, 3);
      out[5] = T(1.0 / 5.0) * dot(x + 3, bb, 5);
      out[6] = T(1.0 / 8.0) * dot(ba, ba, 3);
    }
  }

  // Rows of products that the gates multiply: l_max 1: left, right; l_max 2: a, ba | b, aa, bb
  void gated_products(N *out) const {
    if constexpr (L == 1) {
      for (int k = 0; k < 6; ++k) out[k] = x[k];
    } else {
      for (int k = 0; k < 3; ++k) out[k] = x[k];
      for (int k = 0; k < 5; ++k) out[6 + k] = x[3 + k];
      products<N, T>(x, x + 3, out + 3, out + 11, out + 16);
    }
  }

  // Gradients `g` of the irreps before the limit from those of the invariants and of the gated products.
  void pull(const N *of, const N *gated_of, N *g) const {
    const N *a = x, *b = x + 3;
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
    unlimit(g);
  }

  // y = x f, f = (1 + |x|^2 / bound)^(-1/2): dx = f (dy - y (y . dy) / bound)
  void unlimit(N *g) const {
    for (int part = 0; part < 2; ++part) {
      const int from = part_start[part];
      const N along = T(1 / bound[part]) * dot(x + from, g + from, part_rows[part]);
      for (int k = from; k < from + part_rows[part]; ++k) g[k] = factor[part] * (g[k] - along * x[k]);
    }
  }
};

}  // namespace
