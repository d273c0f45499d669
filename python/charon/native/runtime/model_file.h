// The file of a model: a TorchScript archive with two texts beside the module.
#pragma once
#include <torch/csrc/jit/api/module.h>

#include <string>

namespace charon {

struct ModelTexts {
  std::string metadata;  // JSON
  std::string golden;    // JSON
};

// Each throws std::runtime_error that names the file and says whether it is absent, truncated, or no model of ours.
// The texts are read without the module: torch may not know the operators of a newer one.
ModelTexts read_texts(const std::string &path);
torch::jit::Module load_module(const std::string &path);

}  // namespace charon
