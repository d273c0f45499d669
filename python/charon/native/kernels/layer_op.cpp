// charon::layer: a message and the update after it as one operator, for models that are no longer trained. One node of
// autograd, no copies of weights, gradients added in place; the formulas are those of message_op and update_op.
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "comm_rows.h"
#include "cpu_functions.h"

namespace charon {

namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;
using Tensors = std::vector<Tensor>;

struct Shape : MessageShape {
  int64_t directions() const { return received() - 1; }  // v, t
  size_t update_weights() const { return l_max == 1 ? 8 : 10; }
  size_t weights() const { return 3 + update_weights() + (l_max == 1 ? 4 : 6); }
};

// source, bias (`first`: the embedding of the elements), table, the weights of the update and its flipped matrices.
struct Weights {
  Tensor source, bias, table;
  Tensors update, flipped;

  Weights(const Tensors &all, const Shape &shape) : source(all[0]), bias(all[1]), table(all[2]) {
    const auto middle = all.begin() + 3 + static_cast<std::ptrdiff_t>(shape.update_weights());
    update.assign(all.begin() + 3, middle);
    flipped.assign(middle, all.end());
  }
};

void check(const Tensor &state, const Tensor &types, const Tensors &weights, const Shape &shape) {
  TORCH_CHECK(shape.l_max == 1 || shape.l_max == 2, "charon::layer: expected l_max 1 or 2, found ", shape.l_max);
  TORCH_CHECK(state.dim() == 3 && state.size(1) == shape.received(), "charon::layer: expected state [n_local, ",
              shape.received(), ", channels], found ", state.sizes());
  TORCH_CHECK(types.dim() == 1 && types.scalar_type() == at::kLong && types.size(0) >= state.size(0),
              "charon::layer: expected types [n_all] of int64 for ", state.size(0), " local atoms, found ",
              types.sizes(), " of ", types.scalar_type());
  TORCH_CHECK(weights.size() == shape.weights(), "charon::layer: expected ", shape.weights(), " weights, found ",
              weights.size());
  const int64_t c = state.size(2);
  const int64_t width = shape.own() * c;
  const bool fits = shape.first ? weights[0].dim() == 2 && weights[0].size(1) == width &&
                                      weights[1].sizes() == at::IntArrayRef({weights[0].size(0), c})
                                : weights[0].sizes() == at::IntArrayRef({c, width}) && weights[1].numel() == width;
  TORCH_CHECK(fits, "charon::layer: expected a source ", shape.first ? "[n_elements, " : "[channels, ", width,
              "] and its bias or the embedding, found ", weights[0].sizes(), " and ", weights[1].sizes());
}

// Rows h of [n, h and directions, channels] as a matrix [n, h channels] on the same memory.
Tensor flat_rows(const Tensor &x, int64_t rows) {
  return x.as_strided({x.size(0), rows * x.size(2)}, {x.stride(0), 1}, x.storage_offset());
}

// What atoms send in the first layer depends on their elements alone: ghosts need no exchange.
Tensor rows_of_elements(const Tensor &types, const Weights &weights, const Shape &shape) {
  return weights.source.index_select(0, types).view({types.size(0), shape.own(), weights.bias.size(1)});
}

// What the owned atoms send later.
Tensor rows_of_states(const Tensor &state, const Weights &weights, const Shape &shape) {
  const Tensor rows = at::empty({state.size(0), shape.sent(), state.size(2)}, state.options());
  Tensor scalars = flat_rows(rows, shape.own());
  at::addmm_out(scalars, weights.bias, state.select(1, 0), weights.source);
  rows.narrow(1, shape.own(), shape.directions()).copy_(state.narrow(1, 1, shape.directions()));
  return rows;
}

// The state before the first layer: scalars of the element, no directions.
Tensor first_state(const Tensor &types, const Weights &weights, const Shape &shape) {
  const Tensor state = at::zeros({types.size(0), shape.received(), weights.bias.size(1)}, weights.bias.options());
  state.select(1, 0).copy_(weights.bias.index_select(0, types));
  return state;
}

struct Setting {
  Shape shape;
  Tensor types;
  Tensors lists, weights;
};

// What is cheap to make again is not kept: rows sent without any exchange, and the first state.
struct Layer : torch::autograd::Function<Layer> {
  static Tensor forward(AutogradContext *ctx, const Tensor &given, const Tensor &edge_vector, const Setting &setting) {
    const at::AutoDispatchBelowADInplaceOrView below_autograd;
    const Shape &shape = setting.shape;
    check(given, setting.types, setting.weights, shape);
    const Weights weights(setting.weights, shape);
    const int64_t n_local = given.size(0);
    const Tensor state = given.contiguous(), types = setting.types.narrow(0, 0, n_local);
    const Tensor sent = shape.first ? rows_of_elements(setting.types, weights, shape)
                                    : exchanged_forward(rows_of_states(state, weights, shape), setting.types.size(0));
    const Tensor message = message_cpu(sent, weights.table, edge_vector, setting.lists, n_local, shape);
    const bool exchanged = !shape.first && must_exchange(n_local, setting.types.size(0));
    ctx->save_for_backward({shape.first ? Tensor() : state, edge_vector, exchanged ? sent : Tensor(), message});
    ctx->saved_data["types"] = setting.types;
    ctx->saved_data["n_local"] = n_local;
    ctx->saved_data["lists"] = setting.lists;
    ctx->saved_data["weights"] = setting.weights;
    ctx->saved_data["l_max"] = shape.l_max;
    ctx->saved_data["first"] = shape.first;
    ctx->saved_data["spacing"] = shape.spacing;
    return update_cpu(state, message, types, weights.update, shape.l_max);
  }

