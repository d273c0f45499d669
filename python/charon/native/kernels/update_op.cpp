// charon::update and its derivatives as torch operators; the formulas are those of model/update.py.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "cpu_functions.h"
#include "dispatched.h"

namespace charon {

namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using Weights = std::vector<Tensor>;  // in the order of UpdateWeights; the last two only with l_max 2

// ---- derivatives: each goes through the dispatcher, so that other devices and tracers see it

Tensor call_forward(const Tensor &state, const Tensor &message, const Tensor &types, const Weights &weights,
                    int64_t l_max) {
  static const auto op =
      operator_handle<Tensor(const Tensor &, const Tensor &, const Tensor &, at::TensorList, int64_t)>(
          "charon::update");
  return op.call(state, message, types, weights, l_max);
}

std::tuple<Tensor, Tensor, Weights> call_backward(const Tensor &upstream, const Tensor &state, const Tensor &message,
                                                  const Tensor &types, const Weights &weights, int64_t l_max,
                                                  bool of_weights) {
  static const auto op = operator_handle<std::tuple<Tensor, Tensor, Weights>(
      const Tensor &, const Tensor &, const Tensor &, const Tensor &, at::TensorList, int64_t, bool)>(
      "charon::update_backward");
  return op.call(upstream, state, message, types, weights, l_max, of_weights);
}

std::tuple<Tensor, Tensor, Tensor, Weights> call_tangent(const variable_list &tangents, const variable_list &rows,
                                                         const Tensor &types, const Weights &weights, int64_t l_max,
                                                         bool of_weights) {
  static const auto op = operator_handle<std::tuple<Tensor, Tensor, Tensor, Weights>(
      const Tensor &, const Tensor &, const Tensor &, const Tensor &, const Tensor &, const Tensor &, at::TensorList,
      int64_t, bool)>("charon::update_tangent");
  return op.call(tangents[0], tangents[1], rows[0], rows[1], rows[2], types, weights, l_max, of_weights);
}

struct Setting {
  Tensor types;
  int64_t l_max;
};

void keep(AutogradContext *ctx, const Setting &setting) {
  ctx->saved_data["types"] = setting.types;
  ctx->saved_data["l_max"] = setting.l_max;
}

bool any_needed(AutogradContext *ctx, size_t from, size_t count) {
  for (size_t k = from; k < from + count; ++k)
    if (ctx->needs_input_grad(k)) return true;
  return false;
}

// The tensors from position `from` on are weights.
Weights weights_of(const variable_list &saved, size_t from) {
  return {saved.begin() + static_cast<std::ptrdiff_t>(from), saved.end()};
}

variable_list with_weights(variable_list found, const Weights &gradients, size_t n_weights) {
  for (size_t k = 0; k < n_weights; ++k) found.push_back(gradients.empty() ? Tensor() : gradients[k]);
  found.emplace_back();  // the setting
  return found;
}

struct UpdateBackward : torch::autograd::Function<UpdateBackward> {
  static variable_list forward(AutogradContext *ctx, const Tensor &upstream, const Tensor &state, const Tensor &message,
                               at::TensorList weights, const Setting &setting) {
    const at::AutoDispatchBelowADInplaceOrView below_autograd;
    keep(ctx, setting);
    variable_list saved{upstream, state, message};
    saved.insert(saved.end(), weights.begin(), weights.end());
    ctx->save_for_backward(saved);
    const auto [of_state, of_message, none] =
        call_backward(upstream, state, message, setting.types, weights.vec(), setting.l_max, false);
    return {of_state, of_message};
  }

  static variable_list backward(AutogradContext *ctx, variable_list cotangents) {
    TORCH_CHECK(!at::GradMode::is_enabled(), "charon::update: third derivatives need charon.ops.reference_kernels()");
    const variable_list saved = ctx->get_saved_variables();
    const size_t n_weights = saved.size() - 3;
    for (Tensor &cotangent : cotangents)
      if (!cotangent.defined()) cotangent = at::zeros_like(saved[1]);
    const auto [upstream, state, message, weights] =
        call_tangent(cotangents, saved, ctx->saved_data["types"].toTensor(), weights_of(saved, 3),
                     ctx->saved_data["l_max"].toInt(), any_needed(ctx, 3, n_weights));
    return with_weights({upstream, state, message}, weights, n_weights);
  }
};

struct Update : torch::autograd::Function<Update> {
  static Tensor forward(AutogradContext *ctx, const Tensor &state, const Tensor &message, at::TensorList weights,
                        const Setting &setting) {
    const at::AutoDispatchBelowADInplaceOrView below_autograd;
    keep(ctx, setting);
    variable_list saved{state, message};
    saved.insert(saved.end(), weights.begin(), weights.end());
    ctx->save_for_backward(saved);
    return call_forward(state, message, setting.types, weights.vec(), setting.l_max);
  }

