// LAMMPS plugin of Charon.
// This file links to LAMMPS and is distributed under the GNU General Public License, version 2 (see LICENSE).
#include "domain_exchange.h"

#include <algorithm>
#include <limits>
#include <stdexcept>

#include "comm.h"
#include "pair.h"

namespace charon {

charon_backend DomainExchange::begin(LAMMPS_NS::Comm *comm, MPI_Comm world, int largest_width,
                                     const std::vector<int> &row_of_atom, int64_t n_local) {
  comm_ = comm;
  world_ = world;
  largest_width_ = largest_width;
  row_of_atom_ = &row_of_atom;
  n_local_ = n_local;
  caught_ = nullptr;
  charon_backend table;
  table.context = this;
  table.forward = [](void *self, double *rows, int64_t, int64_t, int64_t width) {
    return static_cast<DomainExchange *>(self)->exchange(Direction::forward, rows, width);
  };
  table.reverse = [](void *self, double *rows, int64_t, int64_t, int64_t width) {
    return static_cast<DomainExchange *>(self)->exchange(Direction::reverse, rows, width);
  };
  table.allsum = &DomainExchange::allsum;
  table.alone = comm->nprocs == 1 ? 1 : 0;
  table.rank = comm->me;
  table.size = comm->nprocs;
  table.error_text = [](void *self) { return static_cast<DomainExchange *>(self)->error_.c_str(); };
  return table;
}

void DomainExchange::rethrow() {
  if (caught_) std::rethrow_exception(caught_);
}

template <class Action>
int DomainExchange::guarded(Action action) noexcept {
  try {
    action();
    return 0;
  } catch (const std::exception &error) {
    error_ = error.what();
    caught_ = std::current_exception();
    return 1;
  }
}

int DomainExchange::exchange(Direction direction, double *rows, int64_t width) noexcept {
  if (width > largest_width_) {
    error_ = "the model exchanges " + std::to_string(width) + " numbers per atom, but its file announces at most " +
             std::to_string(largest_width_) + ": export it again";
    return 1;
  }
  rows_ = rows;
  width_ = static_cast<int>(width);
  if (width == 0) return 0;
  return guarded([&] {
    if (direction == Direction::forward)
      comm_->forward_comm(pair_, width_);
    else
      comm_->reverse_comm(pair_, width_);
  });
}

int DomainExchange::allsum(void *self, double *values, int64_t count) {
  constexpr int64_t largest_message = std::numeric_limits<int>::max();
  auto *exchange = static_cast<DomainExchange *>(self);
  for (int64_t first = 0; first < count; first += largest_message) {
    const int n = static_cast<int>(std::min(count - first, largest_message));
    if (MPI_Allreduce(MPI_IN_PLACE, values + first, n, MPI_DOUBLE, MPI_SUM, exchange->world_) == MPI_SUCCESS) continue;
    exchange->error_ = "MPI_Allreduce failed";
    return 1;
  }
  return 0;
}

bool DomainExchange::is_own_image(int ghost) const { return (*row_of_atom_)[ghost] < n_local_; }

double *DomainExchange::row(int atom) const {
  const int index = (*row_of_atom_)[atom];
  return index < 0 ? nullptr : rows_ + static_cast<int64_t>(index) * width_;
}

int DomainExchange::pack_forward(int n, const int *atoms, double *buffer) const {
  for (int k = 0; k < n; ++k, buffer += width_)
    if (const double *own = row(atoms[k]))
      std::copy_n(own, width_, buffer);
    else
      std::fill_n(buffer, width_, 0.0);
  return n * width_;
}

void DomainExchange::unpack_forward(int n, int first, const double *buffer) {
  for (int atom = first; atom < first + n; ++atom, buffer += width_)
    if (double *ghost = row(atom)) std::copy_n(buffer, width_, ghost);
}

int DomainExchange::pack_reverse(int n, int first, double *buffer) const {
  for (int atom = first; atom < first + n; ++atom, buffer += width_)
    if (const double *ghost = row(atom); ghost != nullptr && !is_own_image(atom))
      std::copy_n(ghost, width_, buffer);
    else
      std::fill_n(buffer, width_, 0.0);
  return n * width_;
}

void DomainExchange::unpack_reverse(int n, const int *atoms, const double *buffer) {
  for (int k = 0; k < n; ++k, buffer += width_)
    if (double *own = row(atoms[k]))
      for (int column = 0; column < width_; ++column) own[column] += buffer[column];
}

}  // namespace charon
