#pragma once

#include "cpu/onednn.hpp"
#include "cpu/scratch.hpp"
#include "tensor/storage.hpp"

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace penstock::cpu {

/// Everything that a prepared operation depends on, as numbers.
class OperationKey {
 public:
  void add(std::int64_t value) noexcept { values_[count_++] = value; }
  void add(std::span<const std::int64_t> values) noexcept {
    for (const std::int64_t value : values) add(value);
  }
  void add(double value) noexcept;
  [[nodiscard]] std::size_t hash() const noexcept;
  friend bool operator==(const OperationKey& a, const OperationKey& b) noexcept;

 private:
  std::array<std::int64_t, 64> values_;
  std::size_t count_ = 0;
};

/// One tensor of an operation.
struct OperationTensor {
  int argument = 0;  ///< DNNL_ARG_*.
  MemoryDesc given;  ///< How it lies in memory.
};

/// Where a tensor of an operation is in one call.
struct OperationData {
  void* data = nullptr;
  /// The storage of a weight, whose bytes do not change: a reordered copy is kept with it.
  tensor::Storage* constant = nullptr;
};

/// A oneDNN primitive with its memory objects, and the reorders before and after it where it wants
/// other layouts than those of the tensors. Thread: one caller at a time.
class OnednnOperation {
 public:
  /// `primitive_desc` with `tensors`. The last is the result; other results, and tensors after the first
  /// four, lie as the primitive wants them. `description` names operator and
  /// shapes in messages. Errors: as check_onednn.
  OnednnOperation(PrimitiveDesc primitive_desc, std::vector<OperationTensor> tensors,
                  std::string description);

  /// Runs on `data`, in the order of the tensors. Errors: as check_onednn.
  void execute(Scratch& scratch, std::span<const OperationData> data);

  std::uint64_t last_used = 0;  ///< For the cache.

 private:
  struct Slot {
    int argument;
    MemoryDesc given;
    MemoryDesc wanted;  ///< Null where it is as given.
    Memory given_memory;
    Memory wanted_memory;
    Primitive reorder;
  };

  void make_slot(OperationTensor tensor, bool is_result);
  void run_reorder(const Slot& slot, bool is_result);
  std::byte* reorder_constant(const Slot& slot, const OperationData& data);

  std::string description_;
  PrimitiveDesc primitive_desc_;
  Primitive primitive_;
  OnednnStream stream_;
  std::vector<Slot> slots_;
  std::vector<dnnl_exec_arg_t> arguments_;
  Memory scratchpad_;
  std::size_t scratchpad_bytes_ = 0;
};

/// Attributes with scratch memory from the caller.
PrimitiveAttr make_attributes(const OnednnApi& api, std::string_view what);

/// A descriptor of a strided tensor. Errors: as check_onednn.
MemoryDesc make_strided_desc(const OnednnApi& api, dnnl_data_type_t type, std::span<const std::int64_t> sizes,
                             std::span<const std::int64_t> strides, std::string_view what);

/// A descriptor that leaves the layout to oneDNN.
MemoryDesc make_any_desc(const OnednnApi& api, dnnl_data_type_t type, std::span<const std::int64_t> sizes,
                         std::string_view what);

/// Prepared operations of one session, the least recently used going first.
class OperationCache {
 public:
  static constexpr std::size_t kMost = 256;

  /// Null where there is none.
  OnednnOperation* find(const OperationKey& key) noexcept;
  OnednnOperation& insert(const OperationKey& key, std::unique_ptr<OnednnOperation> operation);
  [[nodiscard]] std::size_t size() const noexcept { return operations_.size(); }

 private:
  struct Hash {
    std::size_t operator()(const OperationKey& key) const noexcept { return key.hash(); }
  };
  std::unordered_map<OperationKey, std::unique_ptr<OnednnOperation>, Hash> operations_;
  std::uint64_t clock_ = 0;
};

}  // namespace penstock::cpu
