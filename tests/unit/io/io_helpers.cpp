#include "io_helpers.hpp"

#include <fstream>
#include <iterator>

namespace penstock::io::testing {

std::string read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path.string());
  return {std::istreambuf_iterator<char>(file), {}};
}

Tensor counting_bytes(DType dtype, std::initializer_list<std::int64_t> sizes) {
  Tensor tensor = Tensor::empty(dtype, sizes);
  auto* data = static_cast<unsigned char*>(tensor.view().data());
  const std::size_t bytes = static_cast<std::size_t>(tensor.numel()) * element_bytes(dtype);
  for (std::size_t i = 0; i < bytes; ++i) {
    data[i] = static_cast<unsigned char>(dtype == DType::Bool ? i % 2 : i);
  }
  return tensor;
}

}  // namespace penstock::io::testing
