// charon::message and its derivatives as torch operators: the kernels on the CPU, plain torch elsewhere.
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "cpu_functions.h"
#include "edge_lists.h"
#include "instruction_sets.h"
#include "message_reference.h"

namespace charon {

namespace {

using at::Tensor;
using c10::SymInt;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t atoms_per_thread = 8, atoms_per_table = 512, most_tables = 8;

struct Layer {  // what stays the same over all derivatives of one message
  int64_t l_max;
  bool first;
  double spacing;

  int64_t received() const { return (l_max + 1) * (l_max + 1); }
  int64_t sent() const { return l_max + 1 + (first ? 0 : received() - 1); }
  int64_t filters() const { return first ? l_max + 1 : 2 * l_max + 1; }
};

void check(const Layer &layer, const Tensor &sent, const Tensor &table, const Tensor &edge_vector) {
  TORCH_CHECK(layer.l_max >= 0 && layer.l_max <= 2 && (layer.first || layer.l_max > 0),
              "charon::message: expected l_max 0 (first only), 1 or 2, found ", layer.l_max);
  TORCH_CHECK(sent.dim() == 3 && sent.size(1) == layer.sent(), "charon::message: expected sent [n_all, ", layer.sent(),
              ", channels], found ", sent.sizes());
  TORCH_CHECK(
      table.dim() == 3 && table.size(0) > 3 && table.size(1) == layer.filters() && table.size(2) == sent.size(2),
      "charon::message: expected table [segments + 3, ", layer.filters(), ", ", sent.size(2), "], found ",
      table.sizes());
  TORCH_CHECK(layer.spacing > 0, "charon::message: expected a positive spacing of the knots, found ", layer.spacing);
  TORCH_CHECK(edge_vector.dim() == 2 && edge_vector.size(1) == 3, "charon::message: expected edge_vector [n_edges, 3],",
              " found ", edge_vector.sizes());
  TORCH_CHECK(table.scalar_type() == sent.scalar_type() && edge_vector.scalar_type() == sent.scalar_type(),
              "charon::message: expected one type of floats, found ", sent.scalar_type(), ", ", table.scalar_type(),
              " and ", edge_vector.scalar_type());
}

void check_lists(const EdgeLists &lists, const Tensor &sent, const Tensor &edge_vector, int64_t n_local) {
  TORCH_CHECK(
      lists.n_local() == n_local && lists.n_all() == sent.size(0) && lists.neighbor.size(0) == edge_vector.size(0),
      "charon::message: expected sizes of the lists: ", lists.n_local(), " centers, ", lists.n_all(), " rows sent and ",
      lists.neighbor.size(0), " edges; found ", n_local, ", ", sent.size(0), " and ", edge_vector.size(0));
}

template <class T>
MessageTask<T> make_task(const Layer &layer, const Tensor &sent, const Tensor &table, const Tensor &edge_vector) {
  MessageTask<T> task{};
  task.l_max = static_cast<int>(layer.l_max);
  task.first = layer.first;
  task.channels = sent.size(2);
  task.segments = table.size(0) - 3;
  task.inverse_spacing = static_cast<T>(1.0 / layer.spacing);
  task.sent = sent.const_data_ptr<T>();
  task.table = table.const_data_ptr<T>();
  task.edge_vector = edge_vector.const_data_ptr<T>();
  return task;
}

template <class T>
void by_center(MessageTask<T> &task, const EdgeLists &lists) {
  task.start = lists.center_start.const_data_ptr<int32_t>();
  task.partner = lists.neighbor.const_data_ptr<int32_t>();
  task.edge = nullptr;
}

template <class T>
void by_neighbor(MessageTask<T> &task, const EdgeLists &lists) {
  task.start = lists.neighbor_start.const_data_ptr<int32_t>();
  task.partner = lists.center_of_slot.const_data_ptr<int32_t>();
  task.edge = lists.edge_of_slot.const_data_ptr<int32_t>();
}

template <class T, class Kernel>
void over_atoms(int64_t n, const MessageTask<T> &task, Kernel kernel) {
  at::parallel_for(0, n, atoms_per_thread, [&](int64_t begin, int64_t end) { kernel(task, begin, end); });
}

// Partial tables of fixed ranges of atoms, added in order: the sum does not depend on the number of threads.
template <class T, class Kernel>
Tensor table_sum(MessageTask<T> task, int64_t n, const Tensor &table, Kernel kernel) {
  const int64_t parts = std::clamp<int64_t>(n / atoms_per_table, 1, most_tables);
  Tensor partial = at::zeros({parts, table.size(0), table.size(1), table.size(2)}, table.options());
  auto *data = partial.mutable_data_ptr<T>();
  at::parallel_for(0, parts, 1, [&](int64_t begin, int64_t end) {
    MessageTask<T> own = task;
    for (int64_t part = begin; part < end; ++part) {
      own.table_gradient = data + part * table.numel();
      kernel(own, n * part / parts, n * (part + 1) / parts);
    }
  });
  return parts == 1 ? partial.squeeze(0) : partial.sum(0);
}

using Lists = std::vector<Tensor>;

}  // namespace

// ---- CPU

Tensor message_cpu(const Tensor &sent, const Tensor &table, const Tensor &edge_vector, const Lists &lists,
                   int64_t n_local, int64_t l_max, bool first, double spacing) {
  const Layer layer{l_max, first, spacing};
  const EdgeLists edges = EdgeLists::of(lists);
  check(layer, sent, table, edge_vector);
  check_lists(edges, sent, edge_vector, n_local);
  const Tensor s = sent.contiguous(), t = table.contiguous(), r = edge_vector.contiguous();
  Tensor received = at::empty({n_local, layer.received(), s.size(2)}, s.options());
  AT_DISPATCH_FLOATING_TYPES(s.scalar_type(), "charon::message", [&] {
    auto task = make_task<scalar_t>(layer, s, t, r);
    by_center(task, edges);
    task.received = received.mutable_data_ptr<scalar_t>();
    over_atoms(n_local, task, message_kernels<scalar_t>().forward);
  });
  return received;
}

std::tuple<Tensor, Tensor, Tensor> message_backward_cpu(const Tensor &upstream, const Tensor &sent, const Tensor &table,
                                                        const Tensor &edge_vector, const Lists &lists, int64_t l_max,
                                                        bool first, double spacing, bool of_sent, bool of_table,
                                                        bool of_vector) {
  const Layer layer{l_max, first, spacing};
  const EdgeLists edges = EdgeLists::of(lists);
  check(layer, sent, table, edge_vector);
  check_lists(edges, sent, edge_vector, upstream.size(0));
  const Tensor g = upstream.contiguous(), s = sent.contiguous(), t = table.contiguous(), r = edge_vector.contiguous();
  Tensor sent_gradient = at::empty(of_sent ? s.sizes() : at::IntArrayRef{0}, s.options());
  Tensor vector_gradient = at::empty(of_vector ? r.sizes() : at::IntArrayRef{0}, r.options());
  Tensor table_gradient = at::empty({0}, t.options());
  AT_DISPATCH_FLOATING_TYPES(s.scalar_type(), "charon::message_backward", [&] {
    auto task = make_task<scalar_t>(layer, s, t, r);
    task.upstream = g.const_data_ptr<scalar_t>();
    task.sent_gradient = of_sent ? sent_gradient.mutable_data_ptr<scalar_t>() : nullptr;
    task.vector_gradient = of_vector ? vector_gradient.mutable_data_ptr<scalar_t>() : nullptr;
    by_neighbor(task, edges);
    if (of_sent || of_vector) over_atoms(s.size(0), task, message_kernels<scalar_t>().backward);
    by_center(task, edges);
    if (of_table) table_gradient = table_sum(task, g.size(0), t, message_kernels<scalar_t>().table);
  });
  return {sent_gradient, table_gradient, vector_gradient};
}

namespace {

// Derivatives of <sent_tangent, gradient of sent> + <vector_tangent, gradient of edge_vector>: upstream, sent, table.
std::tuple<Tensor, Tensor, Tensor> tangent_cpu(const Tensor &sent_tangent, const Tensor &vector_tangent,
                                               const Tensor &upstream, const Tensor &sent, const Tensor &table,
                                               const Tensor &edge_vector, const Tensor &, const Lists &lists,
                                               int64_t l_max, bool first, double spacing, bool of_sent, bool of_table) {
  const Layer layer{l_max, first, spacing};
  const EdgeLists edges = EdgeLists::of(lists);
  check(layer, sent, table, edge_vector);
  check_lists(edges, sent, edge_vector, upstream.size(0));
  const Tensor g = upstream.contiguous(), s = sent.contiguous(), t = table.contiguous(), r = edge_vector.contiguous();
  const Tensor ds = sent_tangent.contiguous(), dr = vector_tangent.contiguous();
  Tensor received = at::empty(g.sizes(), g.options());
  Tensor sent_gradient = at::empty(of_sent ? s.sizes() : at::IntArrayRef{0}, s.options());
  Tensor table_gradient = at::empty({0}, t.options());
  AT_DISPATCH_FLOATING_TYPES(s.scalar_type(), "charon::message_tangent", [&] {
    auto task = make_task<scalar_t>(layer, s, t, r);
    task.upstream = g.const_data_ptr<scalar_t>();
    task.sent_tangent = ds.const_data_ptr<scalar_t>();
    task.vector_tangent = dr.const_data_ptr<scalar_t>();
    task.received = received.mutable_data_ptr<scalar_t>();
    task.sent_gradient = of_sent ? sent_gradient.mutable_data_ptr<scalar_t>() : nullptr;
    const MessageKernels<scalar_t> &kernels = message_kernels<scalar_t>();
    by_center(task, edges);
    over_atoms(g.size(0), task, kernels.forward_tangent);
    if (of_table) table_gradient = table_sum(task, g.size(0), t, kernels.table_tangent);
    by_neighbor(task, edges);
    if (of_sent) over_atoms(s.size(0), task, kernels.backward_tangent);
  });
  return {received, sent_gradient, table_gradient};
}

// ---- other devices and shapes

Tensor forward_reference(const Tensor &sent, const Tensor &table, const Tensor &edge_vector, const Tensor &edge_index,
                         const Lists &, SymInt n_local, int64_t l_max, bool first, double spacing) {
  return message_reference(sent, table, edge_vector, edge_index, std::move(n_local), l_max, first, spacing);
}

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

template <class Signature>
c10::TypedOperatorHandle<Signature> operator_handle(const char *name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Signature>();
}

Tensor call_forward(const Tensor &sent, const Tensor &table, const Tensor &vector, const Tensor &index,
                    const Lists &lists, SymInt n_local, const Layer &layer) {
  static const auto op = operator_handle<Tensor(const Tensor &, const Tensor &, const Tensor &, const Tensor &,
                                                at::TensorList, SymInt, int64_t, bool, double)>("charon::message");
  return op.call(sent, table, vector, index, lists, std::move(n_local), layer.l_max, layer.first, layer.spacing);
}

std::tuple<Tensor, Tensor, Tensor> call_backward(const Tensor &upstream, const Tensor &sent, const Tensor &table,
                                                 const Tensor &vector, const Tensor &index, const Lists &lists,
                                                 const Layer &layer, const std::array<bool, 3> &wanted) {
  static const auto op = operator_handle<std::tuple<Tensor, Tensor, Tensor>(
      const Tensor &, const Tensor &, const Tensor &, const Tensor &, const Tensor &, at::TensorList, int64_t, bool,
      double, bool, bool, bool)>("charon::message_backward");
  return op.call(upstream, sent, table, vector, index, lists, layer.l_max, layer.first, layer.spacing, wanted[0],
                 wanted[1], wanted[2]);
}

// Apart from the differentiable tensors: what autograd passes on as it is.
struct Setting {
  Layer layer;
  Lists lists;
  std::array<bool, 3> wanted{};  // gradients of sent, table, edge_vector
};

void keep(AutogradContext *ctx, const Setting &setting) {
  const Layer &layer = setting.layer;
  ctx->saved_data["lists"] = setting.lists;
  ctx->saved_data["l_max"] = layer.l_max;
  ctx->saved_data["first"] = layer.first;
  ctx->saved_data["spacing"] = layer.spacing;
}

Layer kept_layer(AutogradContext *ctx) {
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
    auto [s, t, v] = call_backward(upstream, sent, table, vector, index, setting.lists, setting.layer, setting.wanted);
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
    const Layer layer = kept_layer(ctx);
    const auto or_zeros = [](const Tensor &x, const Tensor &like) {
      return x.defined() && x.sizes() == like.sizes() ? x : at::zeros_like(like);
    };
    auto [upstream, sent, table] =
        tangent_cpu(or_zeros(cotangents[0], saved[1]), or_zeros(cotangents[2], saved[3]), saved[0], saved[1], saved[2],
                    saved[3], saved[4], ctx->saved_data["lists"].toTensorVector(), layer.l_max, layer.first,
                    layer.spacing, ctx->needs_input_grad(1), ctx->needs_input_grad(2));
    return {upstream, wanted_or_none(sent, ctx->needs_input_grad(1)), wanted_or_none(table, ctx->needs_input_grad(2))};
  }

