// Operators called through the dispatcher, so that other devices and tracers see them.
#pragma once
#include <ATen/core/dispatch/Dispatcher.h>

namespace charon {

template <class Signature>
c10::TypedOperatorHandle<Signature> operator_handle(const char *name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Signature>();
}

}  // namespace charon
