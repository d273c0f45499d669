// The lists of bonds as the kernels of hops read them.
#pragma once
#include "edge_lists.h"
#include "hop_kernels.h"

namespace charon {

// `lists` must outlive it.
template <class T>
HopTask<T> hop_task(const EdgeLists &lists, int64_t components, int64_t channels) {
  return {components,
          channels,
          lists.center_start.const_data_ptr<int32_t>(),
          lists.neighbor.const_data_ptr<int32_t>(),
          lists.neighbor_start.const_data_ptr<int32_t>(),
          lists.center_of_slot.const_data_ptr<int32_t>(),
          lists.edge_of_slot.const_data_ptr<int32_t>()};
}

}  // namespace charon
