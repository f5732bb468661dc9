#pragma once

#include <cstdint>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <vector>

// How the driver and the programs that it runs exchange numbers: float32 in files and on standard output,
// with nothing around them, so that neither side spends time on a format.
namespace bench {

inline std::vector<float> read_floats(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (file == nullptr) throw std::runtime_error("cannot open " + path);
  std::fseek(file, 0, SEEK_END);
  std::vector<float> values(static_cast<std::size_t>(std::ftell(file)) / sizeof(float));
  std::rewind(file);
  const std::size_t count = std::fread(values.data(), sizeof(float), values.size(), file);
  std::fclose(file);
  if (count != values.size()) throw std::runtime_error("cannot read " + path);
  return values;
}

inline void write_floats(std::FILE* file, const float* values, std::size_t count) {
  if (std::fwrite(values, sizeof(float), count, file) != count || std::fflush(file) != 0) {
    throw std::runtime_error("cannot write the output");
  }
}

}  // namespace bench
