// The border between the communication ops and whoever owns the domains (an MD engine, a test).
#pragma once
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// A backend of one thread: rows are dense, row-major, double precision. `forward` copies them bit by bit: they may be
// pairs of single-precision numbers.
// Each callback returns 0, or non-zero after which error_text(context) says what went wrong;
// no exception may cross this border.
typedef struct charon_backend {
  void *context;
  // Rows [0, n_local) are valid; fills the ghosts' rows [n_local, n_all) from their owners.
  int (*forward)(void *context, double *rows, int64_t n_local, int64_t n_all, int64_t width);
  // Adds each ghost's row to its owner's row; the ghosts' rows are scratch afterwards.
  int (*reverse)(void *context, double *rows, int64_t n_local, int64_t n_all, int64_t width);
  // Replaces each value by its sum over all domains.
  int (*allsum)(void *context, double *values, int64_t count);
  const char *(*error_text)(void *context);
  // Not 0: there is no other domain, so that without ghost rows nothing is exchanged.
  int alone;
  // Which domain this is, and how many there are.
  int rank;
  int size;
} charon_backend;

// Number of exchanges since the last reset, and the widest row exchanged.
typedef struct charon_counters {
  int64_t forward;
  int64_t reverse;
  int64_t allsum;
  int64_t widest_row;
} charon_counters;

// Sets the backend of the calling thread and returns the one before. NULL: a single domain without ghosts.
// The table must outlive its use.
const charon_backend *charon_set_backend(const charon_backend *backend);

// Counters of the calling thread.
charon_counters charon_read_counters(void);
void charon_reset_counters(void);

#ifdef __cplusplus
}

namespace charon {

// Sets a backend for the life of a scope.
class BackendScope {
 public:
  explicit BackendScope(const charon_backend &backend) : previous_(charon_set_backend(&backend)) {}
  ~BackendScope() { charon_set_backend(previous_); }
  BackendScope(const BackendScope &) = delete;
  BackendScope &operator=(const BackendScope &) = delete;

 private:
  const charon_backend *previous_;
};

}  // namespace charon
#endif
