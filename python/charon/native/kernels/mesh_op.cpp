// The operators mesh_gather and mesh_spread. They are each other's adjoint, and a derivative with respect to the
// places raises their degree by one, so that both can be differentiated until the splines are used up.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "mesh_kernels.h"

namespace charon {

namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t atoms_per_thread = 64;

void check(const char *op, const Tensor &values, int64_t dim, const Tensor &places, int64_t order, int64_t degree) {
  TORCH_CHECK(values.dim() == dim && places.dim() == 2 && places.size(1) == 3 &&
                  values.scalar_type() == places.scalar_type() && at::isFloatingType(values.scalar_type()),
              "charon::", op, ": expected ",
              dim == 4 ? "a grid [channels, sizes]" : "sources [n, channels, components]",
              " and places [n, 3] of one float type, found ", values.sizes(), " of ", values.scalar_type(), " and ",
              places.sizes(), " of ", places.scalar_type());
  TORCH_CHECK(order == 4 || order == 6 || order == 8, "charon::", op, ": expected order 4, 6 or 8, found ", order);
  TORCH_CHECK(degree >= 0 && degree < order && degree <= highest_mesh_degree, "charon::", op, ": splines of order ",
              order, " have no derivatives of degree ", degree);
}

template <class T>
MeshTask<T> task_of(const Tensor &places, int64_t channels, at::IntArrayRef sizes, int64_t order, int64_t degree) {
  for (const int64_t size : sizes)
    TORCH_CHECK(size >= order, "charon::mesh: expected at least ", order, " points along each axis, found ", sizes);
  return {places.size(0), channels, {sizes[0], sizes[1], sizes[2]}, order, degree, places.const_data_ptr<T>()};
}

Tensor mesh_gather(const Tensor &grid, const Tensor &places, int64_t order, int64_t degree) {
  check("mesh_gather", grid, 4, places, order, degree);
  const Tensor values = grid.contiguous(), where = places.contiguous();
  Tensor out = at::empty({places.size(0), grid.size(0), mesh_components(degree)}, grid.options());
  AT_DISPATCH_FLOATING_TYPES(grid.scalar_type(), "mesh_gather", [&] {
    const auto task = task_of<scalar_t>(where, grid.size(0), grid.sizes().slice(1), order, degree);
    const auto *from = values.const_data_ptr<scalar_t>();
    auto *to = out.mutable_data_ptr<scalar_t>();
    at::parallel_for(0, task.n_atoms, atoms_per_thread,
                     [&](int64_t begin, int64_t end) { gather_from_mesh<scalar_t>(task, from, to, begin, end); });
  });
  return out;
}

Tensor mesh_spread(const Tensor &sources, const Tensor &places, at::IntArrayRef sizes, int64_t order, int64_t degree) {
  check("mesh_spread", sources, 3, places, order, degree);
  TORCH_CHECK(sizes.size() == 3 && sources.size(0) == places.size(0) && sources.size(2) == mesh_components(degree),
              "charon::mesh_spread: expected sources [", places.size(0), ", channels, ", mesh_components(degree),
              "] and three sizes, found ", sources.sizes(), " and ", sizes);
  const Tensor values = sources.contiguous(), where = places.contiguous();
  Tensor grid = at::zeros({sources.size(1), sizes[0], sizes[1], sizes[2]}, sources.options());
  AT_DISPATCH_FLOATING_TYPES(sources.scalar_type(), "mesh_spread", [&] {
    const auto task = task_of<scalar_t>(where, sources.size(1), sizes, order, degree);
    const auto *from = values.const_data_ptr<scalar_t>();
    auto *to = grid.mutable_data_ptr<scalar_t>();
    const int64_t planes_per_thread = std::max<int64_t>(1, sizes[0] / at::get_num_threads());
    at::parallel_for(0, sizes[0], planes_per_thread,
                     [&](int64_t begin, int64_t end) { spread_on_mesh<scalar_t>(task, from, to, begin, end); });
  });
  return grid;
}

Tensor call_gather(const Tensor &grid, const Tensor &places, int64_t order, int64_t degree) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("charon::mesh_gather", "")
                             .typed<Tensor(const Tensor &, const Tensor &, int64_t, int64_t)>();
  return op.call(grid, places, order, degree);
}

