// LAMMPS plugin of Charon.
// This file links to LAMMPS and is distributed under the GNU General Public License, version 2 (see LICENSE).
#include "pair_charon.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "atom.h"
#include "comm.h"
#include "domain.h"
#include "error.h"
#include "exceptions.h"
#include "force.h"
#include "memory.h"
#include "neigh_list.h"
#include "neighbor.h"
#include "update.h"
#include "utils.h"

using namespace LAMMPS_NS;

namespace {

// The cause that stands at the end of TorchScript's trace.
std::string cause(const std::string &message) {
  const auto start = message.rfind("RuntimeError: ");
  const std::string text = start == std::string::npos ? message : message.substr(start + std::strlen("RuntimeError: "));
  return text.substr(0, text.find('\n'));
}

}  // namespace

PairCharon::PairCharon(LAMMPS *lmp) : Pair(lmp), exchange_(this) {
  single_enable = 0;
  restartinfo = 0;
  one_coeff = 1;
  manybody_flag = 1;
  no_virial_fdotr_compute = 1;
  centroidstressflag = CENTROID_AVAIL;
  if (std::getenv("OMP_NUM_THREADS") == nullptr) at::set_num_threads(1);
}

PairCharon::~PairCharon() {
  if (!allocated) return;
  memory->destroy(setflag);
  memory->destroy(cutsq);
}

// ---- what the user writes

void PairCharon::settings(int n_args, char **args) {
  if (n_args < 1) utils::missing_cmd_args(FLERR, "pair_style charon", error);
  path_ = args[0];
  read_state(n_args - 1, args + 1);
  try {
    model_ = std::make_unique<charon::Model>(path_);
  } catch (const std::exception &failure) {
    error->all(FLERR, std::string("pair_style charon: ") + failure.what());
  }
  // hybrid and the communication buffers need the sizes now
  comm_forward = comm_reverse = comm_reverse_off = std::max<int>(1, model_->metadata().exchange_width);
  check_state_given();
  warn_outside_training();
}

void PairCharon::read_state(int n_args, char **args) {
  total_charge_.reset();
  multiplicity_.reset();
  for (int k = 0; k < n_args; k += 2) {
    const std::string keyword = args[k];
    if (keyword != "charge" && keyword != "spin")
      error->all(FLERR, "pair_style charon: unknown keyword '{}', expected 'charge Q' or 'spin M'", keyword);
    if (k + 1 == n_args) error->all(FLERR, "pair_style charon: the keyword '{}' has no value", keyword);
    const int value = utils::inumeric(FLERR, args[k + 1], true, lmp);
    (keyword == "charge" ? total_charge_ : multiplicity_) = value;
  }
  if (multiplicity_ && *multiplicity_ < 1)
    error->all(FLERR, "pair_style charon: spin is the multiplicity 2S+1, an integer >= 1; found {}", *multiplicity_);
}

void PairCharon::check_state_given() const {
  const bool complete = total_charge_ && multiplicity_;
  if (model_->metadata().uses_state && !complete)
    error->all(FLERR,
               "pair_style charon: the energy of {} depends on the total charge and spin multiplicity; say both, for "
               "example: pair_style charon {} charge 0 spin 1",
               path_, path_);
  if (!model_->metadata().uses_state && (total_charge_ || multiplicity_) && comm->me == 0)
    error->warning(FLERR, "pair_style charon: {} knows no charge and spin; the values given are not used", path_);
}

void PairCharon::warn_outside_training() const {
  const charon::Metadata &metadata = model_->metadata();
  const auto check = [&](const char *name, const std::optional<int> &value, const std::array<int64_t, 2> &range) {
    if (metadata.uses_state && comm->me == 0 && (*value < range[0] || *value > range[1]))
      error->warning(FLERR, "pair_style charon: {} {} is outside of what {} was trained on: {} to {}", name, *value,
                     path_, range[0], range[1]);
  };
  check("charge", total_charge_, metadata.charge_range);
  check("spin", multiplicity_, metadata.spin_range);
}

void PairCharon::coeff(int n_args, char **args) {
  const int n_types = atom->ntypes;
  if (n_args != n_types + 2)
    error->all(FLERR, "pair_style charon: pair_coeff * * needs one element per atom type, expected {}, found {}",
               n_types, std::max(0, n_args - 2));
  if (std::strcmp(args[0], "*") != 0 || std::strcmp(args[1], "*") != 0)
    error->all(FLERR, "pair_style charon: expected pair_coeff * *, found pair_coeff {} {}", args[0], args[1]);
  if (!allocated) {
    allocated = 1;
    memory->create(setflag, n_types + 1, n_types + 1, "pair:setflag");
    memory->create(cutsq, n_types + 1, n_types + 1, "pair:cutsq");
  }
  element_of_type_.assign(n_types + 1, -1);
  for (int i = 1; i <= n_types; ++i) element_of_type_[i] = type_of_element(args[i + 1]);
  for (int i = 1; i <= n_types; ++i)
    for (int j = i; j <= n_types; ++j) setflag[i][j] = element_of_type_[i] >= 0 && element_of_type_[j] >= 0;
}