  static variable_list backward(AutogradContext *ctx, variable_list upstream) {
    const variable_list saved = ctx->get_saved_variables();
    const size_t n_weights = saved.size() - 2;
    const Tensor types = ctx->saved_data["types"].toTensor();
    const int64_t l_max = ctx->saved_data["l_max"].toInt();
    const Weights weights = weights_of(saved, 2);
    const bool of_weights = any_needed(ctx, 2, n_weights);
    if (at::GradMode::is_enabled()) {
      TORCH_CHECK(!of_weights,
                  "charon::update: derivatives of the gradients of weights need charon.ops.reference_kernels()");
      const variable_list found =
          UpdateBackward::apply(upstream[0], saved[0], saved[1], at::TensorList(weights), Setting{types, l_max});
      return with_weights({found[0], found[1]}, {}, n_weights);
    }
    const auto [state, message, gradients] =
        call_backward(upstream[0], saved[0], saved[1], types, weights, l_max, of_weights);
    return with_weights({state, message}, gradients, n_weights);
  }
};

Tensor update_autograd(const Tensor &state, const Tensor &message, const Tensor &types, at::TensorList weights,
                       int64_t l_max) {
  return Update::apply(state, message, weights, Setting{types, l_max});
}

// ---- shapes

Tensor like(const Tensor &x) { return at::empty_symint(x.sym_sizes(), x.options()); }

Weights like(at::TensorList weights, bool wanted) {
  Weights found;
  if (wanted)
    for (const Tensor &weight : weights) found.push_back(like(weight));
  return found;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(charon, library) {
  library.def("update(Tensor state, Tensor message, Tensor types, Tensor[] weights, int l_max) -> Tensor");
  library.def(
      "update_backward(Tensor upstream, Tensor state, Tensor message, Tensor types, Tensor[] weights, int l_max, "
      "bool of_weights) -> (Tensor, Tensor, Tensor[])");
  library.def(
      "update_tangent(Tensor state_tangent, Tensor message_tangent, Tensor upstream, Tensor state, Tensor message, "
      "Tensor types, Tensor[] weights, int l_max, bool of_weights) -> (Tensor, Tensor, Tensor, Tensor[])");
}

TORCH_LIBRARY_IMPL(charon, CPU, library) {
  library.impl("update", [](const Tensor &state, const Tensor &message, const Tensor &types, at::TensorList weights,
                            int64_t l_max) { return update_cpu(state, message, types, weights.vec(), l_max); });
  library.impl("update_backward", [](const Tensor &upstream, const Tensor &state, const Tensor &message,
                                     const Tensor &types, at::TensorList weights, int64_t l_max, bool of_weights) {
    return update_backward_cpu(upstream, state, message, types, weights.vec(), {}, l_max, of_weights, false);
  });
  library.impl("update_tangent", [](const Tensor &state_tangent, const Tensor &message_tangent, const Tensor &upstream,
                                    const Tensor &state, const Tensor &message, const Tensor &types,
                                    at::TensorList weights, int64_t l_max, bool of_weights) {
    return update_tangent_cpu(state_tangent, message_tangent, upstream, state, message, types, weights.vec(), l_max,
                              of_weights);
  });
}

TORCH_LIBRARY_IMPL(charon, Autograd, library) { library.impl("update", update_autograd); }

TORCH_LIBRARY_IMPL(charon, Meta, library) {
  library.impl("update", [](const Tensor &state, const Tensor &, const Tensor &, at::TensorList, int64_t) {
    return like(state);
  });
  library.impl("update_backward", [](const Tensor &, const Tensor &state, const Tensor &message, const Tensor &,
                                     at::TensorList weights, int64_t, bool of_weights) {
    return std::make_tuple(like(state), like(message), like(weights, of_weights));
  });
  library.impl("update_tangent",
               [](const Tensor &, const Tensor &, const Tensor &upstream, const Tensor &state, const Tensor &message,
                  const Tensor &, at::TensorList weights, int64_t, bool of_weights) {
                 return std::make_tuple(like(upstream), like(state), like(message), like(weights, of_weights));
               });
}

}  // namespace charon
