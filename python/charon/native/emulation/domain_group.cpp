#include "domain_group.h"

#include <algorithm>
#include <stdexcept>

namespace charon {

namespace {

std::string described(int64_t rank, const Call &call) {
  const std::string noun = call.op == "allsum" ? " values" : " numbers per row";
  return "domain " + std::to_string(rank) + " calls " + call.op + " with " + std::to_string(call.width) + noun;
}

}  // namespace

DomainGroup::DomainGroup(int64_t size, double timeout_seconds)
    : calls_(size), ghosts_(size), left_(size, false), timeout_(timeout_seconds) {}

void DomainGroup::forward(int64_t rank, double *rows, int64_t n_local, int64_t n_all, int64_t width) {
  check_ghosts(rank, n_local, n_all);
  meet(rank, {"halo_forward", rows, n_local, width});
  double *ghost_row = rows + n_local * width;
  for (const Owner &owner : ghosts_[rank]) {
    std::copy_n(owner_row(owner), width, ghost_row);
    ghost_row += width;
  }
  barrier(rank);
}

void DomainGroup::reverse(int64_t rank, double *rows, int64_t n_local, int64_t n_all, int64_t width) {
  check_ghosts(rank, n_local, n_all);
  meet(rank, {"halo_reverse", rows, n_local, width});
  // Each domain gathers into its own rows, in the order of the domains: no race, the same sum each time.
  for (int64_t other = 0; other < size(); ++other) {
    const double *ghost_row = calls_[other].data + calls_[other].n_local * width;
    for (const Owner &owner : ghosts_[other]) {
      if (owner.domain == rank)
        for (int64_t k = 0; k < width; ++k) rows[owner.index * width + k] += ghost_row[k];
      ghost_row += width;
    }
  }
  barrier(rank);
}

void DomainGroup::allsum(int64_t rank, double *values, int64_t count) {
  meet(rank, {"allsum", values, 0, count});
  std::vector<double> total(count, 0.0);
  for (const Call &call : calls_)
    for (int64_t k = 0; k < count; ++k) total[k] += call.data[k];
  barrier(rank);
  std::copy(total.begin(), total.end(), values);
}

void DomainGroup::check_ghosts(int64_t rank, int64_t n_local, int64_t n_all) const {
  const auto expected = static_cast<int64_t>(ghosts_[rank].size());
  if (n_all - n_local != expected)
    throw std::runtime_error("domain " + std::to_string(rank) + " has " + std::to_string(expected) +
                             " ghosts, but the exchange has " + std::to_string(n_all - n_local) + " ghost rows");
  for (const Owner &owner : ghosts_[rank])
    if (owner.domain < 0 || owner.domain >= size() || owner.index < 0)
      throw std::runtime_error("domain " + std::to_string(rank) + " has a ghost of atom " +
                               std::to_string(owner.index) + " in domain " + std::to_string(owner.domain) +
                               ", which is none of " + std::to_string(size()) + " domains");
}

void DomainGroup::check_calls(int64_t rank) const {
  for (int64_t other = 0; other < size(); ++other)
    if (calls_[other].op != calls_[rank].op || calls_[other].width != calls_[rank].width)
      throw std::runtime_error("the domains exchange in different order: " + described(rank, calls_[rank]) + ", " +
                               described(other, calls_[other]));
  for (int64_t other = 0; other < size(); ++other)
    for (const Owner &owner : ghosts_[other])
      if (calls_[rank].op != "allsum" && owner.domain == rank && owner.index >= calls_[rank].n_local)
        throw std::runtime_error("domain " + std::to_string(other) + " has a ghost of atom " +
                                 std::to_string(owner.index) + " in domain " + std::to_string(rank) + ", which owns " +
                                 std::to_string(calls_[rank].n_local) + " atoms");
}

const double *DomainGroup::owner_row(const Owner &owner) const {
  const Call &call = calls_[owner.domain];
  return call.data + owner.index * call.width;
}

void DomainGroup::meet(int64_t rank, Call call) {
  calls_[rank] = std::move(call);
  barrier(rank);
  check_calls(rank);
  barrier(rank);  // nobody copies before everybody has checked
}

void DomainGroup::barrier(int64_t rank) {
  std::unique_lock lock(mutex_);
  if (aborted_) throw std::runtime_error(reason_);
  const auto gone = std::find(left_.begin(), left_.end(), true);
  if (gone != left_.end())
    fail(lock,
         described(rank, calls_[rank]) + ", but domain " + std::to_string(gone - left_.begin()) + " has finished");
  const int64_t round = round_;
  if (++arrived_ == size()) {
    arrived_ = 0;
    ++round_;
    changed_.notify_all();
    return;
  }
  const bool met = changed_.wait_for(lock, timeout_, [&] { return round_ != round || aborted_; });
  if (round_ != round) return;
  if (!met) fail(lock, described(rank, calls_[rank]) + " and waited in vain for the others");
  throw std::runtime_error(reason_);
}

void DomainGroup::fail(std::unique_lock<std::mutex> &lock, const std::string &reason) {
  lock.unlock();
  abort(reason);
  throw std::runtime_error(reason);
}

void DomainGroup::abort(const std::string &reason) {
  const std::lock_guard lock(mutex_);
  if (aborted_) return;
  aborted_ = true;
  reason_ = reason;
  changed_.notify_all();
}

void DomainGroup::leave(int64_t rank) {
  const std::lock_guard lock(mutex_);
  left_.at(rank) = true;
  if (arrived_ == 0 || aborted_) return;
  aborted_ = true;
  reason_ = "domain " + std::to_string(rank) + " has finished while others wait in an exchange";
  changed_.notify_all();
}

// ---- one domain

template <class Exchange>
int Domain::guarded(Exchange exchange) noexcept {
  try {
    exchange();
    return 0;
  } catch (const std::exception &error) {
    error_ = error.what();
    group_.abort(error_);
    return 1;
  }
}

Domain::Domain(DomainGroup &group, int64_t rank) : group_(group), rank_(rank) {
  table_.context = this;
  table_.forward = [](void *self, double *rows, int64_t n_local, int64_t n_all, int64_t width) {
    auto &domain = *static_cast<Domain *>(self);
    return domain.guarded([&] { domain.group_.forward(domain.rank_, rows, n_local, n_all, width); });
  };
  table_.reverse = [](void *self, double *rows, int64_t n_local, int64_t n_all, int64_t width) {
    auto &domain = *static_cast<Domain *>(self);
    return domain.guarded([&] { domain.group_.reverse(domain.rank_, rows, n_local, n_all, width); });
  };
  table_.allsum = [](void *self, double *values, int64_t count) {
    auto &domain = *static_cast<Domain *>(self);
    return domain.guarded([&] { domain.group_.allsum(domain.rank_, values, count); });
  };
  table_.error_text = [](void *self) { return static_cast<Domain *>(self)->error_.c_str(); };
  table_.alone = 0;
  table_.rank = static_cast<int>(rank);
  table_.size = static_cast<int>(group.size());
}

}  // namespace charon
