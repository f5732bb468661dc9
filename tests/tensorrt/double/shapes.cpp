#include "context.hpp"
#include "guard.hpp"

#include <algorithm>

namespace penstock::trt_double {
namespace {

const Shape* values_of(const Context& context, std::size_t tensor) {
  const std::optional<Shape>& values = context.bindings[tensor].values;
  return values ? &*values : nullptr;
}

/// What the plan says counts where the layer does not tell.
Shape merged(Shape shape, const Shape& planned) {
  if (shape.size() != planned.size()) return shape;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] < 0) shape[i] = planned[i];
  }
  return shape;
}

const ProfileRange& range_of(const Context& context, const TensorPlan& tensor) {
  return tensor.profiles[static_cast<std::size_t>(context.profile)];
}

bool is_dynamic(const TensorPlan& tensor) { return !is_known(tensor.shape); }

bool is_within(const Shape& shape, const ProfileRange& range) {
  if (shape.size() != range.min.size()) return false;
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (shape[i] < range.min[i] || shape[i] > range.max[i]) return false;
  }
  return true;
}

std::string range_text(const ProfileRange& range) { return text_of(range.min) + " to " + text_of(range.max); }

}  // namespace

Shape output_shape(const Context& context, const LayerPlan& layer, const std::vector<Shape>& shapes) {
  const Shape& planned = context.plan().tensors[layer.output].shape;
  switch (layer.kind) {
    case LayerKind::Affine:
    case LayerKind::Append: return merged(shapes[layer.inputs[0]], planned);
    case LayerKind::Smid:
      return is_known(planned) || layer.inputs.empty() ? planned : merged(shapes[layer.inputs[0]], planned);
    case LayerKind::Nonzero: return {-1};
    case LayerKind::Resize: {
      const Shape* const values = values_of(context, layer.inputs[0]);
      return values == nullptr ? planned : *values;
    }
  }
  return planned;
}

std::vector<Shape> known_shapes(const Context& context) {
  const Plan& plan = context.plan();
  std::vector<Shape> shapes;
  for (std::size_t i = 0; i < plan.tensors.size(); ++i) {
    shapes.push_back(context.bindings[i].shape.value_or(plan.tensors[i].shape));
  }
  for (const LayerPlan& each : plan.layers) shapes[each.output] = output_shape(context, each, shapes);
  return shapes;
}

std::int64_t most_bytes(const Context& context, const TensorPlan& output) {
  const Plan& plan = context.plan();
  std::vector<Shape> most;
  for (const TensorPlan& each : plan.tensors) {
    const bool ranged = is_dynamic(each) && !each.shape_input && !each.profiles.empty();
    most.push_back(ranged ? range_of(context, each).max : each.shape);
  }
  for (const LayerPlan& each : plan.layers) {
    Shape& shape = most[each.output];
    if (each.kind == LayerKind::Nonzero) {
      shape = most[each.inputs[0]];
    } else if (each.kind == LayerKind::Resize) {
      shape = range_of(context, plan.tensors[each.inputs[0]]).max;
    } else {
      shape = output_shape(context, each, most);
    }
  }
  const Shape& shape = most[static_cast<std::size_t>(&output - plan.tensors.data())];
  return is_known(shape) ? count_of(shape) * bytes_of(output.type) : -1;
}

std::vector<const char*> infer_shapes(Context& context) {
  const Plan& plan = context.plan();
  std::vector<const char*> missing;
  for (std::size_t i = 0; i < plan.tensors.size(); ++i) {
    const TensorPlan& tensor = plan.tensors[i];
    Binding& binding = context.bindings[i];
    if (tensor.mode != IoMode::Input) continue;
    if (is_dynamic(tensor) && !binding.shape) {
      missing.push_back(tensor.name.c_str());
    } else if (tensor.shape_input && binding.address == nullptr) {
      missing.push_back(tensor.name.c_str());
    } else if (tensor.shape_input) {
      const auto* const begin = static_cast<const std::int64_t*>(binding.address);
      const Shape values(begin, begin + count_of(binding.shape.value_or(tensor.shape)));
      if (!is_within(values, range_of(context, tensor))) {
        refuse_call("shape tensor " + tensor.name + " has the values " + text_of(values) + ", and profile " +
                    std::to_string(context.profile) + " allows " + range_text(range_of(context, tensor)));
      }
      binding.values = values;
    }
  }
  return missing;
}

void check_input_shape(const Context& context, const TensorPlan& tensor, const Shape& shape) {
  if (tensor.mode != IoMode::Input) refuse_call(tensor.name + " is no input");
  bool fits = shape.size() == tensor.shape.size() && is_known(shape);
  for (std::size_t i = 0; fits && i < shape.size(); ++i) {
    fits = tensor.shape[i] < 0 || tensor.shape[i] == shape[i];
  }
  if (!fits) {
    refuse_call(tensor.name + " cannot have the shape " + text_of(shape) + ", as the engine's is " +
                text_of(tensor.shape));
  }
  if (is_dynamic(tensor) && !tensor.shape_input && !is_within(shape, range_of(context, tensor))) {
    refuse_call(tensor.name + " has the shape " + text_of(shape) + ", and profile " +
                std::to_string(context.profile) + " allows " + range_text(range_of(context, tensor)));
  }
}

}  // namespace penstock::trt_double
