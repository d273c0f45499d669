// charon::message and its derivatives as torch operators: the kernels on the CPU, plain torch elsewhere.
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "cpu_functions.h"
#include "dispatched.h"
#include "instruction_sets.h"
#include "message_reference.h"

namespace charon {

namespace {

using at::Tensor;
using c10::SymInt;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using Lists = std::vector<Tensor>;

// ---- other devices and shapes

Tensor forward_meta(const Tensor &sent, const Tensor &, const Tensor &, const Tensor &, const Lists &, SymInt n_local,
                    int64_t l_max, bool, double) {
  return at::empty_symint({std::move(n_local), SymInt((l_max + 1) * (l_max + 1)), sent.sym_size(2)}, sent.options());
}

std::tuple<Tensor, Tensor, Tensor> backward_meta(const Tensor &, const Tensor &sent, const Tensor &table,
                                                 const Tensor &edge_vector, const Tensor &, const Lists &, int64_t,
                                                 bool, double, bool of_sent, bool of_table, bool of_vector) {
  const auto like = [](const Tensor &x, bool wanted) {
    return wanted ? at::empty_symint(x.sym_sizes(), x.options()) : at::empty({0}, x.options());
  };
  return {like(sent, of_sent), like(table, of_table), like(edge_vector, of_vector)};
}

// ---- derivatives

Tensor call_forward(const Tensor &sent, const Tensor &table, const Tensor &vector, const Tensor &index,
                    const Lists &lists, SymInt n_local, const MessageShape &shape) {
  static const auto op = operator_handle<Tensor(const Tensor &, const Tensor &, const Tensor &, const Tensor &,
                                                at::TensorList, SymInt, int64_t, bool, double)>("charon::message");
  return op.call(sent, table, vector, index, lists, std::move(n_local), shape.l_max, shape.first, shape.spacing);
}

std::tuple<Tensor, Tensor, Tensor> call_backward(const Tensor &upstream, const Tensor &sent, const Tensor &table,
                                                 const Tensor &vector, const Tensor &index, const Lists &lists,
                                                 const MessageShape &shape, const std::array<bool, 3> &wanted) {
  static const auto op = operator_handle<std::tuple<Tensor, Tensor, Tensor>(
      const Tensor &, const Tensor &, const Tensor &, const Tensor &, const Tensor &, at::TensorList, int64_t, bool,
      double, bool, bool, bool)>("charon::message_backward");
  return op.call(upstream, sent, table, vector, index, lists, shape.l_max, shape.first, shape.spacing, wanted[0],
                 wanted[1], wanted[2]);
}

// Apart from the differentiable tensors: what autograd passes on as it is.
struct Setting {
  MessageShape shape;
  Lists lists;
  std::array<bool, 3> wanted{};  // gradients of sent, table, edge_vector
};

void keep(AutogradContext *ctx, const Setting &setting) {
  const MessageShape &shape = setting.shape;
  ctx->saved_data["lists"] = setting.lists;
  ctx->saved_data["l_max"] = shape.l_max;
  ctx->saved_data["first"] = shape.first;
  ctx->saved_data["spacing"] = shape.spacing;
}

MessageShape kept_shape(AutogradContext *ctx) {
  return {ctx->saved_data["l_max"].toInt(), ctx->saved_data["first"].toBool(), ctx->saved_data["spacing"].toDouble()};
}

Tensor wanted_or_none(const Tensor &gradient, bool wanted) { return wanted ? gradient : Tensor(); }

struct MessageBackward : torch::autograd::Function<MessageBackward> {
  static variable_list forward(AutogradContext *ctx, const Tensor &upstream, const Tensor &sent, const Tensor &table,
                               const Tensor &vector, const Tensor &index, const Setting &setting) {
    const at::AutoDispatchBelowADInplaceOrView below_autograd;
    keep(ctx, setting);
    ctx->save_for_backward({upstream, sent, table, vector, index});
    ctx->saved_data["of_sent"] = setting.wanted[0];
    ctx->saved_data["of_table"] = setting.wanted[1];
    ctx->saved_data["of_vector"] = setting.wanted[2];
    auto [s, t, v] = call_backward(upstream, sent, table, vector, index, setting.lists, setting.shape, setting.wanted);
    return {s, t, v};
  }

