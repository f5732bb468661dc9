#include <penstock/operators.hpp>

PENSTOCK_LIBRARY(registry) {
  static_cast<void>(registry);
  throw 7;
}
