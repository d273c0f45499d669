// LAMMPS plugin of Charon.
// This file links to LAMMPS and is distributed under the GNU General Public License, version 2 (see LICENSE).
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <stdexcept>

#include "atom.h"
#include "comm.h"
#include "domain.h"
#include "error.h"
#include "neigh_list.h"
#include "pair_charon.h"
#include "update.h"

using namespace LAMMPS_NS;

namespace {

// The cause that stands at the end of TorchScript's trace.
std::string cause(const std::string &message) {
  const auto start = message.rfind("RuntimeError: ");
  const std::string text = start == std::string::npos ? message : message.substr(start + std::strlen("RuntimeError: "));
  return text.substr(0, text.find('\n'));
}

}  // namespace

void PairCharon::compute(int eflag, int vflag) {
  ev_init(eflag, vflag);
  const charon::ModelOutput output = evaluate();
  check_energies(output);
  add_energies(output.energies);
  add_forces(output.edge_gradient, output.position_gradient.to(at::kDouble));
  if (vflag_global) add_virial(output.strain_gradient.to(at::kDouble));
  store_charges(output.charges.to(at::kDouble), output.spins.to(at::kDouble));
}

charon::ModelOutput PairCharon::evaluate() {
  const charon::Metadata &metadata = model_->metadata();
  check_positions(atoms_.gather(*atom, *list, element_of_type_, metadata.cutoff, model_->dtype()));
  const charon_backend table = exchange_.begin(comm, world, comm_forward, atoms_.row_of_atom(), atoms_.n_local());
  const charon::BackendScope scope(table);
  try {
    return search_ ? evaluate_at_potential() : evaluate_at(total_charge_.value_or(0));
  } catch (const std::exception &failure) {
    exchange_.rethrow();
    abort_all(
        fmt::format("pair_style charon: {} failed at step {}: {}", path_, update->ntimestep, cause(failure.what())));
  }
}

charon::ModelOutput PairCharon::evaluate_at(double total_charge) {
  return model_->evaluate(atoms_.input(*atom, *domain, total_charge, multiplicity_.value_or(1) - 1.0));
}

// At the charge whose dE/dQ is the one asked for; all ranks see the same derivative and make the same trials.
charon::ModelOutput PairCharon::evaluate_at_potential() {
  search_->begin();
  double slope = 0.0;
  for (int trial = 0; trial < charon::ChargeSearch::trials; ++trial) {
    charon::ModelOutput output = evaluate_at(search_->charge());
    if (!output.state_gradient.defined())
      throw std::runtime_error("mu needs dE/dQ, which a file of op schema 1 does not give: export the model again");
    const double mine = output.state_gradient.to(at::kDouble).const_data_ptr<double>()[0];
    MPI_Allreduce(&mine, &slope, 1, MPI_DOUBLE, MPI_SUM, world);
    MPI_Bcast(&slope, 1, MPI_DOUBLE, 0, world);
    if (search_->arrived(slope, model_->metadata().single_precision)) return output;
    search_->improve(slope);
  }
  throw std::runtime_error(fmt::format("no total charge with mu = {} eV was found; at {} e it is {} eV",
                                       -search_->target(), search_->charge(), -slope));
}

// `broken`: an atom of this rank, ghosts included, whose position is not finite, or -1. All ranks agree on the error.
void PairCharon::check_positions(int broken) const {
  const tagint mine = broken < 0 ? 0 : atom->tag[broken];
  tagint largest = 0;
  MPI_Allreduce(&mine, &largest, 1, MPI_LMP_TAGINT, MPI_MAX, world);
  if (largest > 0)
    error->all(FLERR, "pair_style charon: the position of atom {} is not finite at step {}", largest,
               update->ntimestep);
}

void PairCharon::check_energies(const charon::ModelOutput &output) const {
  const auto *energy = output.energies.const_data_ptr<double>();
  for (int64_t row = 0; row < atoms_.n_local(); ++row)
    if (!std::isfinite(energy[row]))
      abort_all(fmt::format("pair_style charon: the energy of atom {} is not finite at step {}: two atoms may coincide",
                            atom->tag[atoms_.atom_of_row(row)], update->ntimestep));
}

// One rank ends all. Of the first ranks to fail LAMMPS shows only what rank 0 has to say.
void PairCharon::abort_all(const std::string &message) const {
  if (comm->me != 0) {
    std::fprintf(stderr, "ERROR on proc %d: %s\n", comm->me, message.c_str());
    std::fflush(stderr);
  }
  error->one(FLERR, message);
}

void PairCharon::add_energies(const at::Tensor &energies) {
  const auto *energy = energies.const_data_ptr<double>();
  for (int64_t row = 0; row < atoms_.n_local(); ++row) {
    if (eflag_global) eng_vdwl += energy[row] * energy_unit_;
    if (eflag_atom) eatom[atoms_.atom_of_row(row)] += energy[row] * energy_unit_;
  }
  // the grand potential E + mu Q, whose derivatives the forces are
  if (search_ && eflag_global && comm->me == 0) eng_vdwl -= search_->target() * search_->charge() * energy_unit_;
}

