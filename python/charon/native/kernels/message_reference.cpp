// The message in plain torch: what the kernels must equal, what other devices run, and what derivatives of an order
// that the kernels lack are taken of.
#include "message_reference.h"

#include <cmath>

namespace charon {

using at::Tensor;

namespace {

// Components of (uu)_0 in the basis of model/tensors.py, times sqrt(15/2); [n_edges, 5, 1].
Tensor tensor_direction(const Tensor &u) {
  const Tensor x = u.select(1, 0), y = u.select(1, 1), z = u.select(1, 2);
  const double a = std::sqrt(7.5 / 2.0), b = std::sqrt(7.5 / 6.0);
  return at::stack({2 * a * x * y, 2 * a * y * z, 2 * a * x * z, a * (x * x - y * y), b * (2 * z * z - x * x - y * y)},
                   1)
      .unsqueeze(2);
}

// Spline filters, [n_edges, filters, channels].
Tensor filters(const Tensor &table, const Tensor &length, double spacing) {
  const int64_t segments = table.size(0) - 3;
  const Tensor x = length / spacing;
  const Tensor inside = x.lt(static_cast<double>(segments));
  const Tensor knot = at::where(inside, x.detach(), at::zeros_like(x)).to(at::kLong);
  const Tensor f = x - knot, g = 1.0 - f;
  const Tensor basis[4] = {g * g * g / 6.0, (f * f * (3.0 * f - 6.0) + 4.0) / 6.0,
                           (g * g * (3.0 * g - 6.0) + 4.0) / 6.0, f * f * f / 6.0};
  Tensor sum;
  for (int64_t m = 0; m < 4; ++m) {
    const Tensor weight = at::where(inside, basis[m], at::zeros_like(x));
    const Tensor term = weight.unsqueeze(1).unsqueeze(2) * table.index_select(0, knot + m);
    sum = m == 0 ? term : sum + term;
  }
  return sum;
}

}  // namespace

Tensor message_reference(const Tensor &sent, const Tensor &table, const Tensor &edge_vector, const Tensor &edge_index,
                         c10::SymInt n_local, int64_t l_max, bool first, double spacing) {
  const Tensor squared = (edge_vector * edge_vector).sum(1);
  const Tensor apart = squared.gt(0);
  const Tensor safe = at::where(apart, squared, at::ones_like(squared)).sqrt();
  const Tensor length = at::where(apart, safe, at::zeros_like(safe));
  const Tensor scaled = edge_vector / safe.unsqueeze(1);
  const Tensor unit = at::where(apart.unsqueeze(1), scaled, at::zeros_like(scaled));  // [n_edges, 3]
  const Tensor w = filters(table, length, spacing);                                   // [n_edges, filters, channels]
  const Tensor received = sent.index_select(0, edge_index.select(0, 1));              // [n_edges, rows, channels]
  const int64_t directional = l_max + 1;
  const Tensor weighted = w.narrow(1, 0, directional) * received.narrow(1, 0, directional);
  std::vector<Tensor> parts{weighted.narrow(1, 0, 1)};
  for (int64_t l = 1; l <= l_max; ++l) {
    const Tensor direction = l == 1 ? std::sqrt(3.0) * unit.unsqueeze(2) : tensor_direction(unit);
    Tensor part = direction * weighted.narrow(1, l, 1);
    if (!first) part = part + w.narrow(1, l_max + l, 1) * received.narrow(1, directional + (l == 1 ? 0 : 3), 2 * l + 1);
    parts.push_back(part);
  }
  const Tensor messages = at::cat(parts, 1);  // [n_edges, received rows, channels]
  const Tensor zeros =
      at::zeros_symint({std::move(n_local), messages.sym_size(1), messages.sym_size(2)}, messages.options());
  return zeros.index_add(0, edge_index.select(0, 0), messages);
}

}  // namespace charon