Tensor call_spread(const Tensor &sources, const Tensor &places, at::IntArrayRef sizes, int64_t order, int64_t degree) {
  static const auto op = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("charon::mesh_spread", "")
                             .typed<Tensor(const Tensor &, const Tensor &, at::IntArrayRef, int64_t, int64_t)>();
  return op.call(sources, places, sizes, order, degree);
}

// Derivative of `sum sources * gather(grid, places, degree)` with respect to the places, [n, 3].
Tensor places_gradient(const Tensor &grid, const Tensor &sources, const Tensor &places, int64_t order, int64_t degree) {
  const Tensor next = call_gather(grid, places, order, degree + 1);  // [n, channels, components of degree + 1]
  std::vector<int64_t> raised[3];
  for (int64_t a = degree; a >= 0; --a)
    for (int64_t b = degree - a; b >= 0; --b) {
      raised[0].push_back(mesh_component(degree + 1, a + 1, b));
      raised[1].push_back(mesh_component(degree + 1, a, b + 1));
      raised[2].push_back(mesh_component(degree + 1, a, b));
    }
  std::vector<Tensor> gradient;
  for (const auto &along : raised)
    gradient.push_back((sources * next.index_select(2, at::tensor(along, at::kLong))).sum({1, 2}));
  return at::stack(gradient, 1);
}

struct Gather : torch::autograd::Function<Gather> {
  static Tensor forward(AutogradContext *ctx, const Tensor &grid, const Tensor &places, int64_t order, int64_t degree) {
    const at::AutoDispatchBelowADInplaceOrView below_autograd;
    ctx->save_for_backward({grid, places});
    ctx->saved_data["order"] = order;
    ctx->saved_data["degree"] = degree;
    return call_gather(grid, places, order, degree);
  }
  static variable_list backward(AutogradContext *ctx, variable_list upstream) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &grid = saved[0], &places = saved[1];
    const int64_t order = ctx->saved_data["order"].toInt(), degree = ctx->saved_data["degree"].toInt();
    Tensor of_grid, of_places;
    if (ctx->needs_input_grad(0)) of_grid = call_spread(upstream[0], places, grid.sizes().slice(1), order, degree);
    if (ctx->needs_input_grad(1)) of_places = places_gradient(grid, upstream[0], places, order, degree);
    return {of_grid, of_places, Tensor(), Tensor()};
  }
};

struct Spread : torch::autograd::Function<Spread> {
  static Tensor forward(AutogradContext *ctx, const Tensor &sources, const Tensor &places, at::IntArrayRef sizes,
                        int64_t order, int64_t degree) {
    const at::AutoDispatchBelowADInplaceOrView below_autograd;
    ctx->save_for_backward({sources, places});
    ctx->saved_data["order"] = order;
    ctx->saved_data["degree"] = degree;
    return call_spread(sources, places, sizes, order, degree);
  }
  static variable_list backward(AutogradContext *ctx, variable_list upstream) {
    const auto saved = ctx->get_saved_variables();
    const Tensor &sources = saved[0], &places = saved[1];
    const int64_t order = ctx->saved_data["order"].toInt(), degree = ctx->saved_data["degree"].toInt();
    Tensor of_sources, of_places;
    if (ctx->needs_input_grad(0)) of_sources = call_gather(upstream[0], places, order, degree);
    if (ctx->needs_input_grad(1)) of_places = places_gradient(upstream[0], sources, places, order, degree);
    return {of_sources, of_places, Tensor(), Tensor(), Tensor()};
  }
};

Tensor mesh_gather_autograd(const Tensor &grid, const Tensor &places, int64_t order, int64_t degree) {
  return Gather::apply(grid, places, order, degree);
}

Tensor mesh_spread_autograd(const Tensor &sources, const Tensor &places, at::IntArrayRef sizes, int64_t order,
                            int64_t degree) {
  return Spread::apply(sources, places, sizes, order, degree);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(charon, library) {
  library.def("mesh_gather(Tensor grid, Tensor places, int order, int degree) -> Tensor");
  library.def("mesh_spread(Tensor sources, Tensor places, int[] sizes, int order, int degree) -> Tensor");
}
TORCH_LIBRARY_IMPL(charon, CPU, library) {
  library.impl("mesh_gather", mesh_gather);
  library.impl("mesh_spread", mesh_spread);
}
TORCH_LIBRARY_IMPL(charon, Autograd, library) {
  library.impl("mesh_gather", mesh_gather_autograd);
  library.impl("mesh_spread", mesh_spread_autograd);
}

}  // namespace charon
