// Products of a vector a and a symmetric traceless tensor b, channel by channel, and their transposes.
#pragma once
#include "edge_geometry.h"
#include "vector.h"

namespace {

template <class P, class T>
struct Symmetric {  // xx yy zz xy yz xz
  P xx, yy, zz, xy, yz, xz;

  // sum_m c_m B_m of the orthonormal basis of model/tensors.py
  static Symmetric of(const P *c) {
    const T a = T(tensor_a), b = T(tensor_b);
    return {a * c[3] - b * c[4], T(-1) * (a * c[3]) - b * c[4], T(2) * b * c[4], a * c[0], a * c[1], a * c[2]};
  }
  // B_m : this
  void components(P *c) const {
    const T a = T(tensor_a), b = T(tensor_b);
    c[0] = T(2) * a * xy;
    c[1] = T(2) * a * yz;
    c[2] = T(2) * a * xz;
    c[3] = a * (xx - yy);
    c[4] = b * (T(2) * zz - xx - yy);
  }
  void times(const P *v, P *out) const {
    out[0] = xx * v[0] + xy * v[1] + xz * v[2];
    out[1] = xy * v[0] + yy * v[1] + yz * v[2];
    out[2] = xz * v[0] + yz * v[1] + zz * v[2];
  }
  // (this other + other this) / 2
  Symmetric times(const Symmetric &o) const {
    const T half = T(0.5);
    return {xx * o.xx + xy * o.xy + xz * o.xz,
            xy * o.xy + yy * o.yy + yz * o.yz,
            xz * o.xz + yz * o.yz + zz * o.zz,
            half * (xx * o.xy + xy * o.yy + xz * o.yz + o.xx * xy + o.xy * yy + o.xz * yz),
            half * (xy * o.xz + yy * o.yz + yz * o.zz + o.xy * xz + o.yy * yz + o.yz * zz),
            half * (xx * o.xz + xy * o.yz + xz * o.zz + o.xx * xz + o.xy * yz + o.xz * zz)};
  }
  static Symmetric outer(const P *v, const P *w) {  // (v w + w v) / 2
    const T half = T(0.5);
    return {v[0] * w[0],
            v[1] * w[1],
            v[2] * w[2],
            half * (v[0] * w[1] + v[1] * w[0]),
            half * (v[1] * w[2] + v[2] * w[1]),
            half * (v[0] * w[2] + v[2] * w[0])};
  }
};

template <class P, class T>
inline void products(const P *a, const P *b, P *ba, P *aa, P *bb) {
  const auto m = Symmetric<P, T>::of(b);
  m.times(a, ba);
  Symmetric<P, T>::outer(a, a).components(aa);
  m.times(m).components(bb);
}

// Adds the gradients of a and b.
template <class P, class T>
inline void products_backward(const P *a, const P *b, const P *of_ba, const P *of_aa, const P *of_bb, P *of_a,
                              P *of_b) {
  const auto m = Symmetric<P, T>::of(b);
  P moved[3], turned[3], first[5], second[5];
  m.times(of_ba, moved);
  Symmetric<P, T>::of(of_aa).times(a, turned);
  for (int k = 0; k < 3; ++k) of_a[k] += moved[k] + T(2) * turned[k];
  Symmetric<P, T>::outer(of_ba, a).components(first);
  Symmetric<P, T>::of(of_bb).times(m).components(second);
  for (int k = 0; k < 5; ++k) of_b[k] += first[k] + T(2) * second[k];
}

}  // namespace
