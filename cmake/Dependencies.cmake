# What Penstock is built with: docs/design/0002-dependencies.md.
find_package(Threads REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(fmt REQUIRED)
find_package(Eigen3 REQUIRED NO_MODULE)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
find_package(ZLIB REQUIRED)
find_package(PkgConfig REQUIRED)
# libzip's own CMake files name tools that Debian ships in another package.
pkg_check_modules(libzip REQUIRED IMPORTED_TARGET libzip)
pkg_check_modules(libdeflate REQUIRED IMPORTED_TARGET libdeflate)

# oneDNN is opened at run time; only its headers are needed here. `./dev build` unpacks them.
set(PENSTOCK_ONEDNN_ROOT "${PROJECT_SOURCE_DIR}/build/deps/onednn" CACHE PATH
    "Folder with include/oneapi/dnnl/dnnl.h and lib/libdnnl.so.3")
find_path(PENSTOCK_ONEDNN_INCLUDE oneapi/dnnl/dnnl.h
          HINTS "${PENSTOCK_ONEDNN_ROOT}/include" NO_DEFAULT_PATH REQUIRED)

# Zydis decodes a package's code to tell which instruction sets it needs. Its pkg-config file exists
# on every release that we support; its CMake files do not.
find_path(PENSTOCK_ZYDIS_INCLUDE Zydis/Zydis.h REQUIRED)
find_library(PENSTOCK_ZYDIS_LIBRARY Zydis REQUIRED)

# CUDA's compiler makes libpenstock_cuda. Nothing else needs the toolkit: the core declares what it calls of
# the driver itself.
set(PENSTOCK_CUDA AUTO CACHE STRING "Build libpenstock_cuda: ON, OFF, or AUTO, where there is a CUDA compiler")
set_property(CACHE PENSTOCK_CUDA PROPERTY STRINGS AUTO ON OFF)
if(NOT PENSTOCK_CUDA STREQUAL "OFF" AND NOT PENSTOCK_SANITIZE)
  find_program(PENSTOCK_NVCC nvcc
    HINTS "${PROJECT_SOURCE_DIR}/build/deps/cuda" ENV CUDA_PATH ENV CUDA_HOME PATHS /usr/local/cuda
    PATH_SUFFIXES bin)
  if(PENSTOCK_NVCC)
    execute_process(COMMAND "${PENSTOCK_NVCC}" --version OUTPUT_VARIABLE nvcc_version)
    string(REGEX MATCH "release ([0-9]+\\.[0-9]+)" unused "${nvcc_version}")
    if(CMAKE_MATCH_1 VERSION_LESS 12.6)
      message(STATUS "libpenstock_cuda needs CUDA 12.6 or later; ${PENSTOCK_NVCC} is ${CMAKE_MATCH_1}")
      unset(PENSTOCK_NVCC CACHE)
    endif()
  endif()
  if(NOT PENSTOCK_NVCC AND PENSTOCK_CUDA STREQUAL "ON")
    message(FATAL_ERROR "PENSTOCK_CUDA is ON, and there is no nvcc of CUDA 12.6 or later; set PENSTOCK_NVCC")
  endif()
endif()
