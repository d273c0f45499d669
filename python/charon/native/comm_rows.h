// The exchanges as functions of tensors, below autograd.
#pragma once
#include <ATen/ATen.h>

namespace charon {

// As the operators halo_forward and halo_reverse, but what needs no exchange is returned as it is.
at::Tensor exchanged_forward(const at::Tensor &x, int64_t n_all);
at::Tensor exchanged_reverse(const at::Tensor &g, int64_t n_local);

bool must_exchange(int64_t n_local, int64_t n_all);

}  // namespace charon