  static variable_list backward(AutogradContext *ctx, variable_list cotangents) {
    const bool beyond_kernels = (ctx->saved_data["of_table"].toBool() && cotangents[1].defined()) ||
                                ctx->needs_input_grad(3) || at::GradMode::is_enabled() ||
                                !ctx->get_saved_variables()[1].is_cpu();
    variable_list found = beyond_kernels ? by_reference(ctx, cotangents) : by_kernels(ctx, cotangents);
    found.resize(6);
    return found;
  }

  static variable_list by_kernels(AutogradContext *ctx, const variable_list &cotangents) {
    const variable_list saved = ctx->get_saved_variables();
    const MessageShape shape = kept_shape(ctx);
    const auto or_zeros = [](const Tensor &x, const Tensor &like) {
      return x.defined() && x.sizes() == like.sizes() ? x : at::zeros_like(like);
    };
    auto [upstream, sent, table] = message_tangent_cpu(
        or_zeros(cotangents[0], saved[1]), or_zeros(cotangents[2], saved[3]), saved[0], saved[1], saved[2], saved[3],
        ctx->saved_data["lists"].toTensorVector(), shape, ctx->needs_input_grad(1), ctx->needs_input_grad(2));
    return {upstream, wanted_or_none(sent, ctx->needs_input_grad(1)), wanted_or_none(table, ctx->needs_input_grad(2))};
  }

  // Differentiates the plain-torch message twice.
  static variable_list by_reference(AutogradContext *ctx, const variable_list &cotangents) {
    const variable_list saved = ctx->get_saved_variables();
    const MessageShape shape = kept_shape(ctx);
    const bool go_on = at::GradMode::is_enabled();
    const at::AutoGradMode record(true);
    variable_list inputs;
    for (int k = 0; k < 4; ++k)
      inputs.push_back(go_on && saved[k].requires_grad() ? saved[k].view_as(saved[k])
                                                         : saved[k].detach().requires_grad_(true));
    const Tensor message = message_reference(inputs[1], inputs[2], inputs[3], saved[4], inputs[0].sym_size(0),
                                             shape.l_max, shape.first, shape.spacing);
    const variable_list gradients =
        torch::autograd::grad({message}, {inputs[1], inputs[2], inputs[3]}, {inputs[0]}, true, true, true);
    variable_list outputs, directions;
    const char *names[3] = {"of_sent", "of_table", "of_vector"};
    for (int k = 0; k < 3; ++k) {
      if (!ctx->saved_data[names[k]].toBool() || !cotangents[k].defined() || !gradients[k].defined()) continue;
      outputs.push_back(gradients[k]);
      directions.push_back(cotangents[k]);
    }
    if (outputs.empty()) return variable_list(4);
    return torch::autograd::grad(outputs, inputs, directions, go_on, go_on, true);
  }
};

struct Message : torch::autograd::Function<Message> {
  static Tensor forward(AutogradContext *ctx, const Tensor &sent, const Tensor &table, const Tensor &vector,
                        const Tensor &index, SymInt n_local, const Setting &setting) {
    const at::AutoDispatchBelowADInplaceOrView below_autograd;
    keep(ctx, setting);
    ctx->save_for_backward({sent, table, vector, index});
    return call_forward(sent, table, vector, index, setting.lists, std::move(n_local), setting.shape);
  }

