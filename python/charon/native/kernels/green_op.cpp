// charon::green: the Chebyshev recursion of the propagator as one operator, for models that are no longer trained.
//
//     x_0 = b,  x_1 = A x_0,  x_(k+1) = 2 A x_k - x_(k-1),  y = sum_k eta^k x_k
//
// A is symmetric, so the adjoint is the same recursion from the other end, with the same exchange in each step:
//
//     l_k = eta^k g + 2 A l_(k+1) - l_(k+2),  dE/db = g + A l_1 - l_2,  dE/dA = l_1 x_0 + sum_k 2 l_(k+1) x_k
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "comm_rows.h"
#include "hop_task.h"

namespace charon {

namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t atoms_per_thread = 64;

// next = 2 A now - before, or A now without `before`; where there is a sum, sum += factor * next.
template <class T>
struct Step {
  const HopTask<T> &task;
  const T *hops, *now, *before;
  T *next;

  void operator()(int64_t begin, int64_t end) const {
    hop_forward(task, hops, now, next, begin, end);
    if (!before) return;
    for (int64_t k = begin * task.width(); k < end * task.width(); ++k) next[k] = T(2) * next[k] - before[k];
  }
};

// rows += powers * from, the powers one per channel; of the atoms [begin, end).
template <class T>
void add_scaled(const HopTask<T> &task, const T *powers, const T *from, T *rows, int64_t begin, int64_t end) {
  for (int64_t row = begin * task.components; row < end * task.components; ++row)
    for (int64_t c = 0; c < task.channels; ++c)
      rows[row * task.channels + c] += powers[c] * from[row * task.channels + c];
}

struct Setting {
  std::vector<Tensor> lists;
  int64_t n_all, steps;
};

template <class T>
Tensor forward_steps(const Tensor &hops, const Tensor &decay, const Tensor &source, const EdgeLists &lists,
                     int64_t n_all, int64_t steps, std::vector<Tensor> &kept) {
  const auto task = hop_task<T>(lists, source.size(1), source.size(2));
  Tensor before, now = source, answer = source.clone(), powers = at::ones_like(decay);
  for (int64_t k = 1; k <= steps; ++k) {
    kept.push_back(exchanged_forward(now, n_all));
    powers = powers * decay;
    Tensor next = at::empty_like(source);
    const Step<T> step{task, hops.const_data_ptr<T>(), kept.back().const_data_ptr<T>(),
                       k > 1 ? before.const_data_ptr<T>() : nullptr, next.mutable_data_ptr<T>()};
    const T *factors = powers.const_data_ptr<T>(), *rows = next.const_data_ptr<T>();
    T *sum = answer.mutable_data_ptr<T>();
    at::parallel_for(0, source.size(0), atoms_per_thread, [&](int64_t begin, int64_t end) {
      step(begin, end);
      add_scaled(task, factors, rows, sum, begin, end);
    });
    before = now;
    now = next;
  }
  return answer;
}

// Gradients of the hops and the source.
template <class T>
std::pair<Tensor, Tensor> backward_steps(const Tensor &g, const Tensor &hops, const Tensor &decay,
                                         const std::vector<Tensor> &kept, const EdgeLists &lists, int64_t n_all) {
  const auto task = hop_task<T>(lists, g.size(1), g.size(2));
  const auto steps = static_cast<int64_t>(kept.size());
  Tensor of_hops = at::zeros_like(hops), after, now;  // l_(k+2), l_(k+1)
  T *products = of_hops.mutable_data_ptr<T>();
  for (int64_t k = steps; k >= 0; --k) {
    const Tensor powers = decay.pow(k);
    Tensor here = at::zeros_like(g);
    const T *factors = powers.const_data_ptr<T>(), *upstream = g.const_data_ptr<T>(), *a = hops.const_data_ptr<T>();
    const Tensor all = now.defined() ? exchanged_forward(now, n_all) : Tensor();
    const T *later = now.defined() ? all.const_data_ptr<T>() : nullptr;
    const T *last = after.defined() ? after.const_data_ptr<T>() : nullptr;
    const T *x = k < steps ? kept[k].const_data_ptr<T>() : nullptr;
    T *rows = here.mutable_data_ptr<T>();
    const T twice = k > 0 ? T(2) : T(1);
    at::parallel_for(0, g.size(0), atoms_per_thread, [&](int64_t begin, int64_t end) {
      if (later) {
        hop_forward(task, a, later, rows, begin, end);
        for (int64_t m = begin * task.width(); m < end * task.width(); ++m)
          rows[m] = twice * rows[m] - (last ? last[m] : T(0));
        hop_products(task, twice, later, x, products, begin, end);
      }
      add_scaled(task, factors, upstream, rows, begin, end);
    });
    after = now;
    now = here;
  }
  return {of_hops, now};
}

struct Green : torch::autograd::Function<Green> {
  static Tensor forward(AutogradContext *ctx, const Tensor &hops, const Tensor &source, const Tensor &decay,
                        const Setting &setting) {
    const at::AutoDispatchBelowADInplaceOrView below_autograd;
    const EdgeLists lists = EdgeLists::of(setting.lists);
    const Tensor a = hops.contiguous(), b = source.contiguous(), eta = decay.contiguous();
    std::vector<Tensor> kept;
    Tensor answer;
    AT_DISPATCH_FLOATING_TYPES(b.scalar_type(), "green", [&] {
      answer = forward_steps<scalar_t>(a, eta, b, lists, setting.n_all, setting.steps, kept);
    });
    ctx->save_for_backward({a, eta});
    ctx->saved_data["kept"] = kept;
    ctx->saved_data["lists"] = setting.lists;
    ctx->saved_data["n_all"] = setting.n_all;
    return answer;
  }
  static variable_list backward(AutogradContext *ctx, variable_list upstream) {
    TORCH_CHECK(!at::GradMode::is_enabled(),
                "charon::green: an exported model has first derivatives only; take others of the trained one");
    const variable_list saved = ctx->get_saved_variables();
    const EdgeLists lists = EdgeLists::of(ctx->saved_data["lists"].toTensorVector());
    const std::vector<Tensor> kept = ctx->saved_data["kept"].toTensorVector();
    const Tensor g = upstream[0].contiguous();
    std::pair<Tensor, Tensor> found;
    AT_DISPATCH_FLOATING_TYPES(g.scalar_type(), "green_backward", [&] {
      found = backward_steps<scalar_t>(g, saved[0], saved[1], kept, lists, ctx->saved_data["n_all"].toInt());
    });
    return {found.first, found.second, Tensor(), Tensor()};
  }
};

Tensor green(const Tensor &hops, const Tensor &decay, const Tensor &source, const std::vector<Tensor> &edge_lists,
             int64_t n_all, int64_t steps) {
  const EdgeLists lists = EdgeLists::of(edge_lists);
  TORCH_CHECK(steps >= 1, "charon::green: expected at least one step, found ", steps);
  TORCH_CHECK(source.dim() == 3 && source.size(0) == lists.n_local() && lists.n_all() == n_all,
              "charon::green: expected a source [", lists.n_local(), ", components, channels] and bonds of ", n_all,
              " atoms, found ", source.sizes(), " and bonds of ", lists.n_all());
  TORCH_CHECK(hops.dim() == 2 && hops.size(0) == lists.neighbor.size(0) && hops.size(1) == source.size(2) &&
                  decay.numel() == source.size(2),
              "charon::green: expected hops [", lists.neighbor.size(0), ", ", source.size(2), "] and as many decays, ",
              "found ", hops.sizes(), " and ", decay.sizes());
  TORCH_CHECK(hops.scalar_type() == source.scalar_type() && decay.scalar_type() == source.scalar_type(),
              "charon::green: expected one float type, found ", hops.scalar_type(), ", ", decay.scalar_type(), " and ",
              source.scalar_type());
  return Green::apply(hops, source, decay, Setting{edge_lists, n_all, steps});
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(charon, library) {
  library.def("green(Tensor hops, Tensor decay, Tensor source, Tensor[] lists, int n_all, int steps) -> Tensor");
}
TORCH_LIBRARY_IMPL(charon, Autograd, library) { library.impl("green", green); }
TORCH_LIBRARY_IMPL(charon, CPU, library) { library.impl("green", green); }

}  // namespace charon
