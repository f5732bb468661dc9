#include "package/pickled_state.hpp"

#include "base/checked.hpp"
#include "base/fail.hpp"
#include "package/nested_archive.hpp"
#include "package/pickle_reader.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace penstock::package {
namespace {

constexpr std::size_t kMostDepth = 64;
constexpr std::size_t kMostSteps = ValueBudget{}.values;
constexpr std::uintptr_t kAlignment = 64;

constexpr PickleRules kRules{.objects = true,
                             .most_bytes = std::numeric_limits<std::size_t>::max(),
                             .most_values = kMostSteps,
                             .most_text = std::numeric_limits<std::size_t>::max()};

/// Makes values of what a pickle describes.
class StateReader {
 public:
  StateReader(const SharedBytes& pickle, const StorageReader& reader, const std::string& what,
              ValueBudget& budget)
      : reader_(reader),
        what_(what),
        budget_(budget),
        bytes_(pickle),
        pickle_(std::make_shared<const Pickle>(read_pickle(bytes_.bytes, what, kRules))),
        made_(pickle_->containers.size()),
        tensors_(pickle_->tensors.size()),
        open_(pickle_->containers.size()) {}

  PickledState read() {
    const PickledObjectRef* const root = std::get_if<PickledObjectRef>(&pickle_->root);
    if (root == nullptr) unsupported("describes no object of a class");
    const PickledObject& object = pickle_->objects[root->index];
    Made made = make(object.state, 0);
    budget_.values -= made.count;
    return {.class_name = object.class_name, .state = std::move(made.value)};
  }

 private:
  /// A value, and how large it is where everything that is used twice is there twice.
  struct Made {
    Value value;
    std::size_t count = 1;
    std::size_t height = 0;  ///< Levels below it.
  };

  template <class... Args>
  [[noreturn]] void corrupt(fmt::format_string<Args...> format, Args&&... args) const {
    base::fail(ErrorCode::Corrupt, "{}: the pickle {}; export the package again", what_,
               fmt::format(format, std::forward<Args>(args)...));
  }
  template <class... Args>
  [[noreturn]] void unsupported(fmt::format_string<Args...> format, Args&&... args) const {
    base::fail(ErrorCode::Unsupported, "{}: the pickle {}", what_,
               fmt::format(format, std::forward<Args>(args)...));
  }

  [[noreturn]] void refuse_depth() const {
    unsupported("has a state nested deeper than {} levels", kMostDepth);
  }

  Made make(const PickledValue& value, std::size_t depth) {
    if (depth > kMostDepth) refuse_depth();
    if (const auto* found = std::get_if<PickledContainerRef>(&value)) return container(found->index, depth);
    if (const auto* found = std::get_if<PickledTensorRef>(&value)) return {tensor(found->index)};
    if (const auto* found = std::get_if<std::string_view>(&value))
      return {Value::shared_text(*found, bytes_.owner)};
    if (const auto* found = std::get_if<std::span<const std::byte>>(&value))
      return {Value::shared_bytes(*found, pickle_and_file())};
    if (const auto* found = std::get_if<bool>(&value)) return {Value(*found)};
    if (const auto* found = std::get_if<std::int64_t>(&value)) return {Value(*found)};
    if (const auto* found = std::get_if<double>(&value)) return {Value(*found)};
    if (const auto* found = std::get_if<Device>(&value)) return {Value(*found)};
    if (const auto* found = std::get_if<DType>(&value)) return {Value(*found)};
    if (const auto* found = std::get_if<PickledNameRef>(&value))
      unsupported("names {}, which is not known", pickle_->names[found->index]);
    if (const auto* found = std::get_if<PickledObjectRef>(&value))
      unsupported("has an object of class {} within the state of another",
                  pickle_->objects[found->index].class_name);
    if (std::holds_alternative<PickledStorageRef>(value)) unsupported("has a storage that is no tensor");
    if (std::holds_alternative<PickleMark>(value)) corrupt("has a mark for a value");
    return {};
  }

  Made container(std::size_t index, std::size_t depth) {
    if (made_[index]) return *made_[index];
    const PickledContainer& described = pickle_->containers[index];
    // Left so until it is done: whoever meets it in between is inside of it.
    if (open_[index]) corrupt("has a container that is within itself");
    open_[index] = true;
    std::vector<Value> items;
    Made made;
    for (const PickledValue& item : described.items) {
      Made one = make(item, depth + 1);
      made.count += one.count;
      made.height = std::max(made.height, one.height + 1);
      if (made.count > budget_.values) {
        unsupported("describes more values than the {} that the objects of a package may have",
                    ValueBudget{}.values);
      }
      if (made.height > kMostDepth) refuse_depth();
      items.push_back(std::move(one.value));
    }
    made.value = assemble(described.kind, std::move(items));
    open_[index] = false;
    made_[index] = made;
    return made;
  }

  static Value assemble(ContainerKind kind, std::vector<Value> items) {
    if (kind == ContainerKind::List) return Value::list(std::move(items));
    if (kind == ContainerKind::Tuple) return Value::tuple(std::move(items));
    std::vector<Value::Pair> pairs;
    for (std::size_t i = 0; i + 1 < items.size(); i += 2)
      pairs.emplace_back(std::move(items[i]), std::move(items[i + 1]));
    return Value::dictionary(std::move(pairs));
  }

