// charon::update and its derivatives on the CPU: checks, and kernels over ranges of atoms.
#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>

#include <algorithm>

#include "cpu_functions.h"
#include "instruction_sets.h"

namespace charon {

namespace {

using at::Tensor;

constexpr int64_t atoms_per_thread = 24, atoms_per_sum = 480, most_sums = 8;

// Weights in the order of UpdateWeights; the last two only with l_max 2.
using Weights = std::vector<Tensor>;
constexpr size_t matrices[] = {0, 1, 2, 3, 8, 9};  // the others are biases and rows of elements

template <class T>
UpdateWeights<T> pointers(const Weights &weights, int64_t offset = 0) {
  UpdateWeights<T> found;
  T **places[] = {&found.vector_in,  &found.hidden,        &found.gates,        &found.vector_out, &found.hidden_bias,
                  &found.gates_bias, &found.element_scale, &found.element_gate, &found.tensor_in,  &found.tensor_out};
  for (size_t k = 0; k < weights.size(); ++k) {
    if constexpr (std::is_const_v<T>)
      *places[k] = weights[k].defined() ? weights[k].const_data_ptr<std::remove_const_t<T>>() : nullptr;
    else
      *places[k] = weights[k].mutable_data_ptr<T>() + offset * weights[k][0].numel();
  }
  return found;
}

Weights contiguous(const Weights &weights) {
  Weights found;
  for (const Tensor &weight : weights) found.push_back(weight.contiguous());
  return found;
}

// Flipped matrices at the places of the weights that they belong to.
Weights by_weight(const Weights &flipped, size_t n_weights) {
  Weights found(n_weights);
  size_t next = 0;
  for (const size_t k : matrices)
    if (k < n_weights) found[k] = flipped[next++];
  return found;
}

void check(const Tensor &state, const Tensor &message, const Tensor &types, const Weights &weights, int64_t l_max) {
  const int64_t rows = (l_max + 1) * (l_max + 1);
  TORCH_CHECK(l_max == 1 || l_max == 2, "charon::update: expected l_max 1 or 2, found ", l_max);
  TORCH_CHECK(state.dim() == 3 && state.size(1) == rows && message.sizes() == state.sizes() &&
                  message.scalar_type() == state.scalar_type(),
              "charon::update: expected state and message [n, ", rows, ", channels] of one type, found ", state.sizes(),
              " of ", state.scalar_type(), " and ", message.sizes(), " of ", message.scalar_type());
  TORCH_CHECK(types.dim() == 1 && types.size(0) == state.size(0) && types.scalar_type() == at::kLong,
              "charon::update: expected types [", state.size(0), "] of int64, found ", types.sizes());
  const int64_t c = state.size(2), invariants = l_max == 1 ? 4 : 7, gates = l_max == 1 ? 2 : 5;
  const std::vector<std::vector<int64_t>> shapes{{2 * c, (l_max == 1 ? 2 : 1) * c},
                                                 {invariants * c, 3 * c},
                                                 {2 * c, (1 + gates) * c},
                                                 {2 * c, c},
                                                 {3 * c},
                                                 {(1 + gates) * c},
                                                 {-1, invariants * c},
                                                 {-1, gates * c},
                                                 {2 * c, c},
                                                 {3 * c, c}};
  const size_t expected = l_max == 1 ? 8 : 10;
  TORCH_CHECK(weights.size() == expected, "charon::update: expected ", expected, " weights, found ", weights.size());
  for (size_t k = 0; k < expected; ++k) {
    std::vector<int64_t> shape = shapes[k];
    if (shape[0] < 0) shape[0] = weights[6].dim() > 0 ? weights[6].size(0) : 0;  // elements
    TORCH_CHECK(weights[k].sizes() == at::IntArrayRef(shape) && weights[k].scalar_type() == state.scalar_type(),
                "charon::update: expected weight ", k, " as ", at::IntArrayRef(shape), " of ", state.scalar_type(),
                ", found ", weights[k].sizes(), " of ", weights[k].scalar_type());
  }
}

void check_types(const Tensor &types, const Weights &weights) {
  const int64_t n_elements = weights[6].size(0);
  const Tensor t = types.contiguous();
  const auto *type = t.const_data_ptr<int64_t>();
  for (int64_t k = 0; k < t.size(0); ++k)
    TORCH_CHECK(type[k] >= 0 && type[k] < n_elements, "charon::update: types[", k, "] is ", type[k],
                ", expected an element below ", n_elements);
}

template <class T>
UpdateTask<T> make_task(const Tensor &state, const Tensor &message, const Tensor &types, const Weights &weights,
                        const Weights &flipped, int64_t l_max) {
  UpdateTask<T> task{};
  task.l_max = static_cast<int>(l_max);
  task.channels = state.size(2);
  task.types = types.const_data_ptr<int64_t>();
  task.state = state.const_data_ptr<T>();
  task.message = message.const_data_ptr<T>();
  task.weight = pointers<const T>(weights);
  task.transposed = pointers<const T>(flipped);
  return task;
}

// Runs a kernel over the atoms. The gradients of weights are summed over fixed ranges of atoms and then over the
// ranges, in order: they do not depend on the number of threads.
template <class T, class Kernel>
Weights over_atoms(UpdateTask<T> task, int64_t n, const Weights &weights, bool of_weights, Kernel kernel) {
  if (!of_weights) {
    at::parallel_for(0, n, atoms_per_thread, [&](int64_t begin, int64_t end) { kernel(task, begin, end); });
    return {};
  }
  const int64_t parts = std::clamp<int64_t>(n / atoms_per_sum, 1, most_sums);
  Weights sums;
  for (const Tensor &weight : weights) {
    std::vector<int64_t> shape = weight.sizes().vec();
    shape.insert(shape.begin(), parts);
    sums.push_back(at::zeros(shape, weight.options()));
  }
  at::parallel_for(0, parts, 1, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; ++part) {
      const UpdateWeights<T> gradient = pointers<T>(sums, part);
      UpdateTask<T> own = task;
      own.weight_gradient = &gradient;
      kernel(own, n * part / parts, n * (part + 1) / parts);
    }
  });
  for (Tensor &sum : sums) sum = parts == 1 ? sum.squeeze(0) : sum.sum(0);
  return sums;
}

}  // namespace

