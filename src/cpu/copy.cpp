#include "cpu/copy.hpp"

#include "cpu/element.hpp"
#include "cpu/strided.hpp"
#include "tensor/layout.hpp"

namespace penstock::cpu {
namespace {

using tensor::TensorObject;

template <class To, class From>
void convert_elements(const TensorObject& to, const TensorObject& from, const Dims& from_strides) {
  constexpr auto kTo = static_cast<std::int64_t>(sizeof(To));
  constexpr auto kFrom = static_cast<std::int64_t>(sizeof(From));
  for_each_row<2>(to.sizes(), {to.strides(), from_strides}, [&](const Row<2>& row) {
    std::byte* const target = to.data + row.start[0] * kTo;
    const std::byte* const source = from.data + row.start[1] * kFrom;
    for (std::int64_t i = 0; i < row.count; ++i) {
      store(target + i * row.step[0] * kTo, convert<To>(load<From>(source + i * row.step[1] * kFrom)));
    }
  });
}

}  // namespace

void copy(const TensorObject& to, const TensorObject& from) {
  if (to.numel == 0 && std::ranges::equal(to.sizes(), from.sizes())) return;
  check_host("copy", to);
  check_host("copy", from);
  const Dims from_strides = broadcast_strides(from, to.sizes());
  if (to.dtype == from.dtype) {
    tensor::copy_strided(to.data, to.strides(), from.data, from_strides, to.sizes(), element_bytes(to.dtype));
    return;
  }
  with_type("a converting copy", to.dtype, kAllTypes, [&]<class To>(std::type_identity<To>) {
    with_type("a converting copy", from.dtype, kAllTypes, [&]<class From>(std::type_identity<From>) {
      convert_elements<To, From>(to, from, from_strides);
    });
  });
}

void fill(const TensorObject& to, double value) {
  check_host("fill", to);
  with_type("fill", to.dtype, kAllTypes, [&]<class T>(std::type_identity<T>) {
    const T element = convert<T>(value);
    constexpr auto kBytes = static_cast<std::int64_t>(sizeof(T));
    for_each_row<1>(to.sizes(), {to.strides()}, [&](const Row<1>& row) {
      std::byte* const target = to.data + row.start[0] * kBytes;
      for (std::int64_t i = 0; i < row.count; ++i) store(target + i * row.step[0] * kBytes, element);
    });
  });
}

}  // namespace penstock::cpu
