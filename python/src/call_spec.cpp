#include "call_spec.hpp"

#include "errors.hpp"

#include <penstock/error.hpp>

#include <nlohmann/json.hpp>

#include <nanobind/stl/string.h>

#include <map>
#include <memory>
#include <optional>
#include <utility>

namespace penstock::python {

namespace nb = nanobind;
using nlohmann::json;

/// One container, or a leaf.
struct CallSpec::Node {
  enum class Kind { Leaf, Tuple, List, Dict, OrderedDict, DefaultDict, Deque, NamedTuple };
  Kind kind = Kind::Leaf;
  std::vector<Node> children = {};
  std::vector<std::shared_ptr<const nb::object>> keys = {};  ///< Of dicts, one a child.
  std::shared_ptr<const nb::object> type =
      {};                                  ///< Of a named tuple its class, if known; a defaultdict's factory.
  std::optional<std::size_t> length = {};  ///< A deque's greatest, where it has one.
  std::size_t leaf_count = 1;
};

namespace {

using Node = CallSpec::Node;
using Kind = Node::Kind;

/// Nests deeper than any call does.
constexpr int kMostDepth = 100;

[[noreturn]] void wrong_form(const std::string& reason) {
  throw Error(ErrorCode::Corrupt, "the call spec " + reason + "; export the package again");
}

/// Objects of Python within nodes, which may go on any thread.
std::shared_ptr<const nb::object> keep(nb::object object) {
  return {new nb::object(std::move(object)), [](const nb::object* held) {
            if (Py_IsInitialized() == 0) return;
            const nb::gil_scoped_acquire acquired;
            delete held;
          }};
}

nb::object python_of(const json& value) {
  if (value.is_string()) return nb::str(value.get<std::string>().c_str());
  if (value.is_boolean()) return nb::bool_(value.get<bool>());
  if (value.is_number_integer()) return nb::int_(value.get<std::int64_t>());
  if (value.is_number_float()) return nb::float_(value.get<double>());
  if (value.is_null()) return nb::none();
  wrong_form("has a dict with keys that are no texts or numbers");
}

std::map<std::string, std::shared_ptr<const nb::object>>& registered() {
  static auto* const types = new std::map<std::string, std::shared_ptr<const nb::object>>;
  return *types;
}

/// "package.module.Class", from modules that are imported already: reading a package imports none.
std::shared_ptr<const nb::object> find_type(const std::string& name) {
  if (const auto found = registered().find(name); found != registered().end()) return found->second;
  const nb::dict modules = nb::borrow<nb::dict>(PyImport_GetModuleDict());
  for (std::size_t dot = name.rfind('.'); dot != std::string::npos && dot > 0;
       dot = name.rfind('.', dot - 1)) {
    const std::string module = name.substr(0, dot);
    if (!modules.contains(module.c_str())) continue;
    nb::object found = modules[module.c_str()];
    std::string rest = name.substr(dot + 1);
    while (!rest.empty() && found.is_valid()) {
      const std::string part = rest.substr(0, rest.find('.'));
      rest = part.size() == rest.size() ? std::string() : rest.substr(part.size() + 1);
      found = nb::hasattr(found, part.c_str()) ? nb::object(found.attr(part.c_str())) : nb::object();
    }
    if (found.is_valid() && PyType_Check(found.ptr()) != 0 && nb::hasattr(found, "_fields"))
      return keep(found);
  }
  return nullptr;
}

const json& member(const json& node, const char* name) {
  const auto found = node.is_object() ? node.find(name) : node.end();
  if (!node.is_object() || found == node.end()) wrong_form(std::string("has a node without ") + name);
  return *found;
}

/// The context of most containers is JSON in a text.
json context_of(const json& node) {
  const json& context = member(node, "context");
  if (!context.is_string()) return context;
  return json::parse(context.get_ref<const std::string&>(), nullptr, false);
}

void add_keys(Node& made, const json& keys) {
  if (!keys.is_array() || keys.size() != made.children.size()) wrong_form("has a dict with other keys");
  for (const json& key : keys) made.keys.push_back(keep(python_of(key)));
}

/// Of a defaultdict: "list" of builtins and such.
std::shared_ptr<const nb::object> factory_of(const json& context) {
  const std::string module = context.value("default_factory_module", "");
  const std::string name = context.value("default_factory_name", "");
  if (module != "builtins" || !nb::hasattr(nb::module_::import_("builtins"), name.c_str()))
    return keep(nb::none());
  return keep(nb::module_::import_("builtins").attr(name.c_str()));
}

Node node_of(const json& node, int depth) {
  if (depth > kMostDepth) wrong_form("nests more than " + std::to_string(kMostDepth) + " deep");
  const json& type = member(node, "type");
  const json& children = member(node, "children_spec");
  if (!children.is_array()) wrong_form("has a node without a list of children");
  Node made;
  if (type.is_null()) {
    if (!children.empty()) wrong_form("has a leaf with children");
    return made;
  }
  if (!type.is_string()) wrong_form("has a node of no type");
  made.leaf_count = 0;
  for (const json& child : children) {
    made.children.push_back(node_of(child, depth + 1));
    made.leaf_count += made.children.back().leaf_count;
  }
  const auto& name = type.get_ref<const std::string&>();
  if (name == "builtins.tuple" || name == "torch.Size" ||
      name.ends_with("immutable_collections.immutable_tuple")) {
    made.kind = Kind::Tuple;
  } else if (name == "builtins.list" || name.ends_with("immutable_collections.immutable_list")) {
    made.kind = Kind::List;
  } else if (name == "builtins.dict" || name.ends_with("immutable_collections.immutable_dict")) {
    made.kind = Kind::Dict;
    add_keys(made, context_of(node));
  } else if (name == "collections.OrderedDict") {
    made.kind = Kind::OrderedDict;
    add_keys(made, context_of(node));
  } else if (name == "collections.defaultdict") {
    made.kind = Kind::DefaultDict;
    const json context = context_of(node);
    add_keys(made, member(context, "dict_context"));
    made.type = factory_of(context);
  } else if (name == "collections.deque") {
    made.kind = Kind::Deque;
    if (const json context = context_of(node); context.is_number_unsigned())
      made.length = context.get<std::size_t>();
  } else if (name == "collections.namedtuple") {
    made.kind = Kind::NamedTuple;
    const json& context = member(node, "context");
    made.type = context.is_string() ? find_type(context.get<std::string>()) : nullptr;
  } else {
    throw Error(ErrorCode::Unsupported,
                "the call is built of a \"" + name +
                    "\", which Penstock does not know; export with tuples, lists, dicts or "
                    "named tuples");
  }
  return made;
}

/// Where in the user's object a walk is; the outermost last.
struct Place {
  const Place* outer = nullptr;
  std::string_view name = {};
  nb::handle key = {};
  std::size_t index = 0;

