// Sparse products along bonds, one number per bond and channel, for rows of [components, channels] per atom.
#pragma once
#include <algorithm>
#include <cstdint>
#include <type_traits>

namespace charon {

template <class T>
struct HopTask {
  int64_t components, channels;
  const int32_t *center_start, *neighbor;                         // bonds sorted by center
  const int32_t *neighbor_start, *center_of_slot, *bond_of_slot;  // and by neighbor

  int64_t width() const { return components * channels; }
};

// Calls `work` with a compile-time number of channels where there is one (else 0), for loops that vectorise.
template <class T, class Work>
void by_channels(const HopTask<T> &task, const Work &work) {
  switch (task.channels) {
    case 4:
      return work(std::integral_constant<int64_t, 4>());
    case 8:
      return work(std::integral_constant<int64_t, 8>());
    case 16:
      return work(std::integral_constant<int64_t, 16>());
    default:
      return work(std::integral_constant<int64_t, 0>());
  }
}

// to += weight * from, for one bond.
template <int64_t C, class T>
inline void add_bond(const HopTask<T> &task, const T *__restrict weight, const T *__restrict from, T *__restrict to) {
  const int64_t channels = C ? C : task.channels;
  for (int64_t m = 0; m < task.components; ++m)
    for (int64_t c = 0; c < channels; ++c) to[m * channels + c] += weight[c] * from[m * channels + c];
}

// out_i = sum of w_ij x_j over the bonds of the centers [begin, end).
template <class T>
void hop_forward(const HopTask<T> &task, const T *weight, const T *x, T *out, int64_t begin, int64_t end) {
  const int64_t width = task.width();
  by_channels(task, [&](auto channels) {
    for (int64_t i = begin; i < end; ++i) {
      T *to = out + i * width;
      std::fill(to, to + width, T(0));
      for (int64_t b = task.center_start[i]; b < task.center_start[i + 1]; ++b)
        add_bond<channels()>(task, weight + b * task.channels, x + task.neighbor[b] * width, to);
    }
  });
}

// out_j = sum of w_ij g_i over the bonds whose neighbor j is in [begin, end).
template <class T>
void hop_backward(const HopTask<T> &task, const T *weight, const T *g, T *out, int64_t begin, int64_t end) {
  const int64_t width = task.width();
  by_channels(task, [&](auto channels) {
    for (int64_t j = begin; j < end; ++j) {
      T *to = out + j * width;
      std::fill(to, to + width, T(0));
      for (int64_t slot = task.neighbor_start[j]; slot < task.neighbor_start[j + 1]; ++slot)
        add_bond<channels()>(task, weight + task.bond_of_slot[slot] * task.channels,
                             g + task.center_of_slot[slot] * width, to);
    }
  });
}

// out_b += factor * (sum over components of g_i x_j), for the bonds of the centers [begin, end).
template <class T>
void hop_products(const HopTask<T> &task, T factor, const T *g, const T *x, T *out, int64_t begin, int64_t end) {
  const int64_t width = task.width();
  by_channels(task, [&](auto known) {
    const int64_t channels = known() ? known() : task.channels;
    for (int64_t i = begin; i < end; ++i)
      for (int64_t b = task.center_start[i]; b < task.center_start[i + 1]; ++b) {
        const T *here = g + i * width, *there = x + task.neighbor[b] * width;
        T *__restrict to = out + b * channels;
        for (int64_t m = 0; m < task.components; ++m)
          for (int64_t c = 0; c < channels; ++c) to[c] += factor * here[m * channels + c] * there[m * channels + c];
      }
  });
}

}  // namespace charon
