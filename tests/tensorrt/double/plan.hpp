#pragma once

#include "abi.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::trt_double {

using Shape = std::vector<std::int64_t>;

Dims dims_of(const Shape& shape);
/// "[2,4]"
std::string text_of(const Shape& shape);
bool is_known(const Shape& shape);
/// Of a known one.
std::int64_t count_of(const Shape& shape);
std::int64_t bytes_of(DataType type);

/// What an optimization profile allows: shapes, or of a shape tensor its values.
struct ProfileRange {
  Shape min, opt, max;
};

struct TensorPlan {
  std::string name;
  IoMode mode = IoMode::None;  ///< None: between layers, in the memory of the context.
  DataType type = DataType::Float;
  Shape shape;
  Location location = Location::Device;
  bool shape_input = false;
  std::vector<ProfileRange> profiles;
  std::string alias;  ///< The input whose memory an output is.
};

enum class LayerKind { Affine, Smid, Nonzero, Append, Resize };

struct LayerPlan {
  std::string name;
  LayerKind kind = LayerKind::Affine;
  std::vector<std::size_t> inputs;  ///< Tensors.
  std::size_t output = 0;
  int stream = 0;  ///< 0: the one of enqueue; k: auxiliary stream k - 1.
  double scale = 1;
  double bias = 0;
  int spin_us = 0;
};

/// An engine: JSON behind a line "penstock-double".
///
///   {"numbering": 0,                    // 0 any, or 10, 11, 1: of the library that reads it
///    "platform": "linux_x86_64",       // where there is one, no other is read
///    "compute_capability": "9.0",      // the same
///    "name": "", "aux_streams": 0, "profiles": 1,
///    "device_memory": 0,                // bytes of a context; tensors between layers are in it
///    "streamable_weights": 0, "least_budget": 0, "collectives": false,
///    "tensors": [{"name": "x", "mode": "input", "dtype": "float32", "shape": [-1, 4], "location": "device",
///                 "shape_input": false, "profiles": [{"min": [1, 4], "opt": [2, 4], "max": [8, 4]}],
///                 "alias": ""}],
///    "layers": [{"name": "", "kind": "affine", "inputs": ["x"], "output": "y", "stream": 0,
///                "scale": 1, "bias": 0, "spin_us": 0}]}
///
/// Members have these values where they are left out, but for names, modes, shapes, kinds and outputs, which
/// have to be there, and for the number of profiles, which is that of the tensors. One that is not among
/// these is refused.
///
/// A name that no tensor has, as the output of a layer, is a tensor between layers, of the type of the
/// layer's first input. Kinds:
/// - affine: scale * sum of up to four inputs + bias, of any types and of the first one's shape.
/// - smid: the SM of each block, one block an element; int32. Inputs only order it.
/// - nonzero: the values of a float32 vector that are not 0, or their places where the output is of integers.
/// - append: cache += x for the inputs cache and x. The output is an alias of cache.
/// - resize: bias, in the shape that its input, an int64 shape tensor on the host, has as values.
struct Plan {
  std::string name;
  int aux_streams = 0;
  int profiles = 1;
  std::int64_t device_memory = 0;
  std::int64_t streamable_weights = 0;
  std::int64_t least_budget = 0;
  bool collectives = false;
  std::string compute_capability;
  std::vector<TensorPlan> tensors;  ///< Those of the engine, then those between layers.
  std::vector<LayerPlan> layers;
  std::string text;  ///< All of it.

  /// Null for a name that no tensor of the engine has.
  [[nodiscard]] const TensorPlan* find(const char* tensor) const;
  [[nodiscard]] std::size_t io_count() const;
};

/// Why a plan cannot be read, as a code and the words of TensorRT's log.
struct PlanProblem {
  int code;
  std::string text;
};

/// Throws PlanProblem.
Plan read_plan(std::string_view bytes);

}  // namespace penstock::trt_double
