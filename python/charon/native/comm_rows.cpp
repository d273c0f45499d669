#include "comm_rows.h"

#include <algorithm>
#include <utility>

#include "comm_backend.h"

namespace {

using at::Tensor;

thread_local const charon_backend *current_backend = nullptr;
thread_local charon_counters counters{};

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

void note_width(int64_t width) { counters.widest_row = std::max(counters.widest_row, width); }

at::TensorOptions transport(const Tensor &x) { return x.options().device(at::kCPU).dtype(at::kDouble); }

Tensor fresh(const Tensor &found, const Tensor &given) {
  return found.is_same(given) ? given.clone(at::MemoryFormat::Contiguous) : found;
}

}  // namespace

namespace charon {

void check_floating(const char *op, const Tensor &x) {
  TORCH_CHECK(at::isFloatingType(x.scalar_type()), "charon::", op, ": expected a tensor of floats, found ",
              x.scalar_type());
}

void check_rows(const char *op, const Tensor &x) {
  check_floating(op, x);
  TORCH_CHECK(x.dim() >= 1, "charon::", op, ": expected rows along the first dimension, found a scalar");
}

bool must_exchange(int64_t n_local, int64_t n_all) {
  return current_backend != nullptr && (current_backend->alone == 0 || n_all != n_local);
}

Tensor exchanged_forward(const Tensor &x, int64_t n_all) {
  check_rows("halo_forward", x);
  const int64_t n_local = x.size(0), width = row_width(x);
  check_sizes("halo_forward", n_local, n_all);
  ++counters.forward;
  note_width(width);
  if (!must_exchange(n_local, n_all)) return x;
  const bool in_pairs = x.scalar_type() == at::kFloat && x.is_cpu() && width % 2 == 0;
  auto sizes = x.sizes().vec();
  sizes[0] = n_all;
  Tensor rows = at::empty(sizes, in_pairs ? x.options() : transport(x));  // [n_all, ...]
  rows.narrow(0, 0, n_local).copy_(x);
  rows.narrow(0, n_local, n_all - n_local).zero_();
  auto *data = static_cast<double *>(rows.mutable_data_ptr());
  check_status("halo_forward",
               current_backend->forward(current_backend->context, data, n_local, n_all, in_pairs ? width / 2 : width));
  return in_pairs ? rows : rows.to(x.options());
}

Tensor exchanged_reverse(const Tensor &g, int64_t n_local) {
  check_rows("halo_reverse", g);
  const int64_t n_all = g.size(0), width = row_width(g);
  check_sizes("halo_reverse", n_local, n_all);
  ++counters.reverse;
  note_width(width);
  if (!must_exchange(n_local, n_all)) return g;
  Tensor rows = at::empty(g.sizes(), transport(g));  // [n_all, ...]
  rows.copy_(g);
  check_status("halo_reverse", current_backend->reverse(current_backend->context, rows.mutable_data_ptr<double>(),
                                                        n_local, n_all, width));
  return rows.narrow(0, 0, n_local).clone().to(g.options());
}

Tensor halo_forward(const Tensor &x, int64_t n_all) { return fresh(exchanged_forward(x, n_all), x); }
Tensor halo_reverse(const Tensor &g, int64_t n_local) { return fresh(exchanged_reverse(g, n_local), g); }

Tensor allsum(const Tensor &x) {
  check_floating("allsum", x);
  ++counters.allsum;
  if (!must_exchange(0, 0)) return x.clone(at::MemoryFormat::Contiguous);
  Tensor values = at::empty(x.sizes(), transport(x));
  values.copy_(x);
  check_status("allsum",
               current_backend->allsum(current_backend->context, values.mutable_data_ptr<double>(), values.numel()));
  return values.to(x.options());
}

Tensor ranked_counts(const Tensor &counts) {
  TORCH_CHECK(counts.dim() == 1 && counts.scalar_type() == at::kLong,
              "charon::ranked_counts: expected counts [m] of int64, found ", counts.sizes(), " of ",
              counts.scalar_type());
  const int64_t rank = current_backend != nullptr ? current_backend->rank : 0;
  const int64_t size = current_backend != nullptr ? current_backend->size : 1;
  Tensor table = at::zeros({size, counts.size(0)}, transport(counts));  // [domains, m]
  table.select(0, rank).copy_(counts);
  table = allsum(table);
  return at::stack({table.narrow(0, 0, rank).sum(0), table.sum(0)}).to(counts.options());
}

}  // namespace charon

const charon_backend *charon_set_backend(const charon_backend *backend) {
  return std::exchange(current_backend, backend);
}

charon_counters charon_read_counters(void) { return counters; }

void charon_reset_counters(void) { counters = charon_counters{}; }
