// Spreading of sources onto a periodic grid by B-splines, and the adjoint gathering of the grid's values.
#pragma once
#include <cstdint>

namespace charon {

constexpr int64_t highest_mesh_degree = 4;

// Derivatives of degree d: components (a, b, c), a + b + c = d, of d^a/dx^a d^b/dy^b d^c/dz^c, a falling, then b.
constexpr int64_t mesh_components(int64_t degree) { return (degree + 1) * (degree + 2) / 2; }
constexpr int64_t mesh_component(int64_t degree, int64_t a, int64_t b) {
  return (degree - a) * (degree - a + 1) / 2 + (degree - a - b);
}

template <class T>
struct MeshTask {
  int64_t n_atoms, channels, sizes[3], order, degree;
  const T *places;  // [n_atoms, 3], in units of the grid
};

// `grid` [channels, sizes], `out` [n_atoms, channels, components], of atoms [begin, end).
template <class T>
void gather_from_mesh(const MeshTask<T> &task, const T *grid, T *out, int64_t begin, int64_t end);

// Adds `sources` [n_atoms, channels, components] to the planes [begin, end) of `grid` along its first axis.
template <class T>
void spread_on_mesh(const MeshTask<T> &task, const T *sources, T *grid, int64_t begin, int64_t end);

}  // namespace charon
