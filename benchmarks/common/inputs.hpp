#pragma once

#include <cstdint>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <vector>

// Inputs of models on the command line: FILE:DTYPE:2x3, where FILE holds the elements and nothing else.
namespace bench {

struct Input {
  std::vector<char> bytes;
  std::string dtype;
  std::vector<std::int64_t> sizes;
};

inline Input read_input(const std::string& text) {
  const std::size_t sizes_at = text.rfind(':');
  const std::size_t dtype_at = text.rfind(':', sizes_at - 1);
  if (sizes_at == std::string::npos || dtype_at == std::string::npos) {
    throw std::runtime_error("not FILE:DTYPE:SIZES: " + text);
  }
  Input input;
  input.dtype = text.substr(dtype_at + 1, sizes_at - dtype_at - 1);
  for (std::size_t at = sizes_at; at != std::string::npos; at = text.find('x', at + 1)) {
    input.sizes.push_back(std::stoll(text.substr(at + 1)));
  }
  const std::string path = text.substr(0, dtype_at);
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) throw std::runtime_error("cannot open " + path);
  std::fseek(file, 0, SEEK_END);
  input.bytes.resize(static_cast<std::size_t>(std::ftell(file)));
  std::rewind(file);
  const std::size_t count = std::fread(input.bytes.data(), 1, input.bytes.size(), file);
  std::fclose(file);
  if (count != input.bytes.size()) throw std::runtime_error("cannot read " + path);
  return input;
}

}  // namespace bench
