#pragma once

#include "package/elf_image.hpp"

#include <string_view>
#include <vector>

namespace penstock::model {

/// The kernel files that a model library names, by the paths at which they were compiled, without folders:
/// "c2x.cubin". Found in what the library maps to be read only. Host-only. Lifetime: the image's bytes.
std::vector<std::string_view> named_kernel_files(const package::ElfImage& library);

}  // namespace penstock::model
