// LAMMPS plugin of Charon.
// This file links to LAMMPS and is distributed under the GNU General Public License, version 2 (see LICENSE).
#include "pair_charon.h"

#include <ATen/Parallel.h>
#include <malloc.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "atom.h"
#include "comm.h"
#include "domain.h"
#include "error.h"
#include "force.h"
#include "memory.h"
#include "neighbor.h"
#include "update.h"
#include "utils.h"

using namespace LAMMPS_NS;

namespace {

// A step frees and takes the same large tensors as the step before: without this the allocator returns their pages
// to the system each time, and a quarter of the time and more goes into fresh zeroed pages.
void keep_freed_memory() {
#ifdef __GLIBC__
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
  mallopt(M_TOP_PAD, 64 << 20);
#endif
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
  keep_freed_memory();
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
  search_.reset();
  for (int k = 0; k < n_args; k += 2) {
    const std::string keyword = args[k];
    if (keyword != "charge" && keyword != "spin" && keyword != "mu")
      error->all(FLERR, "pair_style charon: unknown keyword '{}', expected 'charge Q', 'mu MU' or 'spin M'", keyword);
    if (k + 1 == n_args) error->all(FLERR, "pair_style charon: the keyword '{}' has no value", keyword);
    if (keyword == "mu") {
      search_.emplace(utils::numeric(FLERR, args[k + 1], true, lmp));
      continue;
    }
    const int value = utils::inumeric(FLERR, args[k + 1], true, lmp);
    (keyword == "charge" ? total_charge_ : multiplicity_) = value;
  }
  if (search_ && total_charge_)
    error->all(FLERR, "pair_style charon: mu and charge cannot both be given: at a given mu the charge is a result");
  if (multiplicity_ && *multiplicity_ < 1)
    error->all(FLERR, "pair_style charon: spin is the multiplicity 2S+1, an integer >= 1; found {}", *multiplicity_);
}

void PairCharon::check_state_given() const {
  const bool complete = (total_charge_ || search_) && multiplicity_;
  if (model_->metadata().uses_state && !complete)
    error->all(FLERR,
               "pair_style charon: the energy of {} depends on the total charge and spin multiplicity; say both, for "
               "example: pair_style charon {} charge 0 spin 1",
               path_, path_);
  if (!model_->metadata().uses_state && search_)
    error->all(FLERR, "pair_style charon: {} knows no charge, so it has no chemical potential: leave out mu", path_);
  if (!model_->metadata().uses_state && (total_charge_ || multiplicity_) && comm->me == 0)
    error->warning(FLERR, "pair_style charon: {} knows no charge and spin; the values given are not used", path_);
}

void PairCharon::warn_outside_training() const {
  const charon::Metadata &metadata = model_->metadata();
  const auto check = [&](const char *name, const std::optional<int> &value, const std::array<int64_t, 2> &range) {
    if (metadata.uses_state && value && comm->me == 0 && (*value < range[0] || *value > range[1]))
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
    for (int j = 1; j <= n_types; ++j) setflag[i][j] = element_of_type_[i] >= 0 && element_of_type_[j] >= 0;
  const auto unseen = std::find(element_of_type_.begin() + 1, element_of_type_.end(), -1);
  if (unseen != element_of_type_.end() && !utils::strmatch(force->pair_style, "^hybrid"))
    error->all(FLERR, "pair_style charon: type {} has no element; NULL is for types of another style in hybrid",
               unseen - element_of_type_.begin());
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
  if (model_->metadata().uses_state && !search_) check_parity();
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

double PairCharon::init_one(int, int) { return model_->metadata().cutoff; }
