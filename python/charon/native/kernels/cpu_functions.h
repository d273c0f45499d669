// The kernels as functions of CPU tensors, below autograd; arguments as of the operators of the same names.
#pragma once
#include <ATen/ATen.h>

#include <tuple>
#include <vector>

#include "message_shape.h"

namespace charon {

at::Tensor message_cpu(const at::Tensor &sent, const at::Tensor &table, const at::Tensor &edge_vector,
                       const std::vector<at::Tensor> &lists, int64_t n_local, const MessageShape &shape);

// Gradients of sent, table and edge_vector; an empty tensor for those not wanted.
std::tuple<at::Tensor, at::Tensor, at::Tensor> message_backward_cpu(
    const at::Tensor &upstream, const at::Tensor &sent, const at::Tensor &table, const at::Tensor &edge_vector,
    const std::vector<at::Tensor> &lists, const MessageShape &shape, bool of_sent, bool of_table, bool of_vector);

// Gradients of <sent_tangent, gradient of sent> + <vector_tangent, gradient of edge_vector> with respect to upstream,
// sent and table.
std::tuple<at::Tensor, at::Tensor, at::Tensor> message_tangent_cpu(
    const at::Tensor &sent_tangent, const at::Tensor &vector_tangent, const at::Tensor &upstream,
    const at::Tensor &sent, const at::Tensor &table, const at::Tensor &edge_vector,
    const std::vector<at::Tensor> &lists, const MessageShape &shape, bool of_sent, bool of_table);

at::Tensor update_cpu(const at::Tensor &state, const at::Tensor &message, const at::Tensor &types,
                      const std::vector<at::Tensor> &weights, int64_t l_max);

// Gradients of state, message and, where wanted, of the weights; `flipped`: of flipped_matrices, made here if empty.
// `overwrite_message`: not with `of_weights`; the gradient takes the memory of a contiguous message.
std::tuple<at::Tensor, at::Tensor, std::vector<at::Tensor>> update_backward_cpu(
    const at::Tensor &upstream, const at::Tensor &state, const at::Tensor &message, const at::Tensor &types,
    const std::vector<at::Tensor> &weights, const std::vector<at::Tensor> &flipped, int64_t l_max, bool of_weights,
    bool overwrite_message);

// Gradients of <state_tangent, gradient of state> + <message_tangent, gradient of message> with respect to upstream,
// state, message and, where wanted, the weights.
std::tuple<at::Tensor, at::Tensor, at::Tensor, std::vector<at::Tensor>> update_tangent_cpu(
    const at::Tensor &state_tangent, const at::Tensor &message_tangent, const at::Tensor &upstream,
    const at::Tensor &state, const at::Tensor &message, const at::Tensor &types, const std::vector<at::Tensor> &weights,
    int64_t l_max, bool of_weights);

// The transposed matrices among the weights of an update, which its derivatives read.
std::vector<at::Tensor> flipped_matrices(const std::vector<at::Tensor> &weights);

}  // namespace charon
