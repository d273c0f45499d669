// charon::message and its derivatives on the CPU: checks, and kernels over ranges of atoms.
#include <ATen/ATen.h>
#include <ATen/Dispatch.h>
#include <ATen/Parallel.h>

#include <algorithm>

#include "cpu_functions.h"
#include "edge_lists.h"
#include "instruction_sets.h"

namespace charon {

namespace {

using at::Tensor;
using Lists = std::vector<Tensor>;

constexpr int64_t atoms_per_thread = 8, atoms_per_table = 512, most_tables = 8;

void check(const MessageShape &shape, const Tensor &sent, const Tensor &table, const Tensor &edge_vector) {
  TORCH_CHECK(shape.l_max >= 0 && shape.l_max <= 2 && (shape.first || shape.l_max > 0),
              "charon::message: expected l_max 0 (first only), 1 or 2, found ", shape.l_max);
  TORCH_CHECK(sent.dim() == 3 && sent.size(1) == shape.sent(), "charon::message: expected sent [n_all, ", shape.sent(),
              ", channels], found ", sent.sizes());
  TORCH_CHECK(
      table.dim() == 3 && table.size(0) > 3 && table.size(1) == shape.filters() && table.size(2) == sent.size(2),
      "charon::message: expected table [segments + 3, ", shape.filters(), ", ", sent.size(2), "], found ",
      table.sizes());
  TORCH_CHECK(shape.spacing > 0, "charon::message: expected a positive spacing of the knots, found ", shape.spacing);
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
MessageTask<T> make_task(const MessageShape &shape, const Tensor &sent, const Tensor &table,
                         const Tensor &edge_vector) {
  MessageTask<T> task{};
  task.l_max = static_cast<int>(shape.l_max);
  task.first = shape.first;
  task.channels = sent.size(2);
  task.segments = table.size(0) - 3;
  task.inverse_spacing = static_cast<T>(1.0 / shape.spacing);
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

}  // namespace

Tensor message_cpu(const Tensor &sent, const Tensor &table, const Tensor &edge_vector, const Lists &lists,
                   int64_t n_local, const MessageShape &shape) {
  const EdgeLists edges = EdgeLists::of(lists);
  check(shape, sent, table, edge_vector);
  check_lists(edges, sent, edge_vector, n_local);
  const Tensor s = sent.contiguous(), t = table.contiguous(), r = edge_vector.contiguous();
  Tensor received = at::empty({n_local, shape.received(), s.size(2)}, s.options());
  AT_DISPATCH_FLOATING_TYPES(s.scalar_type(), "charon::message", [&] {
    auto task = make_task<scalar_t>(shape, s, t, r);
    by_center(task, edges);
    task.received = received.mutable_data_ptr<scalar_t>();
    over_atoms(n_local, task, message_kernels<scalar_t>().forward);
  });
  return received;
}

std::tuple<Tensor, Tensor, Tensor> message_backward_cpu(const Tensor &upstream, const Tensor &sent, const Tensor &table,
                                                        const Tensor &edge_vector, const Lists &lists,
                                                        const MessageShape &shape, bool of_sent, bool of_table,
                                                        bool of_vector) {
  const EdgeLists edges = EdgeLists::of(lists);
  check(shape, sent, table, edge_vector);
  check_lists(edges, sent, edge_vector, upstream.size(0));
  const Tensor g = upstream.contiguous(), s = sent.contiguous(), t = table.contiguous(), r = edge_vector.contiguous();
  Tensor sent_gradient = at::empty(of_sent ? s.sizes() : at::IntArrayRef{0}, s.options());
  Tensor vector_gradient = at::empty(of_vector ? r.sizes() : at::IntArrayRef{0}, r.options());
  Tensor table_gradient = at::empty({0}, t.options());
  AT_DISPATCH_FLOATING_TYPES(s.scalar_type(), "charon::message_backward", [&] {
    auto task = make_task<scalar_t>(shape, s, t, r);
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

std::tuple<Tensor, Tensor, Tensor> message_tangent_cpu(const Tensor &sent_tangent, const Tensor &vector_tangent,
                                                       const Tensor &upstream, const Tensor &sent, const Tensor &table,
                                                       const Tensor &edge_vector, const Lists &lists,
                                                       const MessageShape &shape, bool of_sent, bool of_table) {
  const EdgeLists edges = EdgeLists::of(lists);
  check(shape, sent, table, edge_vector);
  check_lists(edges, sent, edge_vector, upstream.size(0));
  const Tensor g = upstream.contiguous(), s = sent.contiguous(), t = table.contiguous(), r = edge_vector.contiguous();
  const Tensor ds = sent_tangent.contiguous(), dr = vector_tangent.contiguous();
  Tensor received = at::empty(g.sizes(), g.options());
  Tensor sent_gradient = at::empty(of_sent ? s.sizes() : at::IntArrayRef{0}, s.options());
  Tensor table_gradient = at::empty({0}, t.options());
  AT_DISPATCH_FLOATING_TYPES(s.scalar_type(), "charon::message_tangent", [&] {
    auto task = make_task<scalar_t>(shape, s, t, r);
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

}  // namespace charon