  // Differentiates the plain-torch message twice.
  static variable_list by_reference(AutogradContext *ctx, const variable_list &cotangents) {
    const variable_list saved = ctx->get_saved_variables();
    const Layer layer = kept_layer(ctx);
    const bool go_on = at::GradMode::is_enabled();
    const at::AutoGradMode record(true);
    variable_list inputs;
    for (int k = 0; k < 4; ++k)
      inputs.push_back(go_on && saved[k].requires_grad() ? saved[k].view_as(saved[k])
                                                         : saved[k].detach().requires_grad_(true));
    const Tensor message = message_reference(inputs[1], inputs[2], inputs[3], saved[4], inputs[0].sym_size(0),
                                             layer.l_max, layer.first, layer.spacing);
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
    return call_forward(sent, table, vector, index, setting.lists, std::move(n_local), setting.layer);
  }

  static variable_list backward(AutogradContext *ctx, variable_list upstream) {
    const variable_list saved = ctx->get_saved_variables();
    const std::array<bool, 3> wanted{ctx->needs_input_grad(0), ctx->needs_input_grad(1), ctx->needs_input_grad(2)};
    auto [sent, table, vector] = call_backward(upstream[0], saved[0], saved[1], saved[2], saved[3],
                                               ctx->saved_data["lists"].toTensorVector(), kept_layer(ctx), wanted);
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
    return message_cpu(sent, table, vector, lists.vec(), n_local, l_max, first, spacing);
  });
  library.impl("message_backward", [](const Tensor &upstream, const Tensor &sent, const Tensor &table,
                                      const Tensor &vector, const Tensor &, at::TensorList lists, int64_t l_max,
                                      bool first, double spacing, bool of_sent, bool of_table, bool of_vector) {
    return message_backward_cpu(upstream, sent, table, vector, lists.vec(), l_max, first, spacing, of_sent, of_table,
                                of_vector);
  });
}

TORCH_LIBRARY_IMPL(charon, CUDA, library) {
  library.impl("message", [](const Tensor &sent, const Tensor &table, const Tensor &vector, const Tensor &index,
                             at::TensorList lists, SymInt n_local, int64_t l_max, bool first, double spacing) {
    return forward_reference(sent, table, vector, index, lists.vec(), std::move(n_local), l_max, first, spacing);
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
