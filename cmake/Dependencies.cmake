# What Penstock is built with: docs/design/0002-dependencies.md.
find_package(Threads REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(fmt REQUIRED)
find_package(Eigen3 REQUIRED NO_MODULE)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
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
