// The operators hop, hop_back and hop_dot: sparse products along bonds, one number per bond and channel. Each is linear
// in both arguments, and the three are each other's derivatives, so that all can be differentiated any number of times.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "dispatched.h"
#include "hop_task.h"

namespace charon {

namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using Lists = std::vector<Tensor>;

constexpr int64_t atoms_per_thread = 64;

void check(const char *op, const Tensor &first, int64_t first_rows, const Tensor &second, int64_t second_rows) {
  TORCH_CHECK(at::isFloatingType(first.scalar_type()) && first.scalar_type() == second.scalar_type(), "charon::", op,
              ": expected two tensors of one float type, found ", first.scalar_type(), " and ", second.scalar_type());
  TORCH_CHECK(first.size(0) == first_rows && second.size(0) == second_rows && first.size(-1) == second.size(-1),
              "charon::", op, ": expected ", first_rows, " and ", second_rows, " rows of as many channels, found ",
              first.sizes(), " and ", second.sizes());
}

Tensor hop(const Tensor &weight, const Tensor &x, const Lists &edge_lists) {
  const EdgeLists lists = EdgeLists::of(edge_lists);
  TORCH_CHECK(weight.dim() == 2 && x.dim() == 3, "charon::hop: expected weights [n_bonds, channels] and x [n_all, ",
              "components, channels], found ", weight.sizes(), " and ", x.sizes());
  check("hop", weight, lists.neighbor.size(0), x, lists.n_all());
  const Tensor a = weight.contiguous(), from = x.contiguous();
  Tensor out = at::empty({lists.n_local(), x.size(1), x.size(2)}, x.options());
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "hop", [&] {
    const auto task = hop_task<scalar_t>(lists, x.size(1), x.size(2));
    const auto *weights = a.const_data_ptr<scalar_t>(), *values = from.const_data_ptr<scalar_t>();
    auto *to = out.mutable_data_ptr<scalar_t>();
    at::parallel_for(0, lists.n_local(), atoms_per_thread,
                     [&](int64_t begin, int64_t end) { hop_forward(task, weights, values, to, begin, end); });
  });
  return out;
}

Tensor hop_back(const Tensor &weight, const Tensor &g, const Lists &edge_lists) {
  const EdgeLists lists = EdgeLists::of(edge_lists);
  TORCH_CHECK(weight.dim() == 2 && g.dim() == 3, "charon::hop_back: expected weights [n_bonds, channels] and g ",
              "[n_local, components, channels], found ", weight.sizes(), " and ", g.sizes());
  check("hop_back", weight, lists.neighbor.size(0), g, lists.n_local());
  const Tensor a = weight.contiguous(), from = g.contiguous();
  Tensor out = at::empty({lists.n_all(), g.size(1), g.size(2)}, g.options());
  AT_DISPATCH_FLOATING_TYPES(g.scalar_type(), "hop_back", [&] {
    const auto task = hop_task<scalar_t>(lists, g.size(1), g.size(2));
    const auto *weights = a.const_data_ptr<scalar_t>(), *values = from.const_data_ptr<scalar_t>();
    auto *to = out.mutable_data_ptr<scalar_t>();
    at::parallel_for(0, lists.n_all(), atoms_per_thread,
                     [&](int64_t begin, int64_t end) { hop_backward(task, weights, values, to, begin, end); });
  });
  return out;
}

Tensor hop_dot(const Tensor &g, const Tensor &x, const Lists &edge_lists) {
  const EdgeLists lists = EdgeLists::of(edge_lists);
  TORCH_CHECK(g.dim() == 3 && x.dim() == 3 && g.size(1) == x.size(1), "charon::hop_dot: expected g [n_local, ",
              "components, channels] and x [n_all, components, channels], found ", g.sizes(), " and ", x.sizes());
  check("hop_dot", g, lists.n_local(), x, lists.n_all());
  const Tensor left = g.contiguous(), right = x.contiguous();
  Tensor out = at::zeros({lists.neighbor.size(0), x.size(2)}, x.options());
  AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "hop_dot", [&] {
    const auto task = hop_task<scalar_t>(lists, x.size(1), x.size(2));
    const auto *here = left.const_data_ptr<scalar_t>(), *there = right.const_data_ptr<scalar_t>();
    auto *to = out.mutable_data_ptr<scalar_t>();
    at::parallel_for(0, lists.n_local(), atoms_per_thread,
                     [&](int64_t begin, int64_t end) { hop_products(task, scalar_t(1), here, there, to, begin, end); });
  });
  return out;
}

Tensor call(const char *name, const Tensor &first, const Tensor &second, const Lists &lists) {
  return operator_handle<Tensor(const Tensor &, const Tensor &, const Lists &)>(name).call(first, second, lists);
}
constexpr const char *hop_name = "charon::hop", *back_name = "charon::hop_back", *dot_name = "charon::hop_dot";

// What each operator is, and its derivatives by its first and second argument, as operators of the upstream and the
// other argument, in that order or (`turned`) in the other one.
struct Derivative {
  const char *name;
  bool turned;
};
struct Product {
  const char *name;
  Derivative of_first, of_second;
};
constexpr Product products[] = {
    {hop_name, {dot_name, false}, {back_name, true}},
    {back_name, {dot_name, true}, {hop_name, true}},
    {dot_name, {hop_name, false}, {back_name, false}},
};

Tensor derivative(const Derivative &of, const Tensor &upstream, const Tensor &other, const Lists &lists) {
  return of.turned ? call(of.name, other, upstream, lists) : call(of.name, upstream, other, lists);
}

struct Differentiable : torch::autograd::Function<Differentiable> {
  static Tensor forward(AutogradContext *ctx, const Tensor &first, const Tensor &second, const Lists &lists,
                        int64_t which) {
    const at::AutoDispatchBelowADInplaceOrView below_autograd;
    ctx->save_for_backward({first, second});
    ctx->saved_data["lists"] = lists;
    ctx->saved_data["which"] = which;
    return call(products[which].name, first, second, lists);
  }
  static variable_list backward(AutogradContext *ctx, variable_list upstream) {
    const auto saved = ctx->get_saved_variables();
    const Lists lists = ctx->saved_data["lists"].toTensorVector();
    const Product &product = products[ctx->saved_data["which"].toInt()];
    Tensor of_first, of_second;
    if (ctx->needs_input_grad(0)) of_first = derivative(product.of_first, upstream[0], saved[1], lists);
    if (ctx->needs_input_grad(1)) of_second = derivative(product.of_second, upstream[0], saved[0], lists);
    return {of_first, of_second, Tensor(), Tensor()};
  }
};

template <int64_t which>
Tensor differentiable(const Tensor &first, const Tensor &second, const Lists &lists) {
  return Differentiable::apply(first, second, lists, which);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(charon, library) {
  library.def("hop(Tensor weight, Tensor x, Tensor[] lists) -> Tensor");
  library.def("hop_back(Tensor weight, Tensor g, Tensor[] lists) -> Tensor");
  library.def("hop_dot(Tensor g, Tensor x, Tensor[] lists) -> Tensor");
}
TORCH_LIBRARY_IMPL(charon, CPU, library) {
  library.impl("hop", hop);
  library.impl("hop_back", hop_back);
  library.impl("hop_dot", hop_dot);
}
TORCH_LIBRARY_IMPL(charon, Autograd, library) {
  library.impl("hop", differentiable<0>);
  library.impl("hop_back", differentiable<1>);
  library.impl("hop_dot", differentiable<2>);
}

}  // namespace charon
