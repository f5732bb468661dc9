#pragma once

#include "model/library_image.hpp"
#include "package/archive.hpp"
#include "package/elf_image.hpp"
#include "package/manifest.hpp"
#include "tensor/storage.hpp"
#include "tensor/tensor_object.hpp"

#include <penstock/model.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace penstock::model {

/// One weight as a model library describes it. Weights are numbered; those that a library computes of
/// others (folded ones) are left out.
struct WeightSlot {
  std::string name;       ///< The library's own.
  std::string full_name;  ///< In PyTorch: "conv1.weight".
  DType dtype = DType::Float32;
  std::uint64_t bytes = 0;  ///< That its code may touch.
  /// A parameter: a run does not change it, so what is derived from its bytes may be kept.
  bool is_parameter = false;
  /// On CUDA: it lies in host memory all the same.
  bool on_host = false;
  /// To be given in a full update.
  bool is_required = false;
};

/// How a weight lies in memory.
using package::WeightLayout;

/// Owns one reference of a storage, which others may share.
struct StorageDropper {
  void operator()(tensor::Storage* storage) const noexcept { storage->drop(); }
};
using StoragePtr = std::unique_ptr<tensor::Storage, StorageDropper>;

/// Where a container gets its weights from.
struct WeightSource {
  enum class Kind {
    Library,   ///< The library has them, or makes do without: nothing is known of them.
    Embedded,  ///< The library has them at `address`.
    Appended,  ///< The library maps them, and wants to read `magic` behind them.
    Blob,      ///< The library is given them in one piece.
  };
  Kind kind = Kind::Library;
  std::uint64_t address = 0;
  std::uint64_t bytes = 0;
  std::uint64_t magic = 0;
  /// The library copies with functions that are seen.
  bool copies_are_seen = false;
  /// The weights themselves. Null: none yet; they are given later, one by one.
  StoragePtr weights;

  /// The same without the weights.
  [[nodiscard]] WeightSource without_weights() const {
    return {.kind = kind,
            .address = address,
            .bytes = bytes,
            .magic = magic,
            .copies_are_seen = copies_are_seen,
            .weights = nullptr};
  }
};

/// What a package has of a model's weights.
struct PackagedWeights {
  WeightSource source;
  /// Weights that are not in one piece.
  std::vector<NamedWeight> by_name;
  /// The part of the library's file that need not be in memory.
  FileRange left_out;
};

/// Finds the weights of a model, and maps them where they are in one piece. Blocking.
/// Errors: as Archive::read_private.
PackagedWeights open_weights(const package::Archive& archive, const package::ModelFiles& files,
                             const package::ElfImage& elf);

/// A storage over bytes that it keeps alive. Errors: OutOfMemory.
StoragePtr storage_over(package::PrivateBytes bytes);

/// A tensor for the weight `slot`, to lie as `layout` says. The bytes of `given` are used in place where they
/// have an owner, lie that way, and no run changes them; else copied. Errors: InvalidArgument names the
/// weight, what was given and what it takes; OutOfMemory.
tensor::TensorObjectPtr make_weight(const WeightSlot& slot, const std::optional<WeightLayout>& layout,
                                    const NamedWeight& given, const std::string& what);

/// For each slot the weight given for it; null: none. Names are those of PyTorch.
/// Errors: InvalidArgument names what the model does not have, what is given twice and, with
/// `UpdateScope::Full`, what is missing.
std::vector<const NamedWeight*> match_weights(std::span<const WeightSlot> slots,
                                              std::span<const NamedWeight> given, UpdateScope scope,
                                              const std::string& what);

}  // namespace penstock::model
