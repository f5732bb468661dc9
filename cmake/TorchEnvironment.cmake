# The private environment that `./dev torch-env` makes. Only benchmarks and tests beside libtorch use it.
set(PENSTOCK_TORCH_ENV "${PROJECT_SOURCE_DIR}/build/torch-env" CACHE PATH
    "Python environment with torch, for benchmarks and tests beside libtorch")
file(GLOB PENSTOCK_TORCH_ROOT "${PENSTOCK_TORCH_ENV}/lib/python3*/site-packages/torch")
