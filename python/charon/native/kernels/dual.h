// A number and its derivative along one direction, so that a transposed derivative, evaluated on such numbers, gives
// the second derivatives that training on forces needs.
#pragma once
#include "pack_math.h"

namespace {

template <class P>
struct Dual {
  P v, d;
  static Dual zero() { return {P::zero(), P::zero()}; }
  Dual &operator+=(const Dual &o) {
    v += o.v;
    d += o.d;
    return *this;
  }
  friend Dual operator+(const Dual &a, const Dual &b) { return {a.v + b.v, a.d + b.d}; }
  friend Dual operator-(const Dual &a, const Dual &b) { return {a.v - b.v, a.d - b.d}; }
  friend Dual operator*(const Dual &a, const Dual &b) { return {a.v * b.v, a.v * b.d + a.d * b.v}; }
  friend Dual operator*(const Dual &a, const P &b) { return {a.v * b, a.d * b}; }
  friend Dual operator+(const Dual &a, const P &b) { return {a.v + b, a.d}; }
  template <class T>
  friend Dual operator*(T a, const Dual &b) {
    return {a * b.v, a * b.d};
  }
};

template <class T, int W, bool Tangent>
struct NumberOf {
  using type = Pack<T, W>;
  static type one() { return broadcast<T, W>(T(1)); }
};
template <class T, int W>
struct NumberOf<T, W, true> {
  using type = Dual<Pack<T, W>>;
  static type one() { return {broadcast<T, W>(T(1)), Pack<T, W>::zero()}; }
};

template <class T, int W>
inline Pack<T, W> inverse_root(const Pack<T, W> &x) {
  alignas(64) T numbers[W];
  std::memcpy(numbers, &x.v, sizeof numbers);
  for (int k = 0; k < W; ++k) numbers[k] = T(1) / std::sqrt(numbers[k]);
  Pack<T, W> out;
  std::memcpy(&out.v, numbers, sizeof numbers);
  return out;
}
template <class T, int W>
inline Dual<Pack<T, W>> inverse_root(const Dual<Pack<T, W>> &x) {
  const Pack<T, W> f = inverse_root<T, W>(x.v);
  return {f, T(-0.5) * (f * f * f * x.d)};
}

template <class T, int W>
inline Pack<T, W> logistic(const Pack<T, W> &x) {
  const Pack<T, W> one = broadcast<T, W>(T(1));
  Pack<T, W> out;
  out.v = one.v / (one + exponential<T, W>(T(-1) * x)).v;
  return out;
}
template <class T, int W>
inline Dual<Pack<T, W>> logistic(const Dual<Pack<T, W>> &x) {
  const Pack<T, W> s = logistic<T, W>(x.v);
  return {s, s * (broadcast<T, W>(T(1)) - s) * x.d};
}

template <class P>
inline const P &derivative_part(const P &x) {
  return x;
}
template <class P>
inline const P &derivative_part(const Dual<P> &x) {
  return x.d;
}

}  // namespace
