#pragma once

#include "contract/recording.hpp"
#include "cpu/op_state.hpp"
#include "shim/abi.hpp"
#include "shim/context.hpp"
#include "shim/imports.hpp"
#include "tensor/tensor_object.hpp"

#include <nlohmann/json.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

namespace penstock::contract {

/// What the shim functions of a test run in.
struct ShimRun {
  explicit ShimRun(int threads) {
    context.operators = &state;
    context.threads = threads;
  }
  cpu::OpState state;
  shim::CallContext context;
};

/// The function that a package importing `name` would call.
template <class Function>
Function* shim_function(const char* name) {
  return reinterpret_cast<Function*>(shim::resolve_import(name, {}).address);
}

/// Tensors that a shim function gave, by place.
template <std::size_t kCount>
struct Results {
  std::array<AtenTensorHandle, kCount> handles{};

  Results() = default;
  Results(const Results&) = delete;
  Results& operator=(const Results&) = delete;
  ~Results() {
    for (const AtenTensorHandle handle : handles) tensor::free_tensor(handle);
  }
  AtenTensorHandle* operator[](std::size_t i) { return &handles[i]; }
};

/// Calls the function of a test's case in `run`; fails the test with what went wrong.
void expect_success(ShimRun& run, const std::string& text, const std::function<AOTITorchError()>& call);

/// Compares results with the recorded ones: dtypes, sizes, strides and values.
void expect_results(const Recording& recording, const nlohmann::json& one,
                    std::span<const AtenTensorHandle> results);

}  // namespace penstock::contract
