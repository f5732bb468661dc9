#include "objects/schema.hpp"

#include <penstock/error.hpp>

#include <gtest/gtest.h>

#include <string>

namespace penstock::objects {
namespace {

/// Types and defaults of a parameter list, as PyTorch writes them.
std::string parameters(const std::string& list) {
  std::string text;
  for (const Parameter& parameter : parse_schema("ns::op(" + list + ") -> ()").parameters) {
    text += (text.empty() ? "" : ", ") + to_string(parameter.type) + " " + parameter.name;
    if (parameter.preset) text += "=" + penstock::to_string(*parameter.preset);
  }
  return text;
}

TEST(Schema, ReadsNames) {
  EXPECT_EQ(parse_schema("ns::op() -> ()").name, "ns::op");
  EXPECT_EQ(parse_schema("ns::op.out(Tensor x) -> Tensor").name, "ns::op.out");
  EXPECT_EQ(parse_schema("method(Tensor x) -> Tensor").name, "method");
}

TEST(Schema, ReadsTypes) {
  const std::string plain =
      "Tensor a, int b, float c, Scalar d, bool e, str f, ScalarType g, MemoryFormat h, Layout i, Device j, "
      "Generator k, Generator? l";
  EXPECT_EQ(parameters(plain), plain);
  const std::string lists = "Tensor[] a, Tensor?[] b, int[] c, float[]? d, Tensor? e, str[] f, Scalar[] g";
  EXPECT_EQ(parameters(lists), lists);
  EXPECT_EQ(parameters("SymInt a, SymInt[] b, int[2] c"), "int a, int[] b, int[] c");
  EXPECT_EQ(parameters("Tensor(a!) a, Tensor(b -> *)[] b, Tensor(c)? d"), "Tensor a, Tensor[] b, Tensor? d");
  EXPECT_EQ(parameters("__torch__.torch.classes.ns.Thing thing"), "ns.Thing thing");
}

TEST(Schema, ReadsDefaults) {
  EXPECT_EQ(parameters("int a=3, int b=-4, float c=1, float d=2.5, float e=1e-05, float f=-1.5e+3"),
            "int a=3, int b=-4, float c=1, float d=2.5, float e=1e-05, float f=-1500");
  EXPECT_EQ(parameters("bool a=True, bool b=False, Tensor? c=None, str d=\"x, y\", str e='z\\'s'"),
            "bool a=True, bool b=False, Tensor? c=None, str d=\"x, y\", str e=\"z's\"");
  EXPECT_EQ(parameters("int[] a=[], int[] b=[1, -2], float[] c=[1, 2.5], int[2] d=1, int[3]? e=None"),
            "int[] a=[], int[] b=[1, -2], float[] c=[1, 2.5], int[] d=[1, 1], int[]? e=None");
  EXPECT_EQ(
      parameters("ScalarType a=float, ScalarType? b=long, MemoryFormat c=channels_last, Layout d=strided"),
      "ScalarType a=float32, ScalarType? b=int64, MemoryFormat c=2, Layout d=0");
}

TEST(Schema, ReadsEscapesOfTexts) {
  const auto preset = [](const std::string& text) {
    return std::string(parse_schema("ns::op(str a=" + text + ") -> ()").parameters[0].preset->text());
  };
  EXPECT_EQ(preset(R"("a\nb\tc\\d\"e")"), "a\nb\tc\\d\"e");
  EXPECT_EQ(preset(R"('\r\b\f\v\a\'')"), "\r\b\f\v\a'");
  EXPECT_THROW(preset(R"("\x41")"), Error);
  EXPECT_THROW(preset("\"\\"), Error);
}

TEST(Schema, ReadsAStarAsNoParameter) { EXPECT_EQ(parameters("Tensor a, *, int b=1"), "Tensor a, int b=1"); }

TEST(Schema, ReadsResults) {
  const auto results = [](const std::string& text) {
    std::string all;
    for (const SchemaType& type : parse_schema("ns::op(Tensor a) -> " + text).results)
      all += to_string(type) + ";";
    return all;
  };
  EXPECT_EQ(results("()"), "");
  EXPECT_EQ(results("Tensor Y"), "Tensor;");
  EXPECT_EQ(results("Tensor"), "Tensor;");
  EXPECT_EQ(results("Tensor(a!)"), "Tensor;");
  EXPECT_EQ(results("(Tensor values, Tensor[] others, int)"), "Tensor;Tensor[];int;");
  EXPECT_EQ(results("Tensor?"), "Tensor?;");
}

TEST(Schema, SaysWhatItDoesNotUnderstand) {
  const auto refused = [](const std::string& text, const std::string& part) {
    try {
      parse_schema(text);
      ADD_FAILURE() << "was accepted: " << text;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
  };
  refused("", "a name");
  refused("ns::(Tensor a) -> ()", "a name");
  refused("ns::op", "\"(\"");
  refused("ns::op(Tensor a)", "\"->\"");
  refused("ns::op(Tensor a) -> Tensor, Tensor", "the end");
  refused("ns::op(Tensr a) -> ()", "a type is expected at \"Tensr a");
  refused("ns::op(Tensor) -> ()", "the name of a parameter");
  refused("ns::op(Tensor a int b) -> ()", "\",\"");
  refused("ns::op(int a=) -> ()", "a default");
  refused("ns::op(int a=one) -> ()", "a default");
  refused("ns::op(int a=99999999999999999999) -> ()", "a default");
  refused("ns::op(int a=1.5) -> ()", "a default of type int is expected at \"1.5");
  refused("ns::op(int a=[1]) -> ()", "a default of type int is expected at \"[1]");
  refused("ns::op(int? a=[]) -> ()", "a default of type int?");
  refused("ns::op(bool a=1) -> ()", "a default of type bool");
  refused("ns::op(str a=5) -> ()", "a default of type str");
  refused("ns::op(float[] a=[1, True]) -> ()", "a default of type float");
  refused("ns::op(Tensor a=1) -> ()", "a default of type Tensor");
  refused("ns::op(ScalarType a=99) -> ()", "a default of type ScalarType");
  refused("ns::op(int[] a=1) -> ()", "a list");
  refused("ns::op(str a=\"x) -> ()", "the end of a text");
  refused("ns::op(int[][] a) -> ()", "list of lists");
  refused("ns::op(int?? a) -> ()", "second");
  refused("ns::op(int[9999] a) -> ()", "the length of a list");
  refused("ns::op(Tensor(a a) -> ()", "the name of a parameter");
  refused("ns::op(Tensor(a a", "\")\"");
}

}  // namespace
}  // namespace penstock::objects
