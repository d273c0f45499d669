// Edges sorted by center and by neighbor, so that sums over the edges of an atom are gathers in both directions.
#include <torch/library.h>

#include "edge_lists.h"

namespace charon {

namespace {

using at::Tensor;

void check(const Tensor &edge_index, int64_t n_local, int64_t n_all) {
  TORCH_CHECK(edge_index.dim() == 2 && edge_index.size(0) == 2 && edge_index.scalar_type() == at::kLong,
              "charon::edge_lists: expected edge_index [2, n_edges] of int64, found ", edge_index.sizes(), " of ",
              edge_index.scalar_type());
  TORCH_CHECK(0 <= n_local && n_local <= n_all && n_all < INT32_MAX && edge_index.size(1) < INT32_MAX,
              "charon::edge_lists: expected 0 <= n_local <= n_all, fewer than 2^31 atoms and edges; found n_local = ",
              n_local, ", n_all = ", n_all, ", n_edges = ", edge_index.size(1));
}

// starts[a + 1] - starts[a] edges belong to atom a.
void accumulate(int32_t *starts, int64_t n) {
  for (int64_t a = 0; a < n; ++a) starts[a + 1] += starts[a];
}

std::vector<Tensor> edge_lists(const Tensor &edge_index, int64_t n_local, int64_t n_all) {
  check(edge_index, n_local, n_all);
  const int64_t n_edges = edge_index.size(1);
  const Tensor centers = edge_index.select(0, 0).contiguous(), neighbors = edge_index.select(0, 1).contiguous();
  const int64_t *center = centers.const_data_ptr<int64_t>(), *neighbor = neighbors.const_data_ptr<int64_t>();
  const auto integers = [](int64_t n) { return at::zeros({n}, at::kInt); };
  Tensor center_start = integers(n_local + 1), neighbor_start = integers(n_all + 1), neighbor_of = integers(n_edges),
         center_of_slot = integers(n_edges), edge_of_slot = integers(n_edges);
  auto *by_center = center_start.mutable_data_ptr<int32_t>(), *by_neighbor = neighbor_start.mutable_data_ptr<int32_t>();
  auto *partner = neighbor_of.mutable_data_ptr<int32_t>();
  for (int64_t e = 0; e < n_edges; ++e) {
    const int64_t i = center[e], j = neighbor[e];
    TORCH_CHECK(i >= 0 && i < n_local && j >= 0 && j < n_all, "charon::edge_lists: edge ", e, " joins atoms ", i,
                " and ", j, "; expected a center below ", n_local, " and a neighbor below ", n_all);
    TORCH_CHECK(e == 0 || center[e - 1] <= i, "charon::edge_lists: edges must be sorted by center; edge ", e,
                " has center ", i, " after ", center[e - 1]);
    ++by_center[i + 1];
    ++by_neighbor[j + 1];
    partner[e] = static_cast<int32_t>(j);
  }
  accumulate(by_center, n_local);
  accumulate(by_neighbor, n_all);
  std::vector<int32_t> next(by_neighbor, by_neighbor + n_all);
  auto *slot_center = center_of_slot.mutable_data_ptr<int32_t>(), *slot_edge = edge_of_slot.mutable_data_ptr<int32_t>();
  for (int64_t e = 0; e < n_edges; ++e) {
    const int32_t slot = next[neighbor[e]]++;
    slot_center[slot] = static_cast<int32_t>(center[e]);
    slot_edge[slot] = static_cast<int32_t>(e);
  }
  return {center_start, neighbor_of, neighbor_start, center_of_slot, edge_of_slot};
}

// Other devices work on edge_index itself; the lists keep their shapes.
std::vector<Tensor> edge_lists_shapes(const Tensor &edge_index, c10::SymInt n_local, c10::SymInt n_all) {
  const auto integers = [&](const c10::SymInt &n) {
    return at::empty_symint({n}, edge_index.options().dtype(at::kInt));
  };
  const c10::SymInt n_edges = edge_index.sym_size(1);
  return {integers(n_local + 1), integers(n_edges), integers(n_all + 1), integers(n_edges), integers(n_edges)};
}

}  // namespace

EdgeLists EdgeLists::of(const std::vector<Tensor> &lists) {
  TORCH_CHECK(lists.size() == 5, "expected the five lists of charon::edge_lists, found ", lists.size());
  return {lists[0], lists[1], lists[2], lists[3], lists[4]};
}

TORCH_LIBRARY_FRAGMENT(charon, library) {
  library.def("edge_lists(Tensor edge_index, SymInt nlocal, SymInt nall) -> Tensor[]");
}
TORCH_LIBRARY_IMPL(charon, CPU, library) { library.impl("edge_lists", edge_lists); }
TORCH_LIBRARY_IMPL(charon, CUDA, library) { library.impl("edge_lists", edge_lists_shapes); }
TORCH_LIBRARY_IMPL(charon, Meta, library) { library.impl("edge_lists", edge_lists_shapes); }

}  // namespace charon