int PairCharon::type_of_element(const std::string &symbol) const {
  if (symbol == "NULL") return -1;
  const std::vector<std::string> &elements = model_->metadata().elements;
  const auto found = std::find(elements.begin(), elements.end(), symbol);
  if (found != elements.end()) return static_cast<int>(found - elements.begin());
  std::string known;
  for (const std::string &element : elements) known += " " + element;
  error->all(FLERR, "pair_style charon: element '{}' is not in {}, which knows:{}", symbol, path_, known);
}

// ---- checks before a run

void PairCharon::init_style() {
  const std::string units = update->unit_style;
  if (units == "real")
    energy_unit_ = utils::get_conversion_factor(utils::ENERGY, utils::METAL2REAL);
  else if (units == "metal")
    energy_unit_ = 1.0;
  else
    error->all(FLERR, "pair_style charon: expected units metal or real, found units {}", units);
  if (force->newton_pair == 0) error->all(FLERR, "pair_style charon: expected newton on for pairs, found newton off");
  check_special_bonds();
  if (model_->metadata().uses_state) check_parity();
  neighbor->add_request(this, NeighConst::REQ_FULL);
}

void PairCharon::check_special_bonds() const {
  if (atom->molecular == Atom::ATOMIC || atom->nbonds == 0) return;
  for (int k = 1; k <= 3; ++k)
    if (force->special_lj[k] == 0.0 && force->special_coul[k] == 0.0)
      error->all(FLERR,
                 "pair_style charon: special_bonds removes bonded atoms from the neighbor list, but the model needs "
                 "all neighbors: use special_bonds lj/coul 1 1 1");
}

void PairCharon::check_parity() const {
  bigint electrons = 0, all_electrons = 0;
  for (int i = 0; i < atom->nlocal; ++i) {
    const int element = element_of_type_[atom->type[i]];
    if (element >= 0) electrons += charon::atomic_number(model_->metadata().elements[element]);
  }
  MPI_Allreduce(&electrons, &all_electrons, 1, MPI_LMP_BIGINT, MPI_SUM, world);
  all_electrons -= *total_charge_;
  if ((all_electrons - (*multiplicity_ - 1)) % 2 == 0) return;
  const std::string message = fmt::format(
      "pair_style charon: {} electrons (charge {}) cannot have the spin multiplicity {}: even numbers have odd "
      "multiplicities, and odd numbers even ones",
      all_electrons, *total_charge_, *multiplicity_);
  if (domain->nonperiodic != 0 && !domain->xperiodic && !domain->yperiodic && !domain->zperiodic)
    error->all(FLERR, message);
  if (comm->me == 0) error->warning(FLERR, message);
}

double PairCharon::init_one(int i, int j) {
  if (setflag[i][j] == 0)
    error->all(FLERR,
               "pair_style charon: type {} has no element; NULL is for types of another style in hybrid or "
               "hybrid/overlay",
               element_of_type_[i] < 0 ? i : j);
  return model_->metadata().cutoff;
}

// ---- a step

void PairCharon::compute(int eflag, int vflag) {
  ev_init(eflag, vflag);
  const charon::ModelOutput output = evaluate();
  check_energies(output);
  add_energies(output.energies);
  add_forces(output.edge_gradient.to(at::kDouble), output.position_gradient.to(at::kDouble));
  if (vflag_global) add_virial(output.strain_gradient.to(at::kDouble));
  store_charges(output.charges.to(at::kDouble), output.spins.to(at::kDouble));
}

charon::ModelOutput PairCharon::evaluate() {
  const charon::Metadata &metadata = model_->metadata();
  check_positions(atoms_.gather(*atom, *list, element_of_type_, metadata.cutoff));
  const charon_backend table = exchange_.begin(comm, world, comm_forward, atoms_.row_of_atom());
  const charon::BackendScope scope(table);
  try {
    return model_->evaluate(atoms_.input(*atom, *domain, total_charge_.value_or(0), multiplicity_.value_or(1) - 1.0));
  } catch (const std::exception &failure) {
    exchange_.rethrow();
    abort_all(
        fmt::format("pair_style charon: {} failed at step {}: {}", path_, update->ntimestep, cause(failure.what())));
  }
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
}

void PairCharon::add_forces(const at::Tensor &edge_gradient, const at::Tensor &position_gradient) {
  double **f = atom->f;
  const auto *gradient = edge_gradient.const_data_ptr<double>();
  for (int64_t edge = 0; edge < atoms_.n_edges(); ++edge, gradient += 3) {
    const int center = atoms_.center(edge), neighbor = atoms_.neighbor(edge);
    double on_neighbor[3];
    for (int axis = 0; axis < 3; ++axis) {
      on_neighbor[axis] = -gradient[axis] * energy_unit_;
      f[center][axis] -= on_neighbor[axis];
      f[neighbor][axis] += on_neighbor[axis];
    }
    if (vflag_atom || cvflag_atom) tally_edge(center, neighbor, atoms_.edge_vector(edge), on_neighbor);
  }
  gradient = position_gradient.const_data_ptr<double>();
  for (int64_t row = 0; row < atoms_.n_local(); ++row)
    for (int axis = 0; axis < 3; ++axis) f[atoms_.atom_of_row(row)][axis] -= *gradient++ * energy_unit_;
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
