// LAMMPS plugin of Charon.
// This file links to LAMMPS and is distributed under the GNU General Public License, version 2 (see LICENSE).
#pragma once
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "runtime/model.h"

namespace LAMMPS_NS {
class Atom;
class Domain;
class NeighList;
}  // namespace LAMMPS_NS

namespace charon {

// LAMMPS' atoms as the model sees them: owned atoms of mapped types, then their ghosts, and the edges between. Ghosts
// that are periodic images of owned atoms are those atoms: only ghosts of other ranks have rows of their own. The
// memory is kept from step to step.
class ModelAtoms {
 public:
  // `element_of_type` [n_types + 1], -1 for types that the model does not see. Returns the index of the first
  // atom whose position is not finite, or -1.
  int gather(const LAMMPS_NS::Atom &atom, const LAMMPS_NS::NeighList &list, const std::vector<int> &element_of_type,
             double cutoff, c10::ScalarType dtype);

  // Views of this object's memory, valid until the next gather.
  ModelInput input(const LAMMPS_NS::Atom &atom, const LAMMPS_NS::Domain &domain, double total_charge, double unpaired);

  const std::vector<int> &row_of_atom() const { return row_of_atom_; }
  int atom_of_row(int64_t row) const { return atom_of_row_[row]; }
  int64_t n_local() const { return n_local_; }
  int64_t n_edges() const { return n_edges_; }
  int center(int64_t edge) const { return atom_of_row_[center_[edge]]; }
  int neighbor(int64_t edge) const { return atom_of_row_[neighbor_[edge]]; }
  const at::Tensor &edge_vector() const { return edge_vector_; }
  double bytes() const;

 private:
  int number_rows(const LAMMPS_NS::Atom &atom, const std::vector<int> &element_of_type);
  void reserve_edges(int64_t capacity, c10::ScalarType dtype);
  template <class T>
  void collect_edges(const LAMMPS_NS::Atom &atom, const LAMMPS_NS::NeighList &list, double cutoff);

  int64_t n_local_ = 0, n_edges_ = 0, capacity_ = 0;
  std::vector<int> row_of_atom_;  // [LAMMPS' owned + ghosts], -1: not seen
  std::vector<int> atom_of_row_;  // [n_all]
  std::vector<int64_t> types_;    // [n_all]
  std::unordered_map<int64_t, int> row_of_tag_;
  at::Tensor edge_index_;                            // [2, capacity] int64
  at::Tensor edge_vector_;                           // [capacity, 3] A, in the model's precision
  int64_t *center_ = nullptr, *neighbor_ = nullptr;  // its rows
};

}  // namespace charon