  static variable_list backward(AutogradContext *ctx, variable_list upstream) {
    const variable_list saved = ctx->get_saved_variables();
    const std::array<bool, 3> wanted{ctx->needs_input_grad(0), ctx->needs_input_grad(1), ctx->needs_input_grad(2)};
    auto [sent, table, vector] = call_backward(upstream[0], saved[0], saved[1], saved[2], saved[3],
                                               ctx->saved_data["lists"].toTensorVector(), kept_shape(ctx), wanted);
    variable_list found{wanted_or_none(sent, wanted[0]), wanted_or_none(table, wanted[1]),
                        wanted_or_none(vector, wanted[2])};
    found.resize(6);
    return found;
  }
};

Tensor forward_autograd(const Tensor &sent, const Tensor &table, const Tensor &vector, const Tensor &index,
                        at::TensorList lists, SymInt n_local, int64_t l_max, bool first, double spacing) {
  if (!sent.is_cpu() && !sent.is_meta())  // plain torch has all derivatives of its own
    return message_reference(sent, table, vector, index, std::move(n_local), l_max, first, spacing);
  return Message::apply(sent, table, vector, index, std::move(n_local), Setting{{l_max, first, spacing}, lists.vec()});
}

std::tuple<Tensor, Tensor, Tensor> backward_autograd(const Tensor &upstream, const Tensor &sent, const Tensor &table,
                                                     const Tensor &vector, const Tensor &index, at::TensorList lists,
                                                     int64_t l_max, bool first, double spacing, bool of_sent,
                                                     bool of_table, bool of_vector) {
  const variable_list found =
      MessageBackward::apply(upstream, sent, table, vector, index,
                             Setting{{l_max, first, spacing}, lists.vec(), {of_sent, of_table, of_vector}});
  return {found[0], found[1], found[2]};
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(charon, library) {
  library.def(
      "message(Tensor sent, Tensor table, Tensor edge_vector, Tensor edge_index, Tensor[] lists, SymInt nlocal, "
      "int l_max, bool first, float spacing) -> Tensor");
  library.def(
      "message_backward(Tensor upstream, Tensor sent, Tensor table, Tensor edge_vector, Tensor edge_index, "
      "Tensor[] lists, int l_max, bool first, float spacing, bool of_sent, bool of_table, bool of_vector) "
      "-> (Tensor, Tensor, Tensor)");
  library.def(
      "message_reference(Tensor sent, Tensor table, Tensor edge_vector, Tensor edge_index, SymInt nlocal, "
      "int l_max, bool first, float spacing) -> Tensor",
      message_reference);
  library.def("_instruction_set() -> str", [] { return std::string(instruction_set()); });
}

TORCH_LIBRARY_IMPL(charon, CPU, library) {
  library.impl("message", [](const Tensor &sent, const Tensor &table, const Tensor &vector, const Tensor &,
                             at::TensorList lists, int64_t n_local, int64_t l_max, bool first, double spacing) {
    return message_cpu(sent, table, vector, lists.vec(), n_local, {l_max, first, spacing});
  });
  library.impl("message_backward", [](const Tensor &upstream, const Tensor &sent, const Tensor &table,
                                      const Tensor &vector, const Tensor &, at::TensorList lists, int64_t l_max,
                                      bool first, double spacing, bool of_sent, bool of_table, bool of_vector) {
    return message_backward_cpu(upstream, sent, table, vector, lists.vec(), {l_max, first, spacing}, of_sent, of_table,
                                of_vector);
  });
}

TORCH_LIBRARY_IMPL(charon, CUDA, library) {
  library.impl("message", [](const Tensor &sent, const Tensor &table, const Tensor &vector, const Tensor &index,
                             at::TensorList, SymInt n_local, int64_t l_max, bool first, double spacing) {
    return message_reference(sent, table, vector, index, std::move(n_local), l_max, first, spacing);
  });
}

TORCH_LIBRARY_IMPL(charon, Meta, library) {
  library.impl("message", [](const Tensor &sent, const Tensor &table, const Tensor &vector, const Tensor &index,
                             at::TensorList lists, SymInt n_local, int64_t l_max, bool first, double spacing) {
    return forward_meta(sent, table, vector, index, lists.vec(), std::move(n_local), l_max, first, spacing);
  });
  library.impl("message_backward", [](const Tensor &upstream, const Tensor &sent, const Tensor &table,
                                      const Tensor &vector, const Tensor &index, at::TensorList lists, int64_t l_max,
                                      bool first, double spacing, bool of_sent, bool of_table, bool of_vector) {
    return backward_meta(upstream, sent, table, vector, index, lists.vec(), l_max, first, spacing, of_sent, of_table,
                         of_vector);
  });
}

TORCH_LIBRARY_IMPL(charon, Autograd, library) {
  library.impl("message", forward_autograd);
  library.impl("message_backward", backward_autograd);
}

}  // namespace charon
