// LAMMPS plugin of Charon.
// This file links to LAMMPS and is distributed under the GNU General Public License, version 2 (see LICENSE).
#include "lammps.h"
#include "pair_charon.h"

namespace {

// LAMMPS' binary interface of plugins: what its loader reads from a registered record.
struct PluginRecord {
  const char *version;
  const char *style;
  const char *name;
  const char *info;
  const char *author;
  LAMMPS_NS::Pair *(*create)(LAMMPS_NS::LAMMPS *);
  void *handle;
};

LAMMPS_NS::Pair *create_pair(LAMMPS_NS::LAMMPS *lmp) { return new LAMMPS_NS::PairCharon(lmp); }

}  // namespace

extern "C" void lammpsplugin_init(void *lmp, void *handle, void *register_function) {
  const auto register_plugin = reinterpret_cast<void (*)(PluginRecord *, void *)>(register_function);
  PluginRecord record{
      CHARON_LAMMPS_VERSION,   "pair",       "charon", "Charon: interatomic potential with total charge and spin",
      "The Charon developers", &create_pair, handle};
  register_plugin(&record, lmp);
}
