// The three couplings between atoms as torch operators: halo_forward and halo_reverse are each other's
// adjoint and allsum is its own, so derivatives of any order are exchanges again.
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "comm_rows.h"

namespace charon {

namespace {

using at::Tensor;
using c10::SymInt;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// ---- shapes

Tensor halo_forward_meta(const Tensor &x, SymInt n_all) {
  check_rows("halo_forward", x);
  auto sizes = x.sym_sizes().vec();
  sizes[0] = std::move(n_all);
  return at::empty_symint(sizes, x.options());
}

Tensor halo_reverse_meta(const Tensor &g, SymInt n_local) {
  check_rows("halo_reverse", g);
  auto sizes = g.sym_sizes().vec();
  sizes[0] = std::move(n_local);
  return at::empty_symint(sizes, g.options());
}

Tensor allsum_meta(const Tensor &x) {
  check_floating("allsum", x);
  return at::empty_symint(x.sym_sizes(), x.options());
}

Tensor ranked_counts_meta(const Tensor &counts) {
  return at::empty_symint({SymInt(2), counts.sym_size(0)}, counts.options());
}

// ---- derivatives: each backward goes through the dispatcher, so that it has a derivative too

template <class Signature>
c10::TypedOperatorHandle<Signature> operator_handle(const char *name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Signature>();
}

Tensor call_forward(const Tensor &x, SymInt n_all) {
  static const auto op = operator_handle<Tensor(const Tensor &, SymInt)>("charon::halo_forward");
  return op.call(x, std::move(n_all));
}

Tensor call_reverse(const Tensor &g, SymInt n_local) {
  static const auto op = operator_handle<Tensor(const Tensor &, SymInt)>("charon::halo_reverse");
  return op.call(g, std::move(n_local));
}

Tensor call_allsum(const Tensor &x) {
  static const auto op = operator_handle<Tensor(const Tensor &)>("charon::allsum");
  return op.call(x);
}

SymInt row_count(const Tensor &x) { return x.dim() >= 1 ? x.sym_size(0) : SymInt(0); }

struct HaloForward : torch::autograd::Function<HaloForward> {
  static Tensor forward(AutogradContext *ctx, const Tensor &x, SymInt n_all) {
    const at::AutoDispatchBelowADInplaceOrView below_autograd;
    ctx->saved_data["n_local"] = row_count(x);
    return call_forward(x, std::move(n_all));
  }
  static variable_list backward(AutogradContext *ctx, variable_list upstream) {
    return {call_reverse(upstream[0], ctx->saved_data["n_local"].toSymInt()), Tensor()};
  }
};

struct HaloReverse : torch::autograd::Function<HaloReverse> {
  static Tensor forward(AutogradContext *ctx, const Tensor &g, SymInt n_local) {
    const at::AutoDispatchBelowADInplaceOrView below_autograd;
    ctx->saved_data["n_all"] = row_count(g);
    return call_reverse(g, std::move(n_local));
  }
  static variable_list backward(AutogradContext *ctx, variable_list upstream) {
    return {call_forward(upstream[0], ctx->saved_data["n_all"].toSymInt()), Tensor()};
  }
};

struct AllSum : torch::autograd::Function<AllSum> {
  static Tensor forward(AutogradContext *, const Tensor &x) {
    const at::AutoDispatchBelowADInplaceOrView below_autograd;
    return call_allsum(x);
  }
  static variable_list backward(AutogradContext *, variable_list upstream) { return {call_allsum(upstream[0])}; }
};

Tensor halo_forward_autograd(const Tensor &x, SymInt n_all) { return HaloForward::apply(x, std::move(n_all)); }
Tensor halo_reverse_autograd(const Tensor &g, SymInt n_local) { return HaloReverse::apply(g, std::move(n_local)); }
Tensor allsum_autograd(const Tensor &x) { return AllSum::apply(x); }

// A sum of rows that each domain places at its own offset; its derivatives are those of its parts.
Tensor all_rows(const Tensor &x) {
  check_rows("all_rows", x);
  const Tensor counts = ranked_counts(at::full({1}, x.size(0), at::kLong));
  const int64_t before = counts[0].item<int64_t>(), total = counts[1].item<int64_t>();
  const auto padding = [&](int64_t rows) {
    auto sizes = x.sizes().vec();
    sizes[0] = rows;
    return at::zeros(sizes, x.options());
  };
  return call_allsum(at::cat({padding(before), x, padding(total - before - x.size(0))}));
}

}  // namespace

TORCH_LIBRARY(charon, library) {
  library.def("halo_forward(Tensor x, SymInt nall) -> Tensor");
  library.def("halo_reverse(Tensor g, SymInt nlocal) -> Tensor");
  library.def("allsum(Tensor x) -> Tensor");
  library.def("ranked_counts(Tensor counts) -> Tensor");
  library.def("all_rows(Tensor x) -> Tensor", all_rows);
}

TORCH_LIBRARY_IMPL(charon, CPU, library) {
  library.impl("halo_forward", halo_forward);
  library.impl("halo_reverse", halo_reverse);
  library.impl("allsum", allsum);
  library.impl("ranked_counts", ranked_counts);
}

// Rows of another device are exchanged through the host.
TORCH_LIBRARY_IMPL(charon, CUDA, library) {
  library.impl("halo_forward", halo_forward);
  library.impl("halo_reverse", halo_reverse);
  library.impl("allsum", allsum);
  library.impl("ranked_counts", ranked_counts);
}

TORCH_LIBRARY_IMPL(charon, Meta, library) {
  library.impl("halo_forward", halo_forward_meta);
  library.impl("halo_reverse", halo_reverse_meta);
  library.impl("allsum", allsum_meta);
  library.impl("ranked_counts", ranked_counts_meta);
}

TORCH_LIBRARY_IMPL(charon, Autograd, library) {
  library.impl("halo_forward", halo_forward_autograd);
  library.impl("halo_reverse", halo_reverse_autograd);
  library.impl("allsum", allsum_autograd);
}

}  // namespace charon
