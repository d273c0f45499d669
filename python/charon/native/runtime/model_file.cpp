#include "model_file.h"

#include <caffe2/serialize/inline_container.h>
#include <torch/csrc/jit/serialization/import.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>

namespace charon {

namespace {

[[noreturn]] void refuse(const std::string &path, const std::string &reason) {
  throw std::runtime_error("model file '" + path + "' " + reason);
}

std::string first_line(const std::string &text) { return text.substr(0, text.find('\n')); }

void check_is_archive(const std::string &path) {
  if (!std::filesystem::exists(path)) refuse(path, "does not exist");
  if (!std::filesystem::is_regular_file(path)) refuse(path, "is not a file");
  std::ifstream stream(path, std::ios::binary);
  std::string start(4, '\0');
  stream.read(start.data(), 4);
  if (!stream && stream.gcount() == 0) refuse(path, "is empty or cannot be read");
  if (start != "PK\x03\x04") refuse(path, "is no Charon model: expected a file written by `charon export`");
}

// A whole archive of ours has these records; a training checkpoint or a foreign module lacks them.
std::unique_ptr<caffe2::serialize::PyTorchStreamReader> open_archive(const std::string &path) {
  std::unique_ptr<caffe2::serialize::PyTorchStreamReader> reader;
  try {
    reader = std::make_unique<caffe2::serialize::PyTorchStreamReader>(path);
  } catch (const c10::Error &error) {
    const std::string reason = error.what_without_backtrace();
    refuse(path, "is truncated or damaged: copy or export it again (" + reason.substr(0, reason.find(". ")) + ")");
  }
  for (const char *record : {"extra/metadata.json", "extra/golden.json", "constants.pkl"})
    if (!reader->hasRecord(record))
      refuse(path,
             std::string("is no Charon model, it lacks ") + record + ": expected a file written by `charon export`");
  return reader;
}

std::string record(caffe2::serialize::PyTorchStreamReader &reader, const std::string &name) {
  const auto [data, size] = reader.getRecord(name);
  return {static_cast<const char *>(data.get()), size};
}

}  // namespace

ModelTexts read_texts(const std::string &path) {
  check_is_archive(path);
  const auto archive = open_archive(path);
  return {record(*archive, "extra/metadata.json"), record(*archive, "extra/golden.json")};
}

torch::jit::Module load_module(const std::string &path) {
  try {
    torch::jit::Module module = torch::jit::load(path, at::kCPU);
    module.eval();
    return module;
  } catch (const std::exception &error) {
    refuse(path, "does not load as TorchScript: " + first_line(error.what()));
  }
}

}  // namespace charon
