#include "contract/operator_recording.hpp"
#include "shim/imports.hpp"

#include <gtest/gtest.h>

#include <map>

namespace penstock::contract {
namespace {

using Call = std::function<AOTITorchError(OperatorCase&)>;
using Handle = AtenTensorHandle;
using Int = std::int64_t;
using Flag = std::int32_t;

/// The function that answers an import, called with `arguments`.
template <class... Arguments>
AOTITorchError call(const std::string& name, Arguments... arguments) {
  const shim::Import import = shim::resolve_import(name, {});
  EXPECT_EQ(import.kind, shim::ImportKind::Ours) << name;
  if (import.address == nullptr) return 1;
  return reinterpret_cast<AOTITorchError (*)(Arguments...)>(import.address)(arguments...);
}

Int number(OperatorCase& one, const char* name) { return one.json().at(name).get<Int>(); }
Flag flag(OperatorCase& one, const char* name) { return one.json().at(name).get<bool>() ? 1 : 0; }

Call scan_of(const std::string& name) {
  return [name](OperatorCase& one) {
    Flag wanted = 0;
    Flag* dtype = nullptr;
    if (one.json().contains("dtype")) {
      wanted = static_cast<Flag>(dtype_from_name(one.json().at("dtype").get<std::string>()).value());
      dtype = &wanted;
    }
    return call<Handle, Int, Flag*, Handle*>(name, one.tensor("self"), number(one, "dim"), dtype,
                                             one.result());
  };
}

Call extremes_of(const std::string& name) {
  return [name](OperatorCase& one) {
    Handle* const values = one.result();
    return call<Handle, Int, Handle*, Handle*>(name, one.tensor("self"), number(one, "dim"), values,
                                               one.result());
  };
}

Call of_one(const std::string& name) {
  return [name](OperatorCase& one) { return call<Handle, Handle*>(name, one.tensor("self"), one.result()); };
}

AOTITorchError run_sort(OperatorCase& one) {
  Handle* const values = one.result();
  return call<Handle, Int, Flag, Handle*, Handle*>("aoti_torch_cpu_sort", one.tensor("self"),
                                                   number(one, "dim"), flag(one, "descending"), values,
                                                   one.result());
}

AOTITorchError run_sort_stable(OperatorCase& one) {
  Flag stable = 1;
  Handle* const values = one.result();
  return call<Handle, Flag*, Int, Flag, Handle*, Handle*>("aoti_torch_cpu_sort_stable", one.tensor("self"),
                                                          &stable, number(one, "dim"),
                                                          flag(one, "descending"), values, one.result());
}

AOTITorchError run_topk(OperatorCase& one) {
  Handle* const values = one.result();
  return call<Handle, Int, Int, Flag, Flag, Handle*, Handle*>(
      "aoti_torch_cpu_topk", one.tensor("self"), number(one, "k"), number(one, "dim"), flag(one, "largest"),
      flag(one, "sorted"), values, one.result());
}

AOTITorchError run_kthvalue(OperatorCase& one) {
  Handle* const values = one.result();
  return call<Handle, Int, Int, Flag, Handle*, Handle*>("aoti_torch_cpu_kthvalue", one.tensor("self"),
                                                        number(one, "k"), number(one, "dim"),
                                                        flag(one, "keepdim"), values, one.result());
}

AOTITorchError run_nonzero_static(OperatorCase& one) {
  return call<Handle, Int, Int, Handle*>("aoti_torch_cpu_nonzero_static", one.tensor("self"),
                                         number(one, "size"), number(one, "fill_value"), one.result());
}

AOTITorchError run_repeat_interleave(OperatorCase& one) {
  return call<Handle, Int*, Handle*>("aoti_torch_cpu_repeat_interleave_Tensor", one.tensor("repeats"),
                                     nullptr, one.result());
}

AOTITorchError run_masked_select(OperatorCase& one) {
  return call<Handle, Handle, Handle*>("aoti_torch_cpu_masked_select", one.tensor("self"), one.tensor("mask"),
                                       one.result());
}

AOTITorchError run_masked_scatter(OperatorCase& one) {
  return call<Handle, Handle, Handle, Handle*>("aoti_torch_cpu_masked_scatter", one.tensor("self"),
                                               one.tensor("mask"), one.tensor("source"), one.result());
}

AOTITorchError run_bucketize(OperatorCase& one) {
  return call<Handle, Handle, Flag, Flag, Handle*>("aoti_torch_cpu_bucketize_Tensor", one.tensor("self"),
                                                   one.tensor("boundaries"), flag(one, "out_int32"),
                                                   flag(one, "right"), one.result());
}

AOTITorchError run_searchsorted(OperatorCase& one) {
  std::string text;
  const char* side = nullptr;
  if (one.json().contains("side") && !one.json().at("side").is_null()) {
    text = one.json().at("side").get<std::string>();
    side = text.c_str();
  }
  const char** optional_side = side != nullptr ? &side : nullptr;
  if (one.json().at("op") == "searchsorted_scalar") {
    return call<Handle, double, Flag, Flag, const char**, Handle*, Handle*>(
        "aoti_torch_cpu_searchsorted_Scalar", one.tensor("sorted_sequence"),
        one.json().at("value").get<double>(), flag(one, "out_int32"), flag(one, "right"), optional_side,
        nullptr, one.result());
  }
  return call<Handle, Handle, Flag, Flag, const char**, Handle*, Handle*>(
      "aoti_torch_cpu_searchsorted_Tensor", one.tensor("sorted_sequence"), one.tensor("self"),
      flag(one, "out_int32"), flag(one, "right"), optional_side, one.optional("sorter"), one.result());
}

const std::map<std::string, Call>& calls() {
  static const std::map<std::string, Call> kCalls{
      {"cumsum", scan_of("aoti_torch_cpu_cumsum")},
      {"cumprod", scan_of("aoti_torch_cpu_cumprod")},
      {"logcumsumexp",
       [](OperatorCase& one) {
         return call<Handle, Int, Handle*>("aoti_torch_cpu_logcumsumexp", one.tensor("self"),
                                           number(one, "dim"), one.result());
       }},
      {"cummax", extremes_of("aoti_torch_cpu_cummax")},
      {"cummin", extremes_of("aoti_torch_cpu_cummin")},
      {"sort", run_sort},
      {"sort_stable", run_sort_stable},
      {"topk", run_topk},
      {"kthvalue", run_kthvalue},
      {"median", of_one("aoti_torch_cpu_median")},
      {"nanmedian", of_one("aoti_torch_cpu_nanmedian")},
      {"nonzero", of_one("aoti_torch_cpu_nonzero")},
      {"nonzero_static", run_nonzero_static},
      {"masked_select", run_masked_select},
      {"masked_scatter", run_masked_scatter},
      {"repeat_interleave", run_repeat_interleave},
      {"bucketize", run_bucketize},
      {"searchsorted", run_searchsorted},
      {"searchsorted_scalar", run_searchsorted},
  };
  return kCalls;
}

TEST(OrderContract, AnswersAsLibtorch) {
  const OperatorRecording recording("order");
  ASSERT_FALSE(recording.cases().empty());
  for (const auto& one : recording.cases()) {
    OperatorCase(recording, one).check(calls().at(one.at("op").get<std::string>()));
  }
}

}  // namespace
}  // namespace penstock::contract
