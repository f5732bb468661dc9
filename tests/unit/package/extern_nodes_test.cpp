#include "package/extern_nodes.hpp"

#include "package_builder.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

namespace penstock::package {
namespace {

using test::expect_error;

std::vector<ExternNode> read_all(const std::string& node) {
  return read_extern_nodes(R"({"nodes": [{"name": "buf0", "node": )" + node + "}]}", "x.json");
}

/// The one argument that is written as `arg`.
NodeValue argument(const std::string& arg) {
  const std::string input = R"({"name": "a", "arg": )" + arg + R"(, "kind": 1})";
  return read_all(R"({"target": "ns::op", "inputs": [)" + input + R"(], "outputs": []})").at(0).inputs.at(0);
}

NodeValue output(const std::string& value) {
  return read_all(R"({"target": "ns::op", "inputs": [], "outputs": [)" + value + "]}").at(0).outputs.at(0);
}

TEST(ExternNodes, ReadsWhatIsHandedOverWithACall) {
  EXPECT_EQ(argument(R"({"as_tensor": {"name": "buf1"}})").kind, NodeValueKind::Tensor);
  EXPECT_EQ(argument(R"({"as_tensors": [{"name": "a"}, {"name": "b"}]})").present.size(), 2U);
  const NodeValue maybes =
      argument(R"({"as_optional_tensors": [{"as_none": true}, {"as_tensor": {"name": "b"}}]})");
  EXPECT_EQ(maybes.present, (std::vector<bool>{false, true}));
  EXPECT_EQ(argument(R"({"as_sym_int": {"as_name": "s3"}})").kind, NodeValueKind::SymInteger);
  EXPECT_EQ(argument(R"({"as_sym_ints": [{"as_name": "s3"}, {"as_int": 3}]})").present.size(), 2U);
  EXPECT_EQ(argument(R"({"as_int": -5})").value.integer(), -5);
  EXPECT_EQ(to_string(argument(R"({"as_ints": [1, 2]})").value), "[1, 2]");
}

TEST(ExternNodes, ReadsConstants) {
  EXPECT_EQ(argument(R"({"as_float": 1.5})").value.number(), 1.5);
  EXPECT_EQ(argument(R"({"as_float": 2})").value.number(), 2.0);
  EXPECT_EQ(argument(R"({"as_float": "Infinity"})").value.number(), HUGE_VAL);
  EXPECT_EQ(argument(R"({"as_float": "-Infinity"})").value.number(), -HUGE_VAL);
  EXPECT_TRUE(std::isnan(argument(R"({"as_float": "NaN"})").value.number()));
  EXPECT_EQ(to_string(argument(R"({"as_floats": [0.5, -3.0]})").value), "[0.5, -3]");
  EXPECT_EQ(to_string(argument(R"({"as_bools": [true, false]})").value), "[True, False]");
  EXPECT_TRUE(argument(R"({"as_bool": true})").value.boolean());
  EXPECT_EQ(argument(R"({"as_string": "text"})").value.text(), "text");
  EXPECT_EQ(to_string(argument(R"({"as_strings": ["a", ""]})").value), "[\"a\", \"\"]");
  EXPECT_EQ(argument(R"({"as_none": true})").kind, NodeValueKind::None);
}

TEST(ExternNodes, TranslatesNumbersOfEnumerations) {
  EXPECT_EQ(argument(R"({"as_scalar_type": 8})").value.dtype(), DType::Float64);
  EXPECT_EQ(argument(R"({"as_scalar_type": 13})").value.dtype(), DType::BFloat16);
  EXPECT_EQ(argument(R"({"as_scalar_type": 29})").value.dtype(), DType::Float8E4M3FN);
  EXPECT_EQ(argument(R"({"as_memory_format": 1})").value.integer(), 0);
  EXPECT_EQ(argument(R"({"as_memory_format": 4})").value.integer(), 1);
  EXPECT_EQ(argument(R"({"as_layout": 7})").value.integer(), 0);
  EXPECT_EQ(argument(R"({"as_layout": 3})").value.integer(), 4);
  EXPECT_EQ(argument(R"({"as_device": {"type": "cuda", "index": 1}})").value.device(),
            (Device{DeviceType::Cuda, 1}));
  EXPECT_EQ(argument(R"({"as_device": {"type": "cpu", "index": null}})").value.device(), Device{});
  EXPECT_EQ(argument(R"({"as_device": {"type": "cpu", "index": 0}})").value.device(), Device{});
  expect_error(ErrorCode::Corrupt, "dtype number 0", [] { argument(R"({"as_scalar_type": 0})"); });
  expect_error(ErrorCode::Corrupt, "dtype number 20", [] { argument(R"({"as_scalar_type": 20})"); });
  expect_error(ErrorCode::Corrupt, "memory format number 9", [] { argument(R"({"as_memory_format": 9})"); });
  expect_error(ErrorCode::Corrupt, "layout number 0", [] { argument(R"({"as_layout": 0})"); });
  expect_error(ErrorCode::Corrupt, "the device \"tpu\"",
               [] { argument(R"({"as_device": {"type": "tpu"}})"); });
}

TEST(ExternNodes, ReadsObjects) {
  const NodeValue object = argument(
      R"({"as_custom_obj": {"name": "_torchbind_obj0", "class_fqn": "__torch__.torch.classes.ns.Thing"}})");
  EXPECT_EQ(object.object, "_torchbind_obj0");
  EXPECT_EQ(object.class_name, "ns.Thing");
}

TEST(ExternNodes, ReadsResults) {
  EXPECT_EQ(output(R"({"as_tensor": {"name": "buf1"}})").kind, NodeValueKind::Tensor);
  EXPECT_EQ(output(R"({"as_tensors": []})").present.size(), 0U);
  EXPECT_EQ(output(R"({"as_optional_tensor": {"as_none": true}})").present, std::vector<bool>{false});
  EXPECT_EQ(output(R"({"as_optional_tensor": {"as_tensor": {"name": "b"}}})").present,
            std::vector<bool>{true});
  EXPECT_EQ(output(R"({"as_int": 2})").value.integer(), 2);
}

TEST(ExternNodes, KeepsWhatIsNotKnownByName) {
  const NodeValue unknown = argument(R"({"as_complex": {"real": 1, "imag": 2}})");
  EXPECT_EQ(unknown.kind, NodeValueKind::Unknown);
  EXPECT_EQ(unknown.key, "as_complex");
}

TEST(ExternNodes, RefusesWhatContradictsItself) {
  const auto refused = [](const std::string& text, std::string_view words) {
    expect_error(ErrorCode::Corrupt, words, [&] { read_extern_nodes(text, "x.json"); });
  };
  refused("[]", "no list of calls");
  refused("{}", "no list of calls");
  refused(R"({"nodes": {}})", "no list of calls");
  refused(R"({"nodes": [7]})", "call 0 has no \"node\"");
  refused(R"({"nodes": [{"node": {"inputs": []}}]})", "has no \"target\"");
  refused(R"({"nodes": [{"node": {"target": 5}}]})", "where a text belongs");
  refused(R"({"nodes": [{"node": {"target": "ns::op", "inputs": {}}}]})",
          "call 0, ns::op has something else");
  refused("{\"nodes\": [", "not valid JSON");
  for (const char* arg : {R"({})", R"(7)", R"({"as_int": 1, "as_float": 2})"})
    expect_error(ErrorCode::Corrupt, "a value without a kind", [&] { argument(arg); });
  expect_error(ErrorCode::Corrupt, "an integer belongs", [] { argument(R"({"as_int": 1.5})"); });
  expect_error(ErrorCode::Corrupt, "an integer belongs",
               [] { argument(R"({"as_int": 9223372036854775808})"); });
  expect_error(ErrorCode::Corrupt, "an integer belongs", [] { argument(R"({"as_int": null})"); });
  expect_error(ErrorCode::Corrupt, "a number belongs", [] { argument(R"({"as_float": "one"})"); });
  expect_error(ErrorCode::Corrupt, "true or false belongs", [] { argument(R"({"as_bool": 1})"); });
  expect_error(ErrorCode::Corrupt, "a list belongs", [] { argument(R"({"as_tensors": {}})"); });
  expect_error(ErrorCode::Corrupt, "a tensor or none belongs",
               [] { argument(R"({"as_optional_tensors": [{"as_int": 1}]})"); });
  expect_error(ErrorCode::Corrupt, "has no \"class_fqn\"",
               [] { argument(R"({"as_custom_obj": {"name": "x"}})"); });
}

}  // namespace
}  // namespace penstock::package
