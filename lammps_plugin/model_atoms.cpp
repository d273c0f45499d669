// LAMMPS plugin of Charon.
// This file links to LAMMPS and is distributed under the GNU General Public License, version 2 (see LICENSE).
#include "model_atoms.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/full.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <cmath>
#include <utility>

#include "atom.h"
#include "domain.h"
#include "neigh_list.h"

namespace charon {

int ModelAtoms::gather(const LAMMPS_NS::Atom &atom, const LAMMPS_NS::NeighList &list,
                       const std::vector<int> &element_of_type, double cutoff, c10::ScalarType dtype) {
  const int broken = number_rows(atom, element_of_type);
  if (broken >= 0) return broken;
  int64_t most = 0;
  for (int k = 0; k < list.inum; ++k) most += list.numneigh[list.ilist[k]];
  reserve_edges(most, dtype);
  if (dtype == at::kFloat)
    collect_edges<float>(atom, list, cutoff);
  else
    collect_edges<double>(atom, list, cutoff);
  return -1;
}

int ModelAtoms::number_rows(const LAMMPS_NS::Atom &atom, const std::vector<int> &element_of_type) {
  const int n_all = atom.nlocal + atom.nghost;
  row_of_atom_.assign(n_all, -1);
  atom_of_row_.clear();
  types_.clear();
  row_of_tag_.clear();
  for (int i = 0; i < n_all; ++i) {
    if (i == atom.nlocal) n_local_ = static_cast<int64_t>(types_.size());
    const int element = element_of_type[atom.type[i]];
    if (element < 0) continue;
    const double *x = atom.x[i];
    if (!std::isfinite(x[0] + x[1] + x[2])) return i;
    if (atom.tag_enable != 0) {
      const auto [place, is_new] = i < atom.nlocal
                                       ? row_of_tag_.try_emplace(atom.tag[i], static_cast<int>(types_.size()))
                                       : std::pair(row_of_tag_.find(atom.tag[i]), false);
      if (!is_new && place != row_of_tag_.end()) {
        row_of_atom_[i] = place->second;
        continue;
      }
    }
    row_of_atom_[i] = static_cast<int>(types_.size());
    atom_of_row_.push_back(i);
    types_.push_back(element);
  }
  if (atom.nghost == 0) n_local_ = static_cast<int64_t>(types_.size());
  return -1;
}

void ModelAtoms::reserve_edges(int64_t capacity, c10::ScalarType dtype) {
  if (capacity > capacity_ || !edge_index_.defined()) {
    capacity_ = capacity + capacity / 16;
    edge_index_ = at::empty({2, capacity_}, at::kLong);
    edge_vector_ = at::empty({capacity_, 3}, dtype);
  }
  center_ = edge_index_.mutable_data_ptr<int64_t>();
  neighbor_ = center_ + capacity_;
}

template <class T>
void ModelAtoms::collect_edges(const LAMMPS_NS::Atom &atom, const LAMMPS_NS::NeighList &list, double cutoff) {
  n_edges_ = 0;
  T *vector = edge_vector_.mutable_data_ptr<T>();
  for (int k = 0; k < list.inum; ++k) {
    const int i = list.ilist[k];
    if (row_of_atom_[i] < 0) continue;
    const double *xi = atom.x[i];
    for (int m = 0; m < list.numneigh[i]; ++m) {
      const int j = list.firstneigh[i][m] & NEIGHMASK;
      if (row_of_atom_[j] < 0) continue;
      const double *xj = atom.x[j];
      const double r[3] = {xj[0] - xi[0], xj[1] - xi[1], xj[2] - xi[2]};
      if (r[0] * r[0] + r[1] * r[1] + r[2] * r[2] >= cutoff * cutoff) continue;
      center_[n_edges_] = row_of_atom_[i];
      neighbor_[n_edges_] = row_of_atom_[j];
      for (int axis = 0; axis < 3; ++axis) *vector++ = static_cast<T>(r[axis]);
      ++n_edges_;
    }
  }
}

ModelInput ModelAtoms::input(const LAMMPS_NS::Atom &atom, const LAMMPS_NS::Domain &domain, double total_charge,
                             double unpaired) {
  const auto integers = [](std::vector<int64_t> &values) {
    return at::from_blob(values.data(), {static_cast<int64_t>(values.size())}, at::kLong);
  };
  at::Tensor positions = at::empty({n_local_, 3}, at::kDouble);
  auto *position = positions.mutable_data_ptr<double>();
  for (int64_t row = 0; row < n_local_; ++row)
    for (int axis = 0; axis < 3; ++axis) *position++ = atom.x[atom_of_row_[row]][axis] - domain.boxlo[axis];

  const bool open = !domain.xperiodic && !domain.yperiodic && !domain.zperiodic;
  const std::vector<double> rows{domain.xprd, 0.0, 0.0, domain.xy, domain.yprd, 0.0, domain.xz, domain.yz, domain.zprd};
  at::Tensor cell = at::tensor(rows, at::kDouble).reshape({1, 3, 3});
  if (open) cell.zero_();  // as for a molecule in Python: a shrink-wrapped box is no lattice
  const std::vector<int64_t> periodic{domain.xperiodic, domain.yperiodic, domain.zperiodic};
  return {integers(types_),
          edge_index_.narrow(1, 0, n_edges_),
          edge_vector_.narrow(0, 0, n_edges_),
          positions,
          cell,
          at::tensor(periodic, at::kLong).to(at::kBool).reshape({1, 3}),
          at::full({1}, total_charge, at::kDouble),
          at::full({1}, unpaired, at::kDouble),
          at::zeros({n_local_}, at::kLong)};
}

double ModelAtoms::bytes() const {
  const double edges = edge_index_.defined() ? static_cast<double>(edge_index_.nbytes() + edge_vector_.nbytes()) : 0.0;
  return edges + sizeof(int) * static_cast<double>(row_of_atom_.capacity() + atom_of_row_.capacity()) +
         sizeof(int64_t) * static_cast<double>(types_.capacity());
}

}  // namespace charon
