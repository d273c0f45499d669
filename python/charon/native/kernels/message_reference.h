#pragma once
#include <ATen/ATen.h>

namespace charon {

// See MessageTask for the formula. `sent` [n_all, sent rows, channels], `table` [segments + 3, filters, channels],
// `edge_vector` [n_edges, 3] and `spacing` of the knots in A -> [n_local, (l_max + 1)^2, channels].
at::Tensor message_reference(const at::Tensor &sent, const at::Tensor &table, const at::Tensor &edge_vector,
                             const at::Tensor &edge_index, c10::SymInt n_local, int64_t l_max, bool first,
                             double spacing);

}  // namespace charon
