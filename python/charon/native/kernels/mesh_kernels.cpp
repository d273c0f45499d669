#include "mesh_kernels.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <type_traits>

namespace charon {

namespace {

// The P points along one axis that an atom touches, with the derivatives 0 ... D of the spline at each of them.
template <class T, int P, int D>
struct Stencil {
  int64_t index[P];
  T weight[D + 1][P];

  Stencil(T place, int64_t size) {
    const T below = std::floor(place);
    int64_t first = static_cast<int64_t>(below) - (P / 2 - 1);
    first = (first % size + size) % size;
    for (int j = 0; j < P; ++j) {
      index[j] = first;
      first = first + 1 == size ? 0 : first + 1;
    }
    fill(place - below);
  }

  bool contiguous() const { return index[P - 1] == index[0] + P - 1; }

 private:
  // Recursion over the order of the B-splines M_n(t + j); a derivative is a difference of the order below
  // (Essmann et al. 1995, eqs. 4.1 and 4.2).
  void fill(T t) {
    T value[P + 1] = {T(1)};
    for (int order = 1;; ++order) {
      if (P - order <= D) differences(value, order);
      if (order == P) return;
      for (int j = order; j >= 0; --j) {
        const T left = j > 0 ? value[j - 1] : T(0), here = j < order ? value[j] : T(0);
        value[j] = ((t + T(j)) * here + (T(order + 1) - t - T(j)) * left) / T(order);
      }
    }
  }

  void differences(const T *value, int order) {
    T change[P + 1] = {};
    std::copy_n(value, order, change);
    for (int length = order + 1; length <= P; ++length)
      for (int j = length - 1; j > 0; --j) change[j] -= change[j - 1];
    for (int j = 0; j < P; ++j) weight[P - order][P - 1 - j] = change[j];
  }
};

template <class T, int P>
void load(const T *row, const int64_t *index, bool contiguous, T *values) {
  if (contiguous)
    std::copy_n(row + index[0], P, values);
  else
    for (int k = 0; k < P; ++k) values[k] = row[index[k]];
}

template <class T, int P, int D>
void gather(const MeshTask<T> &task, const T *grid, T *out, int64_t begin, int64_t end) {
  constexpr int64_t components = mesh_components(D);
  const int64_t *sizes = task.sizes;
  for (int64_t atom = begin; atom < end; ++atom) {
    const T *place = task.places + 3 * atom;
    const Stencil<T, P, D> x(place[0], sizes[0]), y(place[1], sizes[1]), z(place[2], sizes[2]);
    const bool contiguous = z.contiguous();
    for (int64_t channel = 0; channel < task.channels; ++channel) {
      T *found = out + (atom * task.channels + channel) * components;
      std::fill_n(found, components, T(0));
      for (int i = 0; i < P; ++i) {
        T plane[D + 1][D + 1] = {};  // derivatives along y and z
        for (int j = 0; j < P; ++j) {
          const T *row = grid + ((channel * sizes[0] + x.index[i]) * sizes[1] + y.index[j]) * sizes[2];
          T values[P], line[D + 1] = {};
          load<T, P>(row, z.index, contiguous, values);
          for (int c = 0; c <= D; ++c)
            for (int k = 0; k < P; ++k) line[c] += z.weight[c][k] * values[k];
          for (int b = 0; b <= D; ++b)
            for (int c = 0; b + c <= D; ++c) plane[b][c] += y.weight[b][j] * line[c];
        }
        for (int a = D, component = 0; a >= 0; --a)
          for (int b = D - a; b >= 0; --b, ++component) found[component] += x.weight[a][i] * plane[b][D - a - b];
      }
    }
  }
}

template <class T, int P, int D>
void spread(const MeshTask<T> &task, const T *sources, T *grid, int64_t begin, int64_t end) {
  constexpr int64_t components = mesh_components(D);
  const int64_t *sizes = task.sizes;
  for (int64_t atom = 0; atom < task.n_atoms; ++atom) {
    const T *place = task.places + 3 * atom;
    const Stencil<T, P, D> x(place[0], sizes[0]), y(place[1], sizes[1]), z(place[2], sizes[2]);
    const bool contiguous = z.contiguous();
    for (int64_t channel = 0; channel < task.channels; ++channel) {
      const T *source = sources + (atom * task.channels + channel) * components;
      if (std::all_of(source, source + components, [](T value) { return value == T(0); })) continue;
      for (int i = 0; i < P; ++i) {
        if (x.index[i] < begin || x.index[i] >= end) continue;
        T plane[D + 1][D + 1] = {};
        for (int a = D, component = 0; a >= 0; --a)
          for (int b = D - a; b >= 0; --b, ++component) plane[b][D - a - b] = x.weight[a][i] * source[component];
        for (int j = 0; j < P; ++j) {
          T *row = grid + ((channel * sizes[0] + x.index[i]) * sizes[1] + y.index[j]) * sizes[2];
          T line[D + 1] = {}, values[P] = {};
          for (int b = 0; b <= D; ++b)
            for (int c = 0; b + c <= D; ++c) line[c] += y.weight[b][j] * plane[b][c];
          for (int c = 0; c <= D; ++c)
            for (int k = 0; k < P; ++k) values[k] += z.weight[c][k] * line[c];
          if (contiguous)
            for (int k = 0; k < P; ++k) row[z.index[0] + k] += values[k];
          else
            for (int k = 0; k < P; ++k) row[z.index[k]] += values[k];
        }
      }
    }
  }
}

template <int N>
using Constant = std::integral_constant<int, N>;

// Calls `run` with the degree, then the order, as constants.
template <int P, class Run>
void with_degree(int64_t degree, Run run) {
  switch (degree) {
    case 0:
      return run(Constant<P>(), Constant<0>());
    case 1:
      return run(Constant<P>(), Constant<1>());
    case 2:
      return run(Constant<P>(), Constant<2>());
    case 3:
      return run(Constant<P>(), Constant<3>());
    default:
      if constexpr (P > highest_mesh_degree) return run(Constant<P>(), Constant<highest_mesh_degree>());
      throw std::invalid_argument("no spline of this order has so many derivatives");
  }
}

template <class Run>
void with_order(int64_t order, int64_t degree, Run run) {
  switch (order) {
    case 4:
      return with_degree<4>(degree, run);
    case 6:
      return with_degree<6>(degree, run);
    default:
      return with_degree<8>(degree, run);
  }
}

}  // namespace

template <class T>
void gather_from_mesh(const MeshTask<T> &task, const T *grid, T *out, int64_t begin, int64_t end) {
  with_order(task.order, task.degree, [&](auto order, auto degree) {
    gather<T, decltype(order)::value, decltype(degree)::value>(task, grid, out, begin, end);
  });
}

template <class T>
void spread_on_mesh(const MeshTask<T> &task, const T *sources, T *grid, int64_t begin, int64_t end) {
  with_order(task.order, task.degree, [&](auto order, auto degree) {
    spread<T, decltype(order)::value, decltype(degree)::value>(task, sources, grid, begin, end);
  });
}

template void gather_from_mesh<float>(const MeshTask<float> &, const float *, float *, int64_t, int64_t);
template void gather_from_mesh<double>(const MeshTask<double> &, const double *, double *, int64_t, int64_t);
template void spread_on_mesh<float>(const MeshTask<float> &, const float *, float *, int64_t, int64_t);
template void spread_on_mesh<double>(const MeshTask<double> &, const double *, double *, int64_t, int64_t);

}  // namespace charon
