#pragma once

#include "cpu/element.hpp"
#include "tensor/layout.hpp"
#include "tensor/tensor_object.hpp"

#include <penstock/error.hpp>

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace penstock::cpu::testing {

using Numbers = std::vector<std::int64_t>;

/// A tensor over the elements of `data`, row-major where no strides are given.
template <class T>
tensor::TensorObjectPtr over(std::vector<T>& data, const Numbers& sizes, Numbers strides = {}) {
  if (strides.empty()) {
    strides.resize(sizes.size());
    tensor::fill_contiguous_strides(sizes, strides);
  }
  const tensor::StorageReference storage(tensor::borrow_storage(data.data(), data.size() * sizeof(T), {}));
  return tensor::TensorObjectPtr(tensor::make_tensor(storage.get(), {dtype_of<T>(), sizes, strides, 0}));
}

/// Expects that `work` is refused with `code` and words that contain `part`.
template <class Work>
void expect_refused(ErrorCode code, const std::string& part, Work&& work) {
  try {
    work();
    ADD_FAILURE() << "was not refused";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

}  // namespace penstock::cpu::testing
