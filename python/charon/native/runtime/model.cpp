#include "model.h"

#include <ATen/ATen.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/runtime/graph_executor.h>

#include <algorithm>
#include <iomanip>
#include <sstream>
#include <stdexcept>
#include <utility>
#include <vector>

#include "../comm_backend.h"
#include "json.h"
#include "model_file.h"

namespace charon {

namespace {

constexpr double tolerance_double = 1e-9, tolerance_single = 1e-4;  // of the golden sample, relative

void flatten(const Json &json, size_t depth, std::vector<int64_t> &shape, std::vector<double> &values) {
  if (!json.is_array()) {
    values.push_back(json.number());
    return;
  }
  if (shape.size() == depth) shape.push_back(static_cast<int64_t>(json.array().size()));
  for (const Json &item : json.array()) flatten(item, depth + 1, shape, values);
}

// Nested lists as a float64 tensor.
at::Tensor tensor_of(const Json &json) {
  std::vector<int64_t> shape;
  std::vector<double> values;
  flatten(json, 0, shape, values);
  return at::tensor(values, at::kDouble).reshape(shape);
}

ModelInput golden_input(const Json &json) {
  const auto floats = [&](const char *key) { return tensor_of(json.at(key)); };
  const auto integers = [&](const char *key) { return tensor_of(json.at(key)).to(at::kLong); };
  return {integers("types"),      integers("edge_index"), floats("edge_vector"),
          floats("positions"),    floats("cell"),         floats("pbc").to(at::kBool),
          floats("total_charge"), floats("unpaired"),     integers("batch")};
}

std::vector<std::pair<const char *, at::Tensor>> named(const ModelOutput &output) {
  std::vector<std::pair<const char *, at::Tensor>> all{{"energies", output.energies},
                                                       {"charges", output.charges},
                                                       {"spins", output.spins},
                                                       {"edge_gradient", output.edge_gradient},
                                                       {"position_gradient", output.position_gradient},
                                                       {"strain_gradient", output.strain_gradient},
                                                       {"dipoles", output.dipoles}};
  if (output.state_gradient.defined()) all.emplace_back("state_gradient", output.state_gradient);
  return all;
}

std::string scientific(double value) {
  std::ostringstream text;
  text << std::scientific << std::setprecision(1) << value;
  return text.str();
}

void check_output(const std::string &name, const at::Tensor &found, const at::Tensor &expected, double tolerance) {
  if (found.sizes() != expected.sizes())
    throw std::runtime_error("the golden sample's " + name + " has another shape than the model's");
  if (expected.numel() == 0) return;
  const double scale = std::max(1.0, expected.abs().max().item<double>());
  const double error = (found.to(at::kDouble) - expected).abs().max().item<double>();
  if (!(error <= tolerance * scale))
    throw std::runtime_error("the golden sample's " + name + " differ by " + scientific(error / scale) +
                             " (relative): this torch computes another energy than the one that wrote the file");
}

template <class Action>
void naming(const std::string &path, Action action) {
  try {
    action();
  } catch (const std::exception &error) {
    throw std::runtime_error("model file '" + path + "': " + error.what());
  }
}

}  // namespace

Model::Model(const std::string &path) {
  const ModelTexts texts = read_texts(path);
  metadata_text_ = texts.metadata;
  naming(path, [&] { metadata_ = Metadata::parse(metadata_text_); });
  module_ = std::make_unique<torch::jit::Module>(load_module(path));
  naming(path, [&] { check_golden_sample(texts.golden); });
}

Model::~Model() = default;

ModelOutput Model::evaluate(const ModelInput &input) {
  std::vector<c10::IValue> arguments{input.types,
                                     input.edge_index,
                                     input.edge_vector.to(dtype()),
                                     input.positions.to(dtype()),
                                     input.cell.to(dtype()),
                                     input.pbc,
                                     input.total_charge.to(dtype()),
                                     input.unpaired.to(dtype()),
                                     input.batch};
  const torch::jit::GraphOptimizerEnabledGuard no_respecialization(false);  // sizes differ from call to call
  const std::vector<at::Tensor> outputs = module_->forward(std::move(arguments)).toTensorVector();
  if (outputs.size() != 7 && outputs.size() != 8)
    throw std::runtime_error("the model returned " + std::to_string(outputs.size()) + " tensors, expected 7 or 8");
  const auto finished = [&](size_t k) { return k < outputs.size() ? outputs[k].detach().contiguous() : at::Tensor(); };
  return {finished(0), finished(1), finished(2), finished(3), finished(4), finished(5), finished(6), finished(7)};
}

void Model::check_golden_sample(const std::string &golden_text) {
  const Json golden = Json::parse(golden_text);
  const charon_backend *backend = charon_set_backend(nullptr);  // one domain without ghosts
  const ModelOutput output = evaluate(golden_input(golden.at("inputs")));
  charon_set_backend(backend);
  const double tolerance = metadata_.single_precision ? tolerance_single : tolerance_double;
  for (const auto &[name, found] : named(output))
    check_output(name, found, tensor_of(golden.at("outputs").at(name)), tolerance);
}

}  // namespace charon