  /// Bytes may be in the file or be made by the reader of the pickle.
  const std::shared_ptr<const void>& pickle_and_file() {
    if (pickle_and_file_ == nullptr) {
      pickle_and_file_ =
          std::make_shared<std::pair<std::shared_ptr<const Pickle>, std::shared_ptr<const void>>>(
              pickle_, bytes_.owner);
    }
    return pickle_and_file_;
  }

  /// Each is made once, however often it is used.
  const Value& tensor(std::size_t index) {
    if (!tensors_[index]) tensors_[index] = make_tensor(index);
    return *tensors_[index];
  }

  Value make_tensor(std::size_t index) {
    const PickledTensor& described = pickle_->tensors[index];
    // Its bytes are in the file wherever it was.
    if (described.location != "cpu" && !described.location.starts_with("cuda"))
      unsupported("has a tensor on {}; move the object to the CPU before the export", described.location);
    const PrivateBytes& storage = find_storage(described);
    if (described.sizes.size() > kMaxRank)
      unsupported("has a tensor of {} dimensions; at most {} are possible", described.sizes.size(), kMaxRank);
    const std::uint64_t element = element_bytes(described.dtype);
    try {
      // The extent of sizes and strides is checked on the way.
      if (!base::checked_mul<std::int64_t>(elements_of(described), static_cast<std::int64_t>(element)))
        corrupt("has a tensor of more bytes than there are addresses");
      const TensorView reach(nullptr, described.dtype, described.sizes, described.strides, 0);
      const auto begin = base::checked_mul(described.offset, element);
      if (!begin || !base::fits(*begin, reach.storage_bytes(), storage.bytes.size()))
        corrupt("has a tensor that reaches past its storage of {} bytes", storage.bytes.size());
      const TensorView view(storage.bytes.data() + *begin, described.dtype, described.sizes,
                            described.strides, storage.bytes.size() - *begin);
      if (view.numel() == 0) return Value(Tensor::empty(described.dtype, described.sizes));
      return Value(Tensor::adopt(view, std::const_pointer_cast<void>(storage.owner)));
    } catch (const Error& error) {
      if (error.code() != ErrorCode::InvalidArgument) throw;
      corrupt("has a tensor that cannot be: {}", error.what());
    }
  }

  /// By its sizes, however few of them its strides tell apart.
  static std::int64_t elements_of(const PickledTensor& described) {
    return TensorView(nullptr, described.dtype, described.sizes,
                      std::vector<std::int64_t>(described.sizes.size()), 0)
        .numel();
  }

  const PrivateBytes& find_storage(const PickledTensor& described) {
    const auto stated =
        base::checked_mul<std::uint64_t>(described.storage_elements, element_bytes(described.dtype));
    const auto known = storages_.find(described.key);
    const PrivateBytes& bytes =
        known != storages_.end()
            ? known->second
            : storages_.emplace(described.key, aligned(reader_(described))).first->second;
    if (!stated || *stated != bytes.bytes.size())
      corrupt("states {} elements of {}, {} bytes are there", described.storage_elements,
              dtype_name(described.dtype), bytes.bytes.size());
    return bytes;
  }

  static PrivateBytes aligned(PrivateBytes bytes) {
    if (reinterpret_cast<std::uintptr_t>(bytes.bytes.data()) % kAlignment == 0) return bytes;
    // Code that was compiled for aligned memory may read it.
    const Tensor copy = Tensor::copy_of(
        TensorView(bytes.bytes.data(), DType::UInt8, {static_cast<std::int64_t>(bytes.bytes.size())}));
    const auto owner = std::make_shared<const Tensor>(copy);
    return {.bytes = {static_cast<std::byte*>(copy.view().data()), bytes.bytes.size()}, .owner = owner};
  }

  const StorageReader& reader_;
  const std::string& what_;
  SharedBytes bytes_;
  std::shared_ptr<const Pickle> pickle_;
  ValueBudget& budget_;
  std::vector<std::optional<Made>> made_;
  std::vector<std::optional<Value>> tensors_;
  std::shared_ptr<const void> pickle_and_file_;
  std::vector<bool> open_;
  std::map<std::string, PrivateBytes> storages_;
};

}  // namespace

PickledState read_pickled_state(const SharedBytes& pickle, const StorageReader& storages,
                                const std::string& what, ValueBudget& budget) {
  return StateReader(pickle, storages, what, budget).read();
}

PickledState read_pickled_state(const Archive& outer, std::string_view entry, const std::string& what,
                                ValueBudget& budget) {
  const NestedArchive archive(outer, entry, what);
  const StorageReader storages = [&archive](const PickledTensor& tensor) -> PrivateBytes {
    const std::string name = "data/" + tensor.key;
    // Without elements there may be no file.
    if (tensor.storage_elements == 0 && !archive.contains(name)) return {};
    return archive.writable(name);
  };
  return read_pickled_state(archive.read("data.pkl"), storages, what, budget);
}

}  // namespace penstock::package
