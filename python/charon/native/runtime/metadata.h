// What a model file says about its model.
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace charon {

inline constexpr int64_t format_version = 1;
inline constexpr int64_t op_schema_version = 2;  // 2 added charon::layer; files of 1 are read too

struct Metadata {
  std::string charon_version;
  std::string torch_version;
  std::vector<std::string> elements;  // chemical symbols, in the order of the model's types
  double cutoff = 0.0;                // A
  bool single_precision = false;
  int64_t exchange_width = 0;               // numbers per atom of the widest halo exchange
  bool uses_state = false;                  // total charge and multiplicity enter the energy
  std::array<int64_t, 2> charge_range{};    // total charges seen in training, e
  std::array<int64_t, 2> spin_range{1, 1};  // multiplicities seen in training

  // Throws std::runtime_error naming the key that is absent or wrong, or the version that is not known.
  static Metadata parse(const std::string &json_text);
};

// 1 for H ... 118 for Og; 0 for what is no chemical symbol.
int atomic_number(const std::string &symbol);

}  // namespace charon
