// LAMMPS plugin of Charon.
// This file links to LAMMPS and is distributed under the GNU General Public License, version 2 (see LICENSE).
//
// pair_style charon model.pt [charge Q | mu MU] [spin M]
// pair_coeff * * El1 ... ElN        NULL: a type the model does not see (hybrid, hybrid/overlay)
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "charge_search.h"
#include "domain_exchange.h"
#include "model_atoms.h"
#include "pair.h"
#include "runtime/model.h"

namespace LAMMPS_NS {

class PairCharon : public Pair {
 public:
  explicit PairCharon(LAMMPS *lmp);
  ~PairCharon() override;

  void settings(int n_args, char **args) override;
  void coeff(int n_args, char **args) override;
  void init_style() override;
  double init_one(int i, int j) override;
  void compute(int eflag, int vflag) override;

  // "charge" (e) and "spin" (unpaired electrons) of owned atoms, for fix pair
  void *extract_peratom(const char *name, int &columns) override;
  double memory_usage() override;

  int pack_forward_comm(int n, int *atoms, double *buffer, int pbc_flag, int *pbc) override;
  void unpack_forward_comm(int n, int first, double *buffer) override;
  int pack_reverse_comm(int n, int first, double *buffer) override;
  void unpack_reverse_comm(int n, int *atoms, double *buffer) override;

 private:
  void read_state(int n_args, char **args);
  int type_of_element(const std::string &symbol) const;
  void check_state_given() const;
  void check_special_bonds() const;
  void check_parity() const;
  void warn_outside_training() const;

  charon::ModelOutput evaluate();
  charon::ModelOutput evaluate_at(double total_charge);
  charon::ModelOutput evaluate_at_potential();
  void check_positions(int broken) const;
  void check_energies(const charon::ModelOutput &output) const;
  [[noreturn]] void abort_all(const std::string &message) const;
  void add_energies(const at::Tensor &energies);
  void add_forces(const at::Tensor &edge_gradient, const at::Tensor &position_gradient);
  template <class T>
  void add_edge_forces(const at::Tensor &edge_gradient);
  void add_virial(const at::Tensor &strain_gradient);
  void tally_edge(int center, int neighbor, const double *vector, const double *force);
  void store_charges(const at::Tensor &charges, const at::Tensor &spins);

  std::string path_;
  std::unique_ptr<charon::Model> model_;
  charon::DomainExchange exchange_;
  charon::ModelAtoms atoms_;
  std::vector<int> element_of_type_;  // [n_types + 1], -1: not seen by the model
  std::optional<int> total_charge_;
  std::optional<charon::ChargeSearch> search_;  // in place of a total charge
  std::optional<int> multiplicity_;
  double energy_unit_ = 1.0;             // of one eV
  std::vector<double> charges_, spins_;  // [n_local]
};

}  // namespace LAMMPS_NS