  [[nodiscard]] std::string text() const {
    if (outer == nullptr) return std::string(name);
    if (key.is_valid()) return outer->text() + "[" + bytes_of(nb::repr(key)) + "]";
    return outer->text() + "[" + std::to_string(index) + "]";
  }
};

std::string_view kind_name(Kind kind) {
  switch (kind) {
    case Kind::Tuple: return "a tuple";
    case Kind::List: return "a list";
    case Kind::Deque: return "a deque";
    case Kind::NamedTuple: return "a named tuple";
    default: return "a dict";
  }
}

[[noreturn]] void wrong_object(const Node& node, nb::handle object, const Place& place) {
  wrong_type(place.text() + " is a " + type_text(object) + ", and the model was exported with " +
             std::string(kind_name(node.kind)) + " of " + std::to_string(node.children.size()) + " there");
}

void walk(const Node& node, nb::handle object, const Place& place, std::vector<nb::object>& leaves);

void walk_dict(const Node& node, nb::handle object, const Place& place, std::vector<nb::object>& leaves) {
  if (PyDict_Check(object.ptr()) == 0) wrong_object(node, object, place);
  for (std::size_t i = 0; i < node.children.size(); ++i) {
    const nb::object& key = *node.keys[i];
    PyObject* const found = PyDict_GetItemWithError(object.ptr(), key.ptr());
    if (found == nullptr) {
      if (PyErr_Occurred() != nullptr) nb::raise_python_error();
      wrong_type(place.text() + " lacks the key " + bytes_of(nb::repr(key)));
    }
    walk(node.children[i], found, {&place, {}, key}, leaves);
  }
  if (static_cast<std::size_t>(PyDict_Size(object.ptr())) == node.children.size()) return;
  for (const auto& [key, value] : nb::borrow<nb::dict>(object)) {
    bool known = false;
    for (const auto& one : node.keys) known = known || one->equal(key);
    if (!known)
      wrong_type(place.text() + " has the key " + bytes_of(nb::repr(key)) +
                 ", which the model was not exported with");
  }
}

void walk_sequence(const Node& node, nb::handle object, const Place& place, std::vector<nb::object>& leaves) {
  const bool fits = node.kind == Kind::List    ? PyList_Check(object.ptr()) != 0
                    : node.kind == Kind::Deque ? nb::hasattr(object, "popleft")
                                               : PyTuple_Check(object.ptr()) != 0;
  if (!fits) wrong_object(node, object, place);
  const Py_ssize_t size = PySequence_Size(object.ptr());
  if (size < 0) nb::raise_python_error();
  if (static_cast<std::size_t>(size) != node.children.size()) {
    wrong_type(place.text() + " has " + std::to_string(size) + " items, and the model was exported with " +
               std::to_string(node.children.size()));
  }
  for (std::size_t i = 0; i < node.children.size(); ++i) {
    const nb::object item = nb::steal(PySequence_GetItem(object.ptr(), static_cast<Py_ssize_t>(i)));
    if (!item.is_valid()) nb::raise_python_error();
    walk(node.children[i], item, {&place, {}, {}, i}, leaves);
  }
}

void walk(const Node& node, nb::handle object, const Place& place, std::vector<nb::object>& leaves) {
  switch (node.kind) {
    case Kind::Leaf: leaves.push_back(nb::borrow(object)); return;
    case Kind::Dict:
    case Kind::OrderedDict:
    case Kind::DefaultDict: walk_dict(node, object, place, leaves); return;
    default: walk_sequence(node, object, place, leaves);
  }
}

nb::object build(const Node& node, std::vector<nb::object>& leaves, std::size_t& next);

nb::tuple build_tuple(const Node& node, std::vector<nb::object>& leaves, std::size_t& next) {
  const nb::object made = nb::steal(PyTuple_New(static_cast<Py_ssize_t>(node.children.size())));
  for (std::size_t i = 0; i < node.children.size(); ++i)
    PyTuple_SET_ITEM(made.ptr(), static_cast<Py_ssize_t>(i),
                     build(node.children[i], leaves, next).release().ptr());
  return nb::borrow<nb::tuple>(made);
}

nb::dict build_dict(const Node& node, std::vector<nb::object>& leaves, std::size_t& next) {
  nb::dict made;
  for (std::size_t i = 0; i < node.children.size(); ++i)
    made[*node.keys[i]] = build(node.children[i], leaves, next);
  return made;
}

nb::object build(const Node& node, std::vector<nb::object>& leaves, std::size_t& next) {
  const auto collections = [](const char* name) { return nb::module_::import_("collections").attr(name); };
  switch (node.kind) {
    case Kind::Leaf: return std::move(leaves[next++]);
    case Kind::Tuple: return build_tuple(node, leaves, next);
    case Kind::List: return nb::list(build_tuple(node, leaves, next));
    case Kind::Dict: return build_dict(node, leaves, next);
    case Kind::OrderedDict: return collections("OrderedDict")(build_dict(node, leaves, next));
    case Kind::DefaultDict: return collections("defaultdict")(*node.type, build_dict(node, leaves, next));
    case Kind::Deque: {
      const nb::tuple items = build_tuple(node, leaves, next);
      return node.length ? collections("deque")(items, *node.length) : collections("deque")(items);
    }
    case Kind::NamedTuple: {
      nb::tuple items = build_tuple(node, leaves, next);
      return node.type ? (*node.type)(*items) : nb::object(items);
    }
  }
  return nb::none();
}

/// What messages call the leaf, counted within the node.
std::string leaf_place(const Node& node, std::size_t leaf, const std::string& outer) {
  if (node.kind == Kind::Leaf) return outer;
  for (std::size_t i = 0; i < node.children.size(); ++i) {
    const Node& child = node.children[i];
    if (leaf < child.leaf_count) {
      const std::string key = node.keys.empty() ? std::to_string(i) : bytes_of(nb::repr(*node.keys[i]));
      return leaf_place(child, leaf, outer + "[" + key + "]");
    }
    leaf -= child.leaf_count;
  }
  return outer;
}

}  // namespace

CallSpec::CallSpec(std::shared_ptr<const Node> root)
    : root_(std::move(root)), leaf_count_(root_->leaf_count) {}

CallSpec CallSpec::parse(std::string_view text) {
  const json spec = json::parse(text, nullptr, false);
  if (!spec.is_array() || spec.size() != 2 || spec[0] != 1) wrong_form("is not of version 1");
  return CallSpec(std::make_shared<const Node>(node_of(spec[1], 0)));
}

void CallSpec::flatten_call(nb::handle args, nb::handle kwargs, std::vector<nb::object>& leaves) const {
  if (root_->children.size() != 2 || root_->children[1].keys.size() != root_->children[1].children.size())
    wrong_form("is not a pair of positional and keyword arguments");
  const std::size_t wanted = root_->children[0].children.size();
  const auto given = static_cast<std::size_t>(PyTuple_GET_SIZE(args.ptr()));
  if (given != wanted) {
    wrong_type("the model takes " + std::to_string(wanted) + " positional arguments, and " +
               std::to_string(given) + (given == 1 ? " was" : " were") + " given");
  }
  const Place positional{nullptr, "args", {}, 0};
  walk(root_->children[0], args, positional, leaves);
  const Place keywords{nullptr, "kwargs", {}, 0};
  walk(root_->children[1], kwargs, keywords, leaves);
}

void CallSpec::flatten(nb::handle object, std::string_view name, std::vector<nb::object>& leaves) const {
  walk(*root_, object, {nullptr, name, {}, 0}, leaves);
}

nb::object CallSpec::unflatten(std::vector<nb::object>& leaves) const {
  std::size_t next = 0;
  return build(*root_, leaves, next);
}

std::string CallSpec::place_of(std::size_t leaf) const {
  if (root_->children.size() != 2) return leaf_place(*root_, leaf, "out");
  const std::size_t positional = root_->children[0].leaf_count;
  if (leaf < positional) return leaf_place(root_->children[0], leaf, "args");
  return leaf_place(root_->children[1], leaf - positional, "kwargs");
}

std::string CallSpec::place_within(std::string_view name, std::size_t leaf) const {
  return leaf_place(*root_, leaf, std::string(name));
}

bool CallSpec::has_keyword(std::string_view name) const {
  if (root_->children.size() != 2) return false;
  for (const auto& key : root_->children[1].keys) {
    if (PyUnicode_Check(key->ptr()) != 0 && bytes_of(*key) == name) return true;
  }
  return false;
}

void register_namedtuple(nb::handle type, const std::string& name) {
  if (!nb::hasattr(type, "_fields")) wrong_type("a " + type_text(type) + " is no class of named tuples");
  registered()[name] = keep(nb::borrow(type));
}

}  // namespace penstock::python
