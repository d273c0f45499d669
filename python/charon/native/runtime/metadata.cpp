#include "metadata.h"

#include <algorithm>
#include <iterator>
#include <stdexcept>
#include <string_view>

#include "json.h"

namespace charon {

namespace {

constexpr std::string_view symbols[] = {
    "X",  "H",  "He", "Li", "Be", "B",  "C",  "N",  "O",  "F",  "Ne", "Na", "Mg", "Al", "Si", "P",  "S",
    "Cl", "Ar", "K",  "Ca", "Sc", "Ti", "V",  "Cr", "Mn", "Fe", "Co", "Ni", "Cu", "Zn", "Ga", "Ge", "As",
    "Se", "Br", "Kr", "Rb", "Sr", "Y",  "Zr", "Nb", "Mo", "Tc", "Ru", "Rh", "Pd", "Ag", "Cd", "In", "Sn",
    "Sb", "Te", "I",  "Xe", "Cs", "Ba", "La", "Ce", "Pr", "Nd", "Pm", "Sm", "Eu", "Gd", "Tb", "Dy", "Ho",
    "Er", "Tm", "Yb", "Lu", "Hf", "Ta", "W",  "Re", "Os", "Ir", "Pt", "Au", "Hg", "Tl", "Pb", "Bi", "Po",
    "At", "Rn", "Fr", "Ra", "Ac", "Th", "Pa", "U",  "Np", "Pu", "Am", "Cm", "Bk", "Cf", "Es", "Fm", "Md",
    "No", "Lr", "Rf", "Db", "Sg", "Bh", "Hs", "Mt", "Ds", "Rg", "Cn", "Nh", "Fl", "Mc", "Lv", "Ts", "Og"};

void check_version(const Json &json, const std::string &key, int64_t oldest, int64_t newest) {
  const int64_t found = json.at(key).integer();
  if (found >= oldest && found <= newest) return;
  const std::string known = oldest == newest ? "version " + std::to_string(newest)
                                             : "versions " + std::to_string(oldest) + " to " + std::to_string(newest);
  throw std::runtime_error("its " + key + " is version " + std::to_string(found) + ", written by Charon " +
                           json.at("charon").string() + "; this build reads " + known +
                           ": use a build of the version that wrote it, or export the model again with this version");
}

std::vector<std::string> symbols_of(const Json &json) {
  std::vector<std::string> elements;
  for (const Json &element : json.array()) {
    elements.push_back(element.string());
    if (atomic_number(elements.back()) == 0)
      throw std::runtime_error("expected a chemical symbol, found '" + elements.back() + "'");
  }
  return elements;
}

std::array<int64_t, 2> range(const Json &json) {
  if (json.array().size() != 2) throw std::runtime_error("expected the two ends of a range");
  return {json.array()[0].integer(), json.array()[1].integer()};
}

bool is_single(const std::string &dtype) {
  if (dtype != "float32" && dtype != "float64")
    throw std::runtime_error("expected dtype float32 or float64, found '" + dtype + "'");
  return dtype == "float32";
}

bool enters_energy(const std::string &electronic) {
  constexpr std::string_view known[] = {"equilibration", "hdnnp4g", "spooky", "none"};
  if (std::find(std::begin(known), std::end(known), electronic) == std::end(known))
    throw std::runtime_error("expected electronic 'equilibration', 'hdnnp4g', 'spooky' or 'none', found '" +
                             electronic + "'");
  return electronic != "none";
}

}  // namespace

int atomic_number(const std::string &symbol) {
  const auto *found = std::find(std::begin(symbols) + 1, std::end(symbols), symbol);
  return found == std::end(symbols) ? 0 : static_cast<int>(found - std::begin(symbols));
}

Metadata Metadata::parse(const std::string &json_text) {
  const Json json = Json::parse(json_text);
  check_version(json, "format", format_version, format_version);
  check_version(json, "op_schema", 1, op_schema_version);
  Metadata metadata;
  metadata.charon_version = json.at("charon").string();
  metadata.torch_version = json.at("torch").string();
  metadata.elements = symbols_of(json.at("elements"));
  metadata.cutoff = json.at("cutoff").number();
  metadata.single_precision = is_single(json.at("dtype").string());
  metadata.exchange_width = json.at("exchange_width").integer();
  metadata.uses_state = enters_energy(json.at("electronic").string());
  metadata.charge_range = range(json.at("charge_range"));
  metadata.spin_range = range(json.at("spin_range"));
  return metadata;
}

}  // namespace charon
