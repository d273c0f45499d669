// The kernels as functions of CPU tensors, below autograd; arguments as of the operators of the same names.
#pragma once
#include <ATen/ATen.h>

#include <tuple>
#include <vector>

namespace charon {

at::Tensor message_cpu(const at::Tensor &sent, const at::Tensor &table, const at::Tensor &edge_vector,
                       const std::vector<at::Tensor> &lists, int64_t n_local, int64_t l_max, bool first,
                       double spacing);

// Gradients of sent, table and edge_vector; an empty tensor for those not wanted.
std::tuple<at::Tensor, at::Tensor, at::Tensor> message_backward_cpu(const at::Tensor &upstream, const at::Tensor &sent,
                                                                    const at::Tensor &table,
                                                                    const at::Tensor &edge_vector,
                                                                    const std::vector<at::Tensor> &lists, int64_t l_max,
                                                                    bool first, double spacing, bool of_sent,
                                                                    bool of_table, bool of_vector);

at::Tensor update_cpu(const at::Tensor &state, const at::Tensor &message, const at::Tensor &types,
                      const std::vector<at::Tensor> &weights, int64_t l_max);

// Gradients of state, message and, where wanted, of the weights; `flipped`: of flipped_matrices, or empty.
// `overwrite_message`: not with `of_weights`; the gradient takes the memory of a contiguous message.
std::tuple<at::Tensor, at::Tensor, std::vector<at::Tensor>> update_backward_cpu(
    const at::Tensor &upstream, const at::Tensor &state, const at::Tensor &message, const at::Tensor &types,
    const std::vector<at::Tensor> &weights, const std::vector<at::Tensor> &flipped, int64_t l_max, bool of_weights,
    bool overwrite_message);

// The transposed matrices among the weights of an update, which its derivatives read.
std::vector<at::Tensor> flipped_matrices(const std::vector<at::Tensor> &weights);

}  // namespace charon
