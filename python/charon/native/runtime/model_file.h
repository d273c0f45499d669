// The file of a model: a TorchScript archive with two texts beside the module.
#pragma once
#include <torch/csrc/jit/api/module.h>

#include <string>

namespace charon {

struct ModelFile {
  torch::jit::Module module;
  std::string metadata;  // JSON
  std::string golden;    // JSON
};

// Throws std::runtime_error that names the file and says whether it is absent, truncated, or no model of ours.
ModelFile read_model_file(const std::string &path);

}  // namespace charon
