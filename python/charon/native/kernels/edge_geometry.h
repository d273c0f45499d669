// Spline weights and directions of one edge, and their change as the edge vector moves.
#pragma once
#include <cmath>
#include <cstdint>

#include "message_task.h"

namespace {

constexpr double tensor_a = 0.70710678118654752440, tensor_b = 0.40824829046386301637;  // basis of model/tensors.py
constexpr double root_3 = 1.73205080756887729353, root_15_2 = 2.73861278752583056728;

template <class T>
struct Edge {
  int64_t knot;         // first of the four rows of the table
  int32_t partner, id;  // atom at the other end, index of the edge
  T basis[4], slope[4];
  T unit[3], inverse_length;
  T y1[3], y2[5];
};

// Derivatives of an edge's numbers along a change of its vector.
template <class T>
struct EdgeTangent {
  T basis[4];
  T y1[3], y2[5];
};

template <class T>
inline void tensor_components(const T *u, const T *v, T *out) {  // sqrt(15/2) of the basis contracted with u v
  const T a = T(root_15_2 * tensor_a), b = T(root_15_2 * tensor_b);
  out[0] = a * (u[0] * v[1] + u[1] * v[0]);
  out[1] = a * (u[1] * v[2] + u[2] * v[1]);
  out[2] = a * (u[2] * v[0] + u[0] * v[2]);
  out[3] = a * (u[0] * v[0] - u[1] * v[1]);
  out[4] = b * (T(2) * u[2] * v[2] - u[0] * v[0] - u[1] * v[1]);
}

template <class T>
inline Edge<T> edge_geometry(const charon::MessageTask<T> &task, int64_t slot) {
  Edge<T> edge;
  edge.id = task.edge ? task.edge[slot] : static_cast<int32_t>(slot);
  edge.partner = task.partner[slot];
  const T *r = task.edge_vector + 3 * static_cast<int64_t>(edge.id);
  const T length = std::sqrt(r[0] * r[0] + r[1] * r[1] + r[2] * r[2]);
  edge.inverse_length = length > T(0) ? T(1) / length : T(0);
  for (int k = 0; k < 3; ++k) {
    edge.unit[k] = r[k] * edge.inverse_length;
    edge.y1[k] = T(root_3) * edge.unit[k];
  }
  tensor_components(edge.unit, edge.unit, edge.y2);
  const T x = length * task.inverse_spacing;
  const T last = static_cast<T>(task.segments);
  const T inside = x < last ? T(1) : T(0);  // also for a length that is not a number
  const int64_t knot = x < last ? static_cast<int64_t>(x) : 0;
  edge.knot = knot;
  const T f = inside * (x - static_cast<T>(knot)), g = T(1) - f, d = inside * task.inverse_spacing;
  edge.basis[0] = inside * g * g * g / T(6);
  edge.basis[1] = inside * (f * f * (T(3) * f - T(6)) + T(4)) / T(6);
  edge.basis[2] = inside * (g * g * (T(3) * g - T(6)) + T(4)) / T(6);
  edge.basis[3] = inside * f * f * f / T(6);
  edge.slope[0] = -d * g * g / T(2);
  edge.slope[1] = d * f * (T(3) * f - T(4)) / T(2);
  edge.slope[2] = -d * g * (T(3) * g - T(4)) / T(2);
  edge.slope[3] = d * f * f / T(2);
  return edge;
}

template <class T>
inline EdgeTangent<T> edge_tangent(const charon::MessageTask<T> &task, const Edge<T> &edge) {
  EdgeTangent<T> tangent;
  const T *change = task.vector_tangent + 3 * static_cast<int64_t>(edge.id);
  const T *u = edge.unit;
  const T stretch = u[0] * change[0] + u[1] * change[1] + u[2] * change[2];
  T turn[3];  // change of the unit vector
  for (int k = 0; k < 3; ++k) {
    turn[k] = (change[k] - stretch * u[k]) * edge.inverse_length;
    tangent.y1[k] = T(root_3) * turn[k];
  }
  tensor_components(u, turn, tangent.y2);
  for (T &component : tangent.y2) component *= T(2);
  for (int k = 0; k < 4; ++k) tangent.basis[k] = stretch * edge.slope[k];
  return tangent;
}

}  // namespace
