// The three couplings between atoms as torch operators: halo_forward and halo_reverse are each other's
// adjoint and allsum is its own, so derivatives of any order are exchanges again.
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "comm_backend.h"
#include "comm_rows.h"

namespace {

using at::Tensor;
using c10::SymInt;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

thread_local const charon_backend *current_backend = nullptr;
thread_local charon_counters counters{};

// ---- checks

void check_floating(const char *op, const Tensor &x) {
  TORCH_CHECK(at::isFloatingType(x.scalar_type()), "charon::", op, ": expected a tensor of floats, found ",
              x.scalar_type());
}

void check_rows(const char *op, const Tensor &x) {
  check_floating(op, x);
  TORCH_CHECK(x.dim() >= 1, "charon::", op, ": expected rows along the first dimension, found a scalar");
}

void check_sizes(const char *op, int64_t n_local, int64_t n_all) {
  TORCH_CHECK(n_local >= 0 && n_all >= n_local, "charon::", op,
              ": expected 0 <= n_local <= n_all, found n_local = ", n_local, ", n_all = ", n_all);
  TORCH_CHECK(current_backend != nullptr || n_all == n_local, "charon::", op, ": found ", n_all - n_local,
              " ghost rows, but this thread has no domain backend to exchange them with; without one, n_all must "
              "equal n_local");
}

void check_status(const char *op, int status) {
  if (status == 0) return;
  const char *text = current_backend->error_text ? current_backend->error_text(current_backend->context) : nullptr;
  TORCH_CHECK(false, "charon::", op, ": ", text ? text : "the domain backend failed");
}

int64_t row_width(const Tensor &x) {
  int64_t width = 1;
  for (int64_t axis = 1; axis < x.dim(); ++axis) width *= x.size(axis);
  return width;
}

bool nothing_to_exchange(int64_t n_local, int64_t n_all) {
  return current_backend == nullptr || (current_backend->alone != 0 && n_all == n_local);
}

void note_width(int64_t width) { counters.widest_row = std::max(counters.widest_row, width); }

at::TensorOptions transport(const Tensor &x) { return x.options().device(at::kCPU).dtype(at::kDouble); }

// Fresh, contiguous, in the caller's type and on its device.
Tensor returned(const Tensor &rows, const Tensor &like) { return rows.to(like.options()); }

// ---- kernels

// Returns `x` itself if there is nothing to exchange.
Tensor exchange_forward(const Tensor &x, int64_t n_all) {
  check_rows("halo_forward", x);
  const int64_t n_local = x.size(0), width = row_width(x);
  check_sizes("halo_forward", n_local, n_all);
  ++counters.forward;
  note_width(width);
  if (nothing_to_exchange(n_local, n_all)) return x;
  const bool in_pairs = x.scalar_type() == at::kFloat && x.is_cpu() && width % 2 == 0;
  auto sizes = x.sizes().vec();
  sizes[0] = n_all;
  Tensor rows = at::empty(sizes, in_pairs ? x.options() : transport(x));  // [n_all, ...]
  rows.narrow(0, 0, n_local).copy_(x);
  rows.narrow(0, n_local, n_all - n_local).zero_();
  auto *data = static_cast<double *>(rows.mutable_data_ptr());
  check_status("halo_forward",
               current_backend->forward(current_backend->context, data, n_local, n_all, in_pairs ? width / 2 : width));
  return in_pairs ? rows : returned(rows, x);
}

Tensor exchange_reverse(const Tensor &g, int64_t n_local) {
  check_rows("halo_reverse", g);
  const int64_t n_all = g.size(0), width = row_width(g);
  check_sizes("halo_reverse", n_local, n_all);
  ++counters.reverse;
  note_width(width);
  if (nothing_to_exchange(n_local, n_all)) return g;
  Tensor rows = at::empty(g.sizes(), transport(g));  // [n_all, ...]
  rows.copy_(g);
  check_status("halo_reverse", current_backend->reverse(current_backend->context, rows.mutable_data_ptr<double>(),
                                                        n_local, n_all, width));
  return returned(rows.narrow(0, 0, n_local).clone(), g);
}

Tensor fresh(const Tensor &found, const Tensor &given) {
  return found.is_same(given) ? given.clone(at::MemoryFormat::Contiguous) : found;
}

Tensor halo_forward(const Tensor &x, int64_t n_all) { return fresh(exchange_forward(x, n_all), x); }
Tensor halo_reverse(const Tensor &g, int64_t n_local) { return fresh(exchange_reverse(g, n_local), g); }

Tensor allsum(const Tensor &x) {
  check_floating("allsum", x);
  ++counters.allsum;
  if (nothing_to_exchange(0, 0)) return x.clone(at::MemoryFormat::Contiguous);
  Tensor values = at::empty(x.sizes(), transport(x));
  values.copy_(x);
  check_status("allsum",
               current_backend->allsum(current_backend->context, values.mutable_data_ptr<double>(), values.numel()));
  return returned(values, x);
}

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

}  // namespace

namespace charon {

Tensor exchanged_forward(const Tensor &x, int64_t n_all) { return exchange_forward(x, n_all); }
Tensor exchanged_reverse(const Tensor &g, int64_t n_local) { return exchange_reverse(g, n_local); }

bool must_exchange(int64_t n_local, int64_t n_all) { return !nothing_to_exchange(n_local, n_all); }

}  // namespace charon

const charon_backend *charon_set_backend(const charon_backend *backend) {
  return std::exchange(current_backend, backend);
}

charon_counters charon_read_counters(void) { return counters; }

void charon_reset_counters(void) { counters = charon_counters{}; }

TORCH_LIBRARY(charon, library) {
  library.def("halo_forward(Tensor x, SymInt nall) -> Tensor");
  library.def("halo_reverse(Tensor g, SymInt nlocal) -> Tensor");
  library.def("allsum(Tensor x) -> Tensor");
}

TORCH_LIBRARY_IMPL(charon, CPU, library) {
  library.impl("halo_forward", halo_forward);
  library.impl("halo_reverse", halo_reverse);
  library.impl("allsum", allsum);
}

// Rows of another device are exchanged through the host.
TORCH_LIBRARY_IMPL(charon, CUDA, library) {
  library.impl("halo_forward", halo_forward);
  library.impl("halo_reverse", halo_reverse);
  library.impl("allsum", allsum);
}

TORCH_LIBRARY_IMPL(charon, Meta, library) {
  library.impl("halo_forward", halo_forward_meta);
  library.impl("halo_reverse", halo_reverse_meta);
  library.impl("allsum", allsum_meta);
}

TORCH_LIBRARY_IMPL(charon, Autograd, library) {
  library.impl("halo_forward", halo_forward_autograd);
  library.impl("halo_reverse", halo_reverse_autograd);
  library.impl("allsum", allsum_autograd);
}
