#pragma once

#include "package/archive.hpp"
#include "package/manifest.hpp"
#include "package/weights.hpp"

#include <penstock/dtype.hpp>

#include <string>
#include <vector>

namespace penstock::package {

/// A weight that has a file of its own in a package.
struct PackagedWeight {
  std::string name;  ///< In PyTorch.
  DType dtype = DType::Float32;
  WeightLayout layout;
  PrivateBytes bytes;  ///< From its first element on, all that its layout reaches.
};

/// Reads the weights that torch packaged with package_constants_on_disk_format "pickle_weights":
/// `weights_config.json` in the model's folder names a file in data/weights for each, sizes, strides and an
/// offset. Such a file is an archive of torch.save. Its bytes are used in place where both archives store
/// them. Blocking. Errors: Corrupt; Unsupported; as Archive::read_private.
std::vector<PackagedWeight> read_pickled_weights(const Archive& archive, const ModelFiles& files);

}  // namespace penstock::package
