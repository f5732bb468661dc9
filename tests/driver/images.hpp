#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace penstock::recording {

/// Where a kernel finds a parameter among the bytes that a launch gives it.
struct Parameter {
  std::size_t offset = 0;
  std::size_t bytes = 0;
};
using Layout = std::vector<Parameter>;

/// Kernels of an image, as far as it can be read.
struct ImageKernels {
  /// By name. Null where the image does not tell the parameters.
  std::map<std::string, std::shared_ptr<const Layout>> kernels;
  bool any_name = false;  ///< There may be others: parts of it are compressed or of an unknown form.
};

/// Of a cubin, a fat binary or PTX text.
ImageKernels kernels_in_image(const void* data);

void add_ptx_kernels(const char* text, ImageKernels& found);

}  // namespace penstock::recording
