#include "instruction_sets.h"

#include <cstdlib>
#include <cstring>

namespace charon {

namespace {

enum class Level { portable, avx2, avx512 };

Level best_of_processor() {
#ifdef CHARON_X86
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512vl"))
    return Level::avx512;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return Level::avx2;
#endif
  return Level::portable;
}

Level chosen() {
  const Level best = best_of_processor();
  const char *wish = std::getenv("CHARON_KERNELS");
  if (wish == nullptr) return best;
  if (std::strcmp(wish, "portable") == 0) return Level::portable;
  if (std::strcmp(wish, "avx2") == 0 && best == Level::avx512) return Level::avx2;
  return best;
}

Level level() {
  static const Level once = chosen();
  return once;
}

}  // namespace

const char *instruction_set() {
  static constexpr const char *names[] = {"portable", "avx2", "avx512"};
  return names[static_cast<int>(level())];
}

#ifdef CHARON_X86
#define CHARON_PICK(table) \
  (level() == Level::avx512 ? avx512::table : level() == Level::avx2 ? avx2::table : portable::table)
#else
#define CHARON_PICK(table) portable::table
#endif

template <>
const MessageKernels<float> &message_kernels<float>() {
  return CHARON_PICK(message_float);
}

template <>
const MessageKernels<double> &message_kernels<double>() {
  return CHARON_PICK(message_double);
}

template <>
const UpdateKernels<float> &update_kernels<float>() {
  return CHARON_PICK(update_float);
}

template <>
const UpdateKernels<double> &update_kernels<double>() {
  return CHARON_PICK(update_double);
}

}  // namespace charon
