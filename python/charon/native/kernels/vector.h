// Packs of W numbers that the compiler maps to the registers of the instruction set it builds for.
// Everything is local to the translation unit: the same code is compiled once per instruction set.
#pragma once
#include <cstdint>
#include <cstring>

namespace {

template <class T, int W>
struct RegisterOf {
  typedef T type __attribute__((vector_size(W * sizeof(T))));
};
template <class T>
struct RegisterOf<T, 1> {
  typedef T type;
};

template <class T, int W>
struct Pack {
  using Register = typename RegisterOf<T, W>::type;
  Register v;

  Pack() = default;
  explicit Pack(const Register &value) : v(value) {}
  static Pack zero() { return Pack(Register{}); }
  Pack &operator+=(const Pack &other) {
    v += other.v;
    return *this;
  }
  friend Pack operator+(const Pack &a, const Pack &b) { return Pack(a.v + b.v); }
  friend Pack operator-(const Pack &a, const Pack &b) { return Pack(a.v - b.v); }
  friend Pack operator*(const Pack &a, const Pack &b) { return Pack(a.v * b.v); }
  friend Pack operator*(T a, const Pack &b) { return Pack(a * b.v); }
};

// Addresses need no alignment.
template <class P, class T>
inline P load(const T *from) {
  P pack;
  std::memcpy(&pack.v, from, sizeof pack.v);
  return pack;
}

template <class P, class T>
inline void store(T *to, const P &pack) {
  std::memcpy(to, &pack.v, sizeof pack.v);
}

// The sum of the W numbers.
template <class T, int W>
inline T sum(const Pack<T, W> &pack) {
  if constexpr (W == 1) {
    return pack.v;
  } else {
    Pack<T, W / 2> low, high;
    std::memcpy(&low.v, &pack.v, sizeof low.v);
    std::memcpy(&high.v, reinterpret_cast<const char *>(&pack.v) + sizeof low.v, sizeof high.v);
    return sum<T, W / 2>(low + high);
  }
}

}  // namespace
