// What a message kernel is asked to do: sizes, lists and rows, all dense and row-major.
#pragma once
#include <cstdint>

namespace charon {

// Sum over the edges of an atom of filtered neighbor states and directions; u is the unit vector of an edge from center
// to neighbor, Y1 = sqrt(3) u, Y2 = sqrt(15/2) (uu)_0 in 5 components, and w_f the filters, cubic splines of the
// length:
//   A0 = sum w0 h0,   A1 = sum w1 h1 Y1 + w_(l_max+1) v,   A2 = sum w2 h2 Y2 + w4 t.
// A row of an atom has `channels` numbers: h0 .. h_l_max, then (unless `first`) v (3 rows) and t (5 rows) are sent;
// A0, A1, A2 (1 + 3 + 5 rows) are received.
template <class T>
struct MessageTask {
  int l_max = 0;
  bool first = false;
  int64_t channels = 0;
  int64_t segments = 0;     // of the splines; the table has three more rows
  T inverse_spacing = 0;    // of the knots, 1/A
  const int32_t *start;     // [n + 1] edges of each atom: by center, or (slots) by neighbor
  const int32_t *partner;   // [n_edges] the atom at the other end
  const int32_t *edge;      // [n_edges] edge of a slot; by center it is the slot itself: nullptr
  const T *edge_vector;     // [n_edges, 3] A
  const T *table;           // [segments + 3, filters, channels]
  const T *sent;            // [n_all, sent rows, channels]
  const T *upstream;        // [n_local, received rows, channels] gradient of A
  const T *sent_tangent;    // as `sent`
  const T *vector_tangent;  // as `edge_vector`
  T *received;              // [n_local, received rows, channels], or its tangent
  T *sent_gradient;         // as `sent`, or its tangent; nullptr: not wanted
  T *vector_gradient;       // [n_edges, 3]; nullptr: not wanted
  T *table_gradient;        // as `table`: is added to
};

// Each works on the atoms [begin, end).
template <class T>
struct MessageKernels {
  void (*forward)(const MessageTask<T> &, int64_t begin, int64_t end);           // by center
  void (*forward_tangent)(const MessageTask<T> &, int64_t begin, int64_t end);   // by center
  void (*backward)(const MessageTask<T> &, int64_t begin, int64_t end);          // by neighbor
  void (*backward_tangent)(const MessageTask<T> &, int64_t begin, int64_t end);  // by neighbor
  void (*table)(const MessageTask<T> &, int64_t begin, int64_t end);             // by center
  void (*table_tangent)(const MessageTask<T> &, int64_t begin, int64_t end);     // by center
};

}  // namespace charon
