#pragma once

#include "actions.hpp"
#include "cuda/on_recorder.hpp"
#include "double.hpp"

#include <penstock/tensorrt.hpp>

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::testing {

inline constexpr std::string_view kEnginePackages = "2.15-engines";

/// A numbering of TensorRT's functions, and the double that has it.
struct Flavor {
  const char* name;
  const char* library;
  const char* title;
};
const std::vector<Flavor>& flavors();

/// Functions of a double's own, of the instance that the product opens.
class Double {
 public:
  explicit Double(const char* library);
  [[nodiscard]] std::vector<std::string> calls() const;
  /// Those that begin so.
  [[nodiscard]] std::vector<std::string> calls(std::string_view begin) const;
  void clear() const { clear_(); }
  void fail(const char* call, int nth = 1) const { fail_(call, nth); }
  [[nodiscard]] PenstockDoubleAlive alive() const { return alive_(); }

 private:
  decltype(&penstock_double_calls) calls_;
  decltype(&penstock_double_clear) clear_;
  decltype(&penstock_double_fail) fail_;
  decltype(&penstock_double_alive) alive_;
};

/// Tests of engines on the recording driver and a double: each has to give back all engines and contexts, and
/// to do nothing that TensorRT forbids.
class OnDouble : public OnRecorder {
 protected:
  explicit OnDouble(const Flavor& flavor);
  ~OnDouble() override;

  [[nodiscard]] Model load_engines(std::string_view package) const;
  static std::vector<Tensor> engine_inputs(std::string_view package);
  /// Expects what the package was recorded with.
  static void expect_answer(std::string_view package, const std::vector<Tensor>& given, std::size_t from = 0);
  static std::shared_ptr<TensorRTEngine> engine_of(const Model& model, std::size_t number = 0);

  const Flavor& flavor_;
  Double double_;
};

/// On the double of 11.x.
class OnDouble11 : public OnDouble {
 protected:
  OnDouble11() : OnDouble(flavors()[1]) {}
};

/// The address as the double writes it: "0x5400".
std::string address_text(const void* handle);
inline std::string address_text(StreamView stream) { return address_text(stream.handle()); }

/// A row-major tensor of the GPU with these numbers.
Tensor on_device(const std::vector<std::int64_t>& sizes, const std::vector<float>& values);

}  // namespace penstock::testing
