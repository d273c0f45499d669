// LAMMPS plugin of Charon.
// This file links to LAMMPS and is distributed under the GNU General Public License, version 2 (see LICENSE).
//
// Constant potential: the total charge at which dE/dQ = -mu, by the secant method; see charon/constant_potential.py.
#pragma once
#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

namespace charon {

class ChargeSearch {
 public:
  static constexpr int trials = 40;

  explicit ChargeSearch(double mu) : target_(-mu) {}

  double charge() const { return charge_; }
  double target() const { return target_; }  // of dE/dQ, eV/e

  // Before the first trial of a new geometry: slopes of older ones are not comparable. Charge and hardness are kept.
  void begin() { last_.reset(); }

  bool arrived(double slope, bool single_precision) const {
    return std::abs(slope - target_) <= (single_precision ? 1e-4 : 1e-8);
  }

  // Moves the charge, knowing dE/dQ at the present one.
  void improve(double slope) {
    if (last_ && charge_ != last_->first) {
      const double hardness = (slope - last_->second) / (charge_ - last_->first);
      if (hardness > 0.0) hardness_ = hardness;
    }
    last_ = {charge_, slope};
    charge_ += std::clamp((target_ - slope) / hardness_, -largest_step, largest_step);
  }

 private:
  static constexpr double largest_step = 0.5;  // e

  double target_;
  double charge_ = 0.0;
  double hardness_ = 5.0;                          // d2E/dQ2, eV/e^2
  std::optional<std::pair<double, double>> last_;  // charge and slope
};

}  // namespace charon
