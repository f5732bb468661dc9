#pragma once

#include <nanobind/nanobind.h>

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::python {

/// How the exported call was built of tuples, lists, dicts and named tuples: what torch calls a pytree.
class CallSpec {
 public:
  /// Of the JSON that torch wrote. Only with the GIL. Errors: Corrupt, Unsupported for a kind of container
  /// that is not known, with its name.
  static CallSpec parse(std::string_view json);

  /// The leaves of positional and keyword arguments, in the order of the model's inputs. Of a call spec for
  /// inputs. Errors: TypeError says where in the arguments something else was expected.
  void flatten_call(nanobind::handle args, nanobind::handle kwargs,
                    std::vector<nanobind::object>& leaves) const;
  /// The leaves of one object. Errors: the same; `name` is what messages call it.
  void flatten(nanobind::handle object, std::string_view name, std::vector<nanobind::object>& leaves) const;
  /// The object that the leaves make. As many as `leaf_count`.
  [[nodiscard]] nanobind::object unflatten(std::vector<nanobind::object>& leaves) const;

  [[nodiscard]] std::size_t leaf_count() const noexcept { return leaf_count_; }
  /// Where the leaf is: "args[0]['image']".
  [[nodiscard]] std::string place_of(std::size_t leaf) const;
  /// The same of outputs, within what messages call `name`: "out['scores']".
  [[nodiscard]] std::string place_within(std::string_view name, std::size_t leaf) const;
  /// True where the exported call has a keyword of that name.
  [[nodiscard]] bool has_keyword(std::string_view name) const;

  struct Node;

 private:
  explicit CallSpec(std::shared_ptr<const Node> root);
  std::shared_ptr<const Node> root_;
  std::size_t leaf_count_ = 0;
};

/// Lets outputs be of a class of named tuples that torch knows by another name than its own.
void register_namedtuple(nanobind::handle type, const std::string& name);

}  // namespace penstock::python
