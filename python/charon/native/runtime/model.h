// Loads and runs an exported model. Knows torch and the model file; no MD engine.
#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <string>

#include "metadata.h"

namespace torch::jit {
struct Module;
}

namespace charon {

// Atoms of one domain: owned atoms first, then ghosts. Edges run from center (owned) to neighbor.
struct ModelInput {
  at::Tensor types;         // [n_all] int64
  at::Tensor edge_index;    // [2, n_edges] int64
  at::Tensor edge_vector;   // [n_edges, 3] A
  at::Tensor positions;     // [n_local, 3] A
  at::Tensor cell;          // [1, 3, 3] A
  at::Tensor pbc;           // [1, 3] bool
  at::Tensor total_charge;  // [1] e
  at::Tensor unpaired;      // [1]
  at::Tensor batch;         // [n_local] int64
};

// Contiguous, on the CPU, all but the energies in the model's precision.
struct ModelOutput {
  at::Tensor energies;           // [n_local] eV, float64
  at::Tensor charges;            // [n_local] e
  at::Tensor spins;              // [n_local]
  at::Tensor edge_gradient;      // [n_edges, 3] eV/A
  at::Tensor position_gradient;  // [n_local, 3] eV/A
  at::Tensor strain_gradient;    // [n_systems, 3, 3] eV
  at::Tensor dipoles;            // [n_local, 3] e A, of the atoms about their own positions
  at::Tensor state_gradient;     // [n_systems, 2] eV, by total charge and unpaired electrons; not in the first files
};

class Model {
 public:
  // Loads the file and runs its golden sample. Throws std::runtime_error saying what is wrong with the file.
  explicit Model(const std::string &path);
  ~Model();

  const Metadata &metadata() const { return metadata_; }
  const std::string &metadata_text() const { return metadata_text_; }
  c10::ScalarType dtype() const { return metadata_.single_precision ? at::kFloat : at::kDouble; }

  // Floating inputs may be of any precision; they are converted to the model's.
  ModelOutput evaluate(const ModelInput &input);

 private:
  void check_golden_sample(const std::string &golden_text);

  std::unique_ptr<torch::jit::Module> module_;
  Metadata metadata_;
  std::string metadata_text_;
};

}  // namespace charon
