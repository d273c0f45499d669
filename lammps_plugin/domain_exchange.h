// LAMMPS plugin of Charon.
// This file links to LAMMPS and is distributed under the GNU General Public License, version 2 (see LICENSE).
#pragma once
#include <mpi.h>

#include <exception>
#include <string>
#include <vector>

#include "comm_backend.h"

namespace LAMMPS_NS {
class Comm;
class Pair;
}  // namespace LAMMPS_NS

namespace charon {

// Serves the model's exchanges through LAMMPS' own communication of ghost atoms, whatever its style.
// The rows of the model are atoms of some types only; LAMMPS' lists are of all atoms: `row_of_atom` maps them, and
// ghosts that are periodic images of this rank's own atoms to the rows of those (below n_local).
class DomainExchange {
 public:
  explicit DomainExchange(LAMMPS_NS::Pair *pair) : pair_(pair) {}
  DomainExchange(const DomainExchange &) = delete;
  DomainExchange &operator=(const DomainExchange &) = delete;

  // The table of one evaluation; comm and the map must outlive it. `n_local` rows are of owned atoms.
  charon_backend begin(LAMMPS_NS::Comm *comm, MPI_Comm world, int largest_width, const std::vector<int> &row_of_atom,
                       int64_t n_local);
  // Throws again what LAMMPS threw inside an exchange.
  void rethrow();

  int pack_forward(int n, const int *atoms, double *buffer) const;
  void unpack_forward(int n, int first, const double *buffer);
  int pack_reverse(int n, int first, double *buffer) const;
  void unpack_reverse(int n, const int *atoms, const double *buffer);

 private:
  enum class Direction { forward, reverse };
  static int allsum(void *self, double *values, int64_t count);
  int exchange(Direction direction, double *rows, int64_t width) noexcept;
  template <class Action>
  int guarded(Action action) noexcept;
  double *row(int atom) const;         // nullptr for an atom that the model does not see
  bool is_own_image(int ghost) const;  // it shares the row of its owner, which is of this rank

  LAMMPS_NS::Pair *pair_;
  LAMMPS_NS::Comm *comm_ = nullptr;
  MPI_Comm world_ = MPI_COMM_NULL;
  const std::vector<int> *row_of_atom_ = nullptr;
  int64_t n_local_ = 0;
  int largest_width_ = 0;
  double *rows_ = nullptr;
  int width_ = 0;
  std::exception_ptr caught_;
  std::string error_;
};

}  // namespace charon
