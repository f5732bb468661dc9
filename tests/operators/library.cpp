#include "fixtures.hpp"

// The fixtures as a library that is named to a load.
PENSTOCK_LIBRARY(registry) { penstock::fixtures::add_all(registry); }