void PairCharon::add_forces(const at::Tensor &edge_gradient, const at::Tensor &position_gradient) {
  if (edge_gradient.scalar_type() == at::kFloat)
    add_edge_forces<float>(edge_gradient);
  else
    add_edge_forces<double>(edge_gradient);
  const auto *gradient = position_gradient.const_data_ptr<double>();
  for (int64_t row = 0; row < atoms_.n_local(); ++row)
    for (int axis = 0; axis < 3; ++axis) atom->f[atoms_.atom_of_row(row)][axis] -= *gradient++ * energy_unit_;
}

template <class T>
void PairCharon::add_edge_forces(const at::Tensor &edge_gradient) {
  double **f = atom->f;
  const T *gradient = edge_gradient.const_data_ptr<T>(), *vector = atoms_.edge_vector().const_data_ptr<T>();
  for (int64_t edge = 0; edge < atoms_.n_edges(); ++edge, gradient += 3, vector += 3) {
    const int center = atoms_.center(edge), neighbor = atoms_.neighbor(edge);
    double on_neighbor[3];
    for (int axis = 0; axis < 3; ++axis) {
      on_neighbor[axis] = -static_cast<double>(gradient[axis]) * energy_unit_;
      f[center][axis] -= on_neighbor[axis];
      f[neighbor][axis] += on_neighbor[axis];
    }
    if (!vflag_atom && !cvflag_atom) continue;
    const double r[3] = {vector[0], vector[1], vector[2]};
    tally_edge(center, neighbor, r, on_neighbor);
  }
}

// Order of LAMMPS: xx yy zz xy xz yz, and for centroids yx zx zy after them.
void PairCharon::tally_edge(int center, int neighbor, const double *r, const double *force) {
  static constexpr int first[9] = {0, 1, 2, 0, 0, 1, 1, 2, 2}, second[9] = {0, 1, 2, 1, 2, 2, 0, 0, 1};
  if (vflag_atom)
    for (int k = 0; k < 6; ++k) {
      const double share = 0.25 * (r[first[k]] * force[second[k]] + r[second[k]] * force[first[k]]);
      vatom[center][k] += share;
      vatom[neighbor][k] += share;
    }
  if (cvflag_atom)
    for (int k = 0; k < 9; ++k) cvatom[neighbor][k] += r[first[k]] * force[second[k]];
}

void PairCharon::add_virial(const at::Tensor &strain_gradient) {
  static constexpr int first[6] = {0, 1, 2, 0, 0, 1}, second[6] = {0, 1, 2, 1, 2, 2};
  const auto gradient = strain_gradient.accessor<double, 3>();
  for (int k = 0; k < 6; ++k)
    virial[k] -= 0.5 * (gradient[0][first[k]][second[k]] + gradient[0][second[k]][first[k]]) * energy_unit_;
}

// ---- charges and spins

void PairCharon::store_charges(const at::Tensor &charges, const at::Tensor &spins) {
  charges_.assign(std::max(1, atom->nlocal), 0.0);  // an empty rank still hands out a valid pointer
  spins_.assign(std::max(1, atom->nlocal), 0.0);
  const auto *charge = charges.const_data_ptr<double>(), *spin = spins.const_data_ptr<double>();
  for (int64_t row = 0; row < atoms_.n_local(); ++row) {
    const int i = atoms_.atom_of_row(row);
    charges_[i] = charge[row];
    spins_[i] = spin[row];
    if (atom->q_flag && model_->metadata().uses_state) atom->q[i] = charge[row];
  }
}

void *PairCharon::extract_peratom(const char *name, int &columns) {
  columns = 0;
  const bool charge = std::strcmp(name, "charge") == 0;
  if (!charge && std::strcmp(name, "spin") != 0) return nullptr;
  std::vector<double> &values = charge ? charges_ : spins_;
  if (values.empty()) values.assign(std::max(1, atom->nlocal), 0.0);
  return values.data();
}

double PairCharon::memory_usage() {
  return Pair::memory_usage() + atoms_.bytes() + sizeof(double) * static_cast<double>(charges_.size() + spins_.size());
}

// ---- LAMMPS asks for rows

int PairCharon::pack_forward_comm(int n, int *atoms, double *buffer, int, int *) {
  return exchange_.pack_forward(n, atoms, buffer);
}

void PairCharon::unpack_forward_comm(int n, int first, double *buffer) { exchange_.unpack_forward(n, first, buffer); }

int PairCharon::pack_reverse_comm(int n, int first, double *buffer) { return exchange_.pack_reverse(n, first, buffer); }

void PairCharon::unpack_reverse_comm(int n, int *atoms, double *buffer) { exchange_.unpack_reverse(n, atoms, buffer); }
