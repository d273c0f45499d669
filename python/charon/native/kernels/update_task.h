// What an update kernel is asked to do; the formulas are those of model/update.py.
#pragma once
#include <cstdint>

namespace charon {

// Weights as the kernel reads them, or their gradients, which it adds to.
template <class T>
struct UpdateWeights {
  T *vector_in = nullptr;      // l_max 1: [2 channels, 2 channels], left and right; l_max 2: [2 channels, channels]
  T *hidden = nullptr;         // [invariants channels, 3 channels]: 2 hidden and the linear part
  T *gates = nullptr;          // [2 channels, (1 + gates) channels]
  T *vector_out = nullptr;     // [2 channels, channels]
  T *hidden_bias = nullptr;    // [3 channels]
  T *gates_bias = nullptr;     // [(1 + gates) channels]
  T *element_scale = nullptr;  // [n_elements, invariants channels]
  T *element_gate = nullptr;   // [n_elements, gates channels]
  T *tensor_in = nullptr;      // [2 channels, channels]
  T *tensor_out = nullptr;     // [3 channels, channels]
};

template <class T>
struct UpdateTask {
  int l_max = 1;
  int64_t channels = 0;
  const int64_t *types;           // [n]
  const T *state;                 // [n, rows, channels]
  const T *message;               // [n, rows, channels]
  const T *state_tangent;         // as `state`: direction of the derivative
  const T *message_tangent;       // as `message`
  const T *upstream;              // [n, rows, channels] gradient of the new state
  UpdateWeights<const T> weight;  // [inputs, outputs]
  UpdateWeights<const T> transposed;
  T *updated;                               // [n, rows, channels] the new state, or its tangent
  T *state_gradient;                        // [n, rows, channels] or its tangent
  T *message_gradient;                      // [n, rows, channels] or its tangent
  const UpdateWeights<T> *weight_gradient;  // nullptr: not wanted
};

// Each works on the atoms [begin, end).
template <class T>
struct UpdateKernels {
  void (*forward)(const UpdateTask<T> &, int64_t begin, int64_t end);
  void (*backward)(const UpdateTask<T> &, int64_t begin, int64_t end);
  void (*tangent)(const UpdateTask<T> &, int64_t begin, int64_t end);  // of the new state and of all gradients
};

}  // namespace charon
