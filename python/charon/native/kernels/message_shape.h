// What stays the same over all derivatives of one message.
#pragma once
#include <cstdint>

namespace charon {

struct MessageShape {
  int64_t l_max;
  bool first;      // neighbors have no vectors and tensors yet
  double spacing;  // of the knots, A

  int64_t received() const { return (l_max + 1) * (l_max + 1); }
  int64_t own() const { return l_max + 1; }  // h0 .. h_l_max
  int64_t sent() const { return own() + (first ? 0 : received() - 1); }
  int64_t filters() const { return first ? l_max + 1 : 2 * l_max + 1; }
};

}  // namespace charon