std::vector<Tensor> flipped_matrices(const std::vector<Tensor> &weights) {
  Weights found;
  for (const size_t k : matrices)
    if (k < weights.size()) found.push_back(weights[k].t().contiguous());
  return found;
}

Tensor update_cpu(const Tensor &state, const Tensor &message, const Tensor &types, const Weights &given,
                  int64_t l_max) {
  check(state, message, types, given, l_max);
  check_types(types, given);
  const Tensor s = state.contiguous(), m = message.contiguous(), t = types.contiguous();
  const Weights weights = contiguous(given);
  Tensor updated = at::empty(s.sizes(), s.options());
  AT_DISPATCH_FLOATING_TYPES(s.scalar_type(), "charon::update", [&] {
    auto task = make_task<scalar_t>(s, m, t, weights, Weights(weights.size()), l_max);
    task.updated = updated.mutable_data_ptr<scalar_t>();
    over_atoms(task, s.size(0), weights, false, update_kernels<scalar_t>().forward);
  });
  return updated;
}

std::tuple<Tensor, Tensor, Weights> update_backward_cpu(const Tensor &upstream, const Tensor &state,
                                                        const Tensor &message, const Tensor &types,
                                                        const Weights &given, const Weights &given_flipped,
                                                        int64_t l_max, bool of_weights, bool overwrite_message) {
  check(state, message, types, given, l_max);
  check_types(types, given);
  const Tensor g = upstream.contiguous(), s = state.contiguous(), m = message.contiguous(), t = types.contiguous();
  const Weights weights = contiguous(given);
  const Weights flipped = by_weight(given_flipped.empty() ? flipped_matrices(given) : given_flipped, given.size());
  Tensor of_state = at::empty(s.sizes(), s.options());
  Tensor of_message = overwrite_message ? m : at::empty(s.sizes(), s.options());
  Weights gradients;
  AT_DISPATCH_FLOATING_TYPES(s.scalar_type(), "charon::update_backward", [&] {
    auto task = make_task<scalar_t>(s, m, t, weights, flipped, l_max);
    task.upstream = g.const_data_ptr<scalar_t>();
    task.state_gradient = of_state.mutable_data_ptr<scalar_t>();
    task.message_gradient = of_message.mutable_data_ptr<scalar_t>();
    gradients = over_atoms(task, s.size(0), weights, of_weights, update_kernels<scalar_t>().backward);
  });
  return {of_state, of_message, gradients};
}

std::tuple<Tensor, Tensor, Tensor, Weights> update_tangent_cpu(const Tensor &state_tangent,
                                                               const Tensor &message_tangent, const Tensor &upstream,
                                                               const Tensor &state, const Tensor &message,
                                                               const Tensor &types, const Weights &given, int64_t l_max,
                                                               bool of_weights) {
  check(state, message, types, given, l_max);
  check_types(types, given);
  const Tensor ds = state_tangent.contiguous(), dm = message_tangent.contiguous();
  const Tensor g = upstream.contiguous(), s = state.contiguous(), m = message.contiguous(), t = types.contiguous();
  const Weights weights = contiguous(given), flipped = by_weight(flipped_matrices(given), given.size());
  const auto like_state = [&] { return at::empty(s.sizes(), s.options()); };
  Tensor of_upstream = like_state(), of_state = like_state(), of_message = like_state();
  Weights gradients;
  AT_DISPATCH_FLOATING_TYPES(s.scalar_type(), "charon::update_tangent", [&] {
    auto task = make_task<scalar_t>(s, m, t, weights, flipped, l_max);
    task.upstream = g.const_data_ptr<scalar_t>();
    task.state_tangent = ds.const_data_ptr<scalar_t>();
    task.message_tangent = dm.const_data_ptr<scalar_t>();
    task.updated = of_upstream.mutable_data_ptr<scalar_t>();
    task.state_gradient = of_state.mutable_data_ptr<scalar_t>();
    task.message_gradient = of_message.mutable_data_ptr<scalar_t>();
    gradients = over_atoms(task, s.size(0), weights, of_weights, update_kernels<scalar_t>().tangent);
  });
  return {of_upstream, of_state, of_message, gradients};
}

}  // namespace charon
