#pragma once

#include <set>
#include <string>

namespace penstock::recording {

/// Kernels of an image, as far as it can be read.
struct ImageNames {
  std::set<std::string> names;
  bool any_name = false;  ///< There may be others: parts of it are compressed or of an unknown form.
};

/// Of a cubin, a fat binary or PTX text.
ImageNames names_in_image(const void* data);

}  // namespace penstock::recording
