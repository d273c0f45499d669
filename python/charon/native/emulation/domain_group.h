// Domains of one process: each thread is a domain, and an exchange is a meeting of all of them.
#pragma once
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "../comm_backend.h"

namespace charon {

// A ghost is the copy of atom `index` of domain `domain`.
struct Owner {
  int64_t domain;
  int64_t index;
};

// One domain's share of an exchange.
struct Call {
  std::string op;
  double *data = nullptr;
  int64_t n_local = 0;
  int64_t width = 0;  // of a row, or the number of values summed
};

class DomainGroup {
 public:
  DomainGroup(int64_t size, double timeout_seconds);

  int64_t size() const { return static_cast<int64_t>(calls_.size()); }
  void set_ghosts(int64_t rank, std::vector<Owner> owners) { ghosts_.at(rank) = std::move(owners); }
  void forward(int64_t rank, double *rows, int64_t n_local, int64_t n_all, int64_t width);
  void reverse(int64_t rank, double *rows, int64_t n_local, int64_t n_all, int64_t width);
  void allsum(int64_t rank, double *values, int64_t count);

  // Ends every wait, present and future, with an error.
  void abort(const std::string &reason);
  // A domain that makes no further exchange: one that still waits for it is told so.
  void leave(int64_t rank);

 private:
  void meet(int64_t rank, Call call);
  void barrier(int64_t rank);
  void check_ghosts(int64_t rank, int64_t n_local, int64_t n_all) const;
  void check_calls(int64_t rank) const;
  const double *owner_row(const Owner &owner) const;
  [[noreturn]] void fail(std::unique_lock<std::mutex> &lock, const std::string &reason);

  std::vector<Call> calls_;
  std::vector<std::vector<Owner>> ghosts_;
  std::vector<bool> left_;
  std::chrono::duration<double> timeout_;
  std::mutex mutex_;
  std::condition_variable changed_;
  int64_t arrived_ = 0;
  int64_t round_ = 0;
  bool aborted_ = false;
  std::string reason_;
};

// The backend of one domain, for charon_set_backend.
class Domain {
 public:
  Domain(DomainGroup &group, int64_t rank);
  Domain(const Domain &) = delete;
  Domain &operator=(const Domain &) = delete;

  const charon_backend &table() const { return table_; }

 private:
  template <class Exchange>
  int guarded(Exchange exchange) noexcept;

  DomainGroup &group_;
  int64_t rank_;
  std::string error_;
  charon_backend table_;
};

}  // namespace charon
