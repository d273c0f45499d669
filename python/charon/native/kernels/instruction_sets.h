// The kernels of each instruction set, and the best one that this processor has.
#pragma once
#include "message_task.h"
#include "update_task.h"

namespace charon {

#define CHARON_DECLARE_KERNELS(isa)                   \
  namespace isa {                                     \
  extern const MessageKernels<float> message_float;   \
  extern const MessageKernels<double> message_double; \
  extern const UpdateKernels<float> update_float;     \
  extern const UpdateKernels<double> update_double;   \
  }
CHARON_DECLARE_KERNELS(portable)
#ifdef CHARON_X86
CHARON_DECLARE_KERNELS(avx2)
CHARON_DECLARE_KERNELS(avx512)
#endif
#undef CHARON_DECLARE_KERNELS

// "portable", "avx2" or "avx512"; the environment variable CHARON_KERNELS chooses a lower one.
const char *instruction_set();
template <class T>
const MessageKernels<T> &message_kernels();
template <class T>
const UpdateKernels<T> &update_kernels();

}  // namespace charon
