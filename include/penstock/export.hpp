#pragma once

/// Marks what libpenstock exports. Everything else in the library is hidden.
#if defined(PENSTOCK_BUILDING)
#define PENSTOCK_API __attribute__((visibility("default")))
#else
#define PENSTOCK_API
#endif
