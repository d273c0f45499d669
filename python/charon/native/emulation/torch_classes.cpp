// The emulation of domains as torch classes: no Python header is needed to build it, and no binding is tied to
// one version of Python.
#include <torch/custom_class.h>

#include "domain_group.h"

namespace {

struct Group : torch::CustomClassHolder {
  Group(int64_t size, double timeout_seconds) : domains(size, timeout_seconds) {}
  charon::DomainGroup domains;
};

// Serves the exchanges of the thread that enters it.
class Member : public torch::CustomClassHolder {
 public:
  Member(c10::intrusive_ptr<Group> group, int64_t rank)
      : group_(std::move(group)), rank_(rank), domain_(group_->domains, rank) {}

  void set_ghosts(const std::vector<int64_t> &domains, const std::vector<int64_t> &indices) {
    TORCH_CHECK(domains.size() == indices.size(), "set_ghosts: ", domains.size(), " domains, but ", indices.size(),
                " indices");
    std::vector<charon::Owner> owners;
    for (size_t k = 0; k < domains.size(); ++k) owners.push_back({domains[k], indices[k]});
    group_->domains.set_ghosts(rank_, std::move(owners));
  }
  void enter() { previous_ = charon_set_backend(&domain_.table()); }
  void leave() { charon_set_backend(previous_); }

 private:
  c10::intrusive_ptr<Group> group_;
  int64_t rank_;
  charon::Domain domain_;
  const charon_backend *previous_ = nullptr;
};

std::vector<int64_t> counters() {
  const charon_counters read = charon_read_counters();
  return {read.forward, read.reverse, read.allsum, read.widest_row};
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(charon, library) {
  library.class_<Group>("DomainGroup")
      .def(torch::init<int64_t, double>())
      .def("abort",
           [](const c10::intrusive_ptr<Group> &self, const std::string &reason) { self->domains.abort(reason); })
      .def("finish", [](const c10::intrusive_ptr<Group> &self, int64_t rank) { self->domains.leave(rank); });
  library.class_<Member>("Domain")
      .def(torch::init<c10::intrusive_ptr<Group>, int64_t>())
      .def("set_ghosts", [](const c10::intrusive_ptr<Member> &self, const std::vector<int64_t> &domains,
                            const std::vector<int64_t> &indices) { self->set_ghosts(domains, indices); })
      .def("enter", [](const c10::intrusive_ptr<Member> &self) { self->enter(); })
      .def("leave", [](const c10::intrusive_ptr<Member> &self) { self->leave(); });
  library.def("_counters() -> int[]", &counters);
  library.def("_reset_counters() -> ()", &charon_reset_counters);
}
