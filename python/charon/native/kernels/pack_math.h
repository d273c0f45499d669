// Matrix products of small blocks and elementary functions, on packs.
#pragma once
#include <cmath>
#include <cstdint>

#include "vector.h"

namespace {

template <class T, int W>
inline Pack<T, W> broadcast(T value) {
  return Pack<T, W>(value - typename Pack<T, W>::Register{});
}

template <class T, int W>
inline Pack<T, W> exponential(const Pack<T, W> &x) {
  constexpr double ln2 = 0.69314718055994530942;
  constexpr int terms = sizeof(T) == 8 ? 13 : 7;
  constexpr T most = sizeof(T) == 8 ? T(700) : T(87);
  Pack<T, W> y;
  alignas(64) T in[W], out[W];
  std::memcpy(in, &x.v, sizeof in);
  for (int k = 0; k < W; ++k) {  // straight code without calls: the compiler makes it one pack
    T value = in[k] > most ? most : in[k];
    value = value < -most ? -most : value;
    const T scaled = value * T(1.0 / ln2);
    const T n = static_cast<T>(static_cast<int32_t>(scaled + (scaled < T(0) ? T(-0.5) : T(0.5))));
    constexpr T high = sizeof(T) == 8 ? T(0.693147180369123816490) : T(0.693359375);
    constexpr T low = sizeof(T) == 8 ? T(1.90821492927058770002e-10) : T(-2.12194440e-4);
    const T r = (value - n * high) - n * low;
    T series = T(1);
    for (int term = terms; term > 0; --term) series = T(1) + series * r / static_cast<T>(term);
    if constexpr (sizeof(T) == 8) {
      const int64_t bits = (static_cast<int64_t>(static_cast<int32_t>(n)) + 1023) << 52;
      T power;
      std::memcpy(&power, &bits, sizeof power);
      out[k] = series * power;
    } else {
      const int32_t bits = (static_cast<int32_t>(n) + 127) << 23;
      T power;
      std::memcpy(&power, &bits, sizeof power);
      out[k] = series * power;
    }
  }
  std::memcpy(&y.v, out, sizeof out);
  return y;
}

// One block of `Rows` rows and `Columns` packs of out = start + x w.
template <class T, int W, int Rows, int Columns>
inline void multiply_block(int64_t inner, const T *x, int64_t x_stride, const T *w, int64_t w_stride, T *out,
                           int64_t out_stride, const T *bias, bool add) {
  using P = Pack<T, W>;
  P sums[Rows][Columns];
  for (int r = 0; r < Rows; ++r)
    for (int c = 0; c < Columns; ++c) {
      sums[r][c] = bias ? load<P>(bias + c * W) : P::zero();
      if (add) sums[r][c] += load<P>(out + r * out_stride + c * W);
    }
  for (int64_t k = 0; k < inner; ++k) {
    P row[Columns];
    for (int c = 0; c < Columns; ++c) row[c] = load<P>(w + k * w_stride + c * W);
    for (int r = 0; r < Rows; ++r) {
      const T value = x[r * x_stride + k];
      for (int c = 0; c < Columns; ++c) sums[r][c] += value * row[c];
    }
  }
  for (int r = 0; r < Rows; ++r)
    for (int c = 0; c < Columns; ++c) store(out + r * out_stride + c * W, sums[r][c]);
}

template <class T, int W, int Columns>
inline void multiply_columns(int64_t rows, int64_t inner, const T *x, int64_t x_stride, const T *w, int64_t w_stride,
                             T *out, int64_t out_stride, const T *bias, bool add) {
  int64_t r = 0;
  for (; r + CHARON_GEMM_ROWS <= rows; r += CHARON_GEMM_ROWS)
    multiply_block<T, W, CHARON_GEMM_ROWS, Columns>(inner, x + r * x_stride, x_stride, w, w_stride,
                                                    out + r * out_stride, out_stride, bias, add);
  for (; r < rows; ++r)
    multiply_block<T, W, 1, Columns>(inner, x + r * x_stride, x_stride, w, w_stride, out + r * out_stride, out_stride,
                                     bias, add);
}

// out [rows, columns] = (add ? out : 0) + bias + x [rows, inner] w [inner, columns]; columns a multiple of W.
template <class T, int W>
inline void multiply(int64_t rows, int64_t inner, int64_t columns, const T *x, int64_t x_stride, const T *w, T *out,
                     int64_t out_stride, const T *bias = nullptr, bool add = false) {
  int64_t c = 0;
  for (; c + 4 * W <= columns; c += 4 * W)
    multiply_columns<T, W, 4>(rows, inner, x, x_stride, w + c, columns, out + c, out_stride, bias ? bias + c : nullptr,
                              add);
  for (; c < columns; c += W)
    multiply_columns<T, W, 1>(rows, inner, x, x_stride, w + c, columns, out + c, out_stride, bias ? bias + c : nullptr,
                              add);
}

// out [inner, columns] += x^T y for x [rows, inner] and y [rows, columns]; columns a multiple of W.
template <class T, int W, int Rows, int Columns>
inline void add_outer_block(int64_t rows, const T *x, int64_t x_stride, const T *y, int64_t y_stride, T *out,
                            int64_t out_stride) {
  using P = Pack<T, W>;
  P sums[Rows][Columns];
  for (int k = 0; k < Rows; ++k)
    for (int c = 0; c < Columns; ++c) sums[k][c] = load<P>(out + k * out_stride + c * W);
  for (int64_t r = 0; r < rows; ++r) {
    P row[Columns];
    for (int c = 0; c < Columns; ++c) row[c] = load<P>(y + r * y_stride + c * W);
    for (int k = 0; k < Rows; ++k) {
      const T value = x[r * x_stride + k];
      for (int c = 0; c < Columns; ++c) sums[k][c] += value * row[c];
    }
  }
  for (int k = 0; k < Rows; ++k)
    for (int c = 0; c < Columns; ++c) store(out + k * out_stride + c * W, sums[k][c]);
}

template <class T, int W, int Columns>
inline void add_outer_columns(int64_t rows, int64_t inner, const T *x, const T *y, int64_t columns, T *out) {
  int64_t k = 0;
  for (; k + CHARON_GEMM_ROWS <= inner; k += CHARON_GEMM_ROWS)
    add_outer_block<T, W, CHARON_GEMM_ROWS, Columns>(rows, x + k, inner, y, columns, out + k * columns, columns);
  for (; k < inner; ++k) add_outer_block<T, W, 1, Columns>(rows, x + k, inner, y, columns, out + k * columns, columns);
}

template <class T, int W>
inline void add_outer(int64_t rows, int64_t inner, int64_t columns, const T *x, const T *y, T *out) {
  int64_t c = 0;
  for (; c + 4 * W <= columns; c += 4 * W) add_outer_columns<T, W, 4>(rows, inner, x, y + c, columns, out + c);
  for (; c < columns; c += W) add_outer_columns<T, W, 1>(rows, inner, x, y + c, columns, out + c);
}

}  // namespace