  static variable_list backward(AutogradContext *ctx, variable_list upstream) {
    TORCH_CHECK(!at::GradMode::is_enabled(),
                "charon::layer: an exported model has first derivatives only; take others of the trained one");
    TORCH_CHECK(ctx->saved_data["overwritten"].isNone(), "charon::layer: its graph can be used once");
    ctx->saved_data["overwritten"] = true;
    const Shape shape{
        {ctx->saved_data["l_max"].toInt(), ctx->saved_data["first"].toBool(), ctx->saved_data["spacing"].toDouble()}};
    const Weights weights(ctx->saved_data["weights"].toTensorVector(), shape);
    const variable_list saved = ctx->get_saved_variables();  // state, edge_vector, sent, message
    const Tensor all_types = ctx->saved_data["types"].toTensor();
    const Tensor types = all_types.narrow(0, 0, ctx->saved_data["n_local"].toInt());
    const Tensor state = shape.first ? first_state(types, weights, shape) : saved[0];
    auto [of_state, of_message, none] = update_backward_cpu(upstream[0], state, saved[3], types, weights.update,
                                                            weights.flipped, shape.l_max, false, true);
    const Tensor sent = saved[2].defined() ? saved[2]
                        : shape.first      ? rows_of_elements(all_types, weights, shape)
                                           : rows_of_states(state, weights, shape);
    const bool of_sent = !shape.first && ctx->needs_input_grad(0), of_vector = ctx->needs_input_grad(1);
    const auto [back, table, vector] =
        message_backward_cpu(of_message, sent, weights.table, saved[1], ctx->saved_data["lists"].toTensorVector(),
                             shape, of_sent, false, of_vector);
    if (of_sent) add_sent(of_state, exchanged_reverse(back, types.size(0)), weights, shape);
    return {ctx->needs_input_grad(0) ? of_state : Tensor(), of_vector ? vector : Tensor(), Tensor()};
  }

  // Adds what comes back through the rows that an atom has sent.
  static void add_sent(const Tensor &of_state, const Tensor &of_sent, const Weights &weights, const Shape &shape) {
    of_state.select(1, 0).addmm_(flat_rows(of_sent, shape.own()), weights.source.t());
    of_state.narrow(1, 1, shape.directions()).add_(of_sent.narrow(1, shape.own(), shape.directions()));
  }
};

}  // namespace

TORCH_LIBRARY_FRAGMENT(charon, library) {
  library.def(
      "layer(Tensor state, Tensor types, Tensor edge_vector, Tensor[] lists, Tensor[] weights, int l_max, bool first, "
      "float spacing) -> Tensor");
  library.def("flipped_matrices(Tensor[] weights) -> Tensor[]",
              [](at::TensorList weights) { return flipped_matrices(weights.vec()); });
}

TORCH_LIBRARY_IMPL(charon, Autograd, library) {
  library.impl("layer", [](const Tensor &state, const Tensor &types, const Tensor &edge_vector, at::TensorList lists,
                           at::TensorList weights, int64_t l_max, bool first, double spacing) {
    return Layer::apply(state, edge_vector, Setting{{{l_max, first, spacing}}, types, lists.vec(), weights.vec()});
  });
}

}  // namespace charon
