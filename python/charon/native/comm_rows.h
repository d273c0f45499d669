// The exchanges as functions of tensors, below autograd: what the operators of comm_ops.cpp compute.
#pragma once
#include <ATen/ATen.h>

namespace charon {

// Fresh and contiguous, in the caller's type and on its device.
at::Tensor halo_forward(const at::Tensor &x, int64_t n_all);
at::Tensor halo_reverse(const at::Tensor &g, int64_t n_local);
at::Tensor allsum(const at::Tensor &x);

// The same, but what needs no exchange is returned as it is.
at::Tensor exchanged_forward(const at::Tensor &x, int64_t n_all);
at::Tensor exchanged_reverse(const at::Tensor &g, int64_t n_local);

bool must_exchange(int64_t n_local, int64_t n_all);

// `counts` [m] int64 of this domain -> [2, m]: their sums over the domains before this one, and over all.
at::Tensor ranked_counts(const at::Tensor &counts);

void check_floating(const char *op, const at::Tensor &x);
void check_rows(const char *op, const at::Tensor &x);

}  // namespace charon
