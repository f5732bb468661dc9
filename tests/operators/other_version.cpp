#include <penstock/operators.hpp>

#include <cstdint>

// What PENSTOCK_LIBRARY would have made with another version of the header.
extern "C" __attribute__((visibility("default"))) std::uint32_t penstock_operator_interface() { return 9; }
extern "C" __attribute__((visibility("default"))) void penstock_register(penstock::Registry&) {}
