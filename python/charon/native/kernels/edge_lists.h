// The lists that charon::edge_lists makes of an edge_index; int32.
#pragma once
#include <ATen/ATen.h>

#include <vector>

namespace charon {

struct EdgeLists {
  at::Tensor center_start;    // [n_local + 1] first edge of each center; edges are sorted by center
  at::Tensor neighbor;        // [n_edges] neighbor of each edge
  at::Tensor neighbor_start;  // [n_all + 1] first slot of each neighbor: slots are the edges sorted by neighbor
  at::Tensor center_of_slot;  // [n_edges]
  at::Tensor edge_of_slot;    // [n_edges]

  static EdgeLists of(const std::vector<at::Tensor> &lists);
  int64_t n_local() const { return center_start.size(0) - 1; }
  int64_t n_all() const { return neighbor_start.size(0) - 1; }
};

}  // namespace charon
