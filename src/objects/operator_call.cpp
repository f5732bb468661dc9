#include "objects/operator_call.hpp"

#include "base/fail.hpp"
#include "shim/results.hpp"
#include "tensor/storage.hpp"
#include "tensor/view_access.hpp"

#include <memory>
#include <utility>

namespace penstock {
namespace {

using objects::PreparedArgument;
using objects::PreparedResult;
using Source = PreparedArgument::Source;

[[noreturn]] void refuse_argument(std::size_t index, std::string_view wanted) {
  base::fail(ErrorCode::InvalidArgument, "argument {} is no {}", index, wanted);
}

TensorView view_of(const tensor::TensorObject& tensor) {
  if (tensor.storage == nullptr) base::fail(ErrorCode::InvalidArgument, "a tensor that is not defined");
  if (static_cast<std::size_t>(tensor.rank) > kMaxRank) {
    base::fail(ErrorCode::Unsupported, "a tensor of {} dimensions; at most {} can be given", tensor.rank,
               kMaxRank);
  }
  TensorView view;
  TensorViewAccess::set(view, tensor);
  return view;
}

}  // namespace

const PreparedArgument& OperatorCall::Impl::argument(std::size_t index) const {
  if (index >= prepared.arguments.size()) {
    base::fail(ErrorCode::InvalidArgument, "there are {} arguments, and no argument {}",
               prepared.arguments.size(), index);
  }
  return prepared.arguments[index];
}

const PreparedArgument& OperatorCall::Impl::argument(std::size_t index, Source source,
                                                     std::string_view wanted) const {
  const PreparedArgument& found = argument(index);
  if (found.source != source) refuse_argument(index, wanted);
  return found;
}

void OperatorCall::Impl::require_item(std::size_t index, std::size_t item) const {
  const std::size_t count = argument(index).count;
  if (item >= count)
    base::fail(ErrorCode::InvalidArgument, "argument {} has {} items, and no item {}", index, count, item);
}

const PreparedResult& OperatorCall::Impl::result(std::size_t index) const {
  if (index >= prepared.results.size()) {
    base::fail(ErrorCode::InvalidArgument, "there are {} results, and no result {}", prepared.results.size(),
               index);
  }
  return prepared.results[index];
}

const Value& OperatorCall::Impl::constant(std::size_t index, std::size_t item,
                                          std::string_view wanted) const {
  const PreparedArgument& found = argument(index, Source::Constant, wanted);
  require_item(index, item);
  return found.list ? found.constant.items()[item] : found.constant;
}

AtenTensorHandle OperatorCall::Impl::tensor(std::size_t index, std::size_t item) const {
  const PreparedArgument& found = argument(index, Source::Tensors, "tensor");
  if (item >= found.count) {
    base::fail(ErrorCode::InvalidArgument, "argument {} has {} tensors, and no tensor {}", index, found.count,
               item);
  }
  if (found.items.empty()) return call.tensors[found.first + item];
  return found.items[item] == objects::kNoTensor ? nullptr : call.tensors[found.items[item]];
}

void OperatorCall::Impl::set(std::size_t result, std::size_t item, tensor::TensorObject& made) {
  if (result >= prepared.results.size() || prepared.results[result].kind != PreparedResult::Kind::Tensors ||
      item >= prepared.results[result].count) {
    base::fail(ErrorCode::InvalidArgument, "tensor {} of result {} is given, which the model does not take",
               item, result);
  }
  const PreparedResult& found = prepared.results[result];
  tensor::assign(*call.tensors[found.first + item], made);
  given.set(number_of(found, item));
}

std::size_t OperatorCall::Impl::number_of(const PreparedResult& result, std::size_t item) const noexcept {
  if (result.kind == PreparedResult::Kind::Tensors) return result.first + item - prepared.input_tensors;
  const std::size_t input_integers = prepared.integers - prepared.result_integers;
  return prepared.tensors - prepared.input_tensors + result.first - input_integers;
}

void OperatorCall::Impl::require_results() const {
  if (given.count() == prepared.tensors - prepared.input_tensors + prepared.result_integers) return;
  for (std::size_t i = 0; i < prepared.results.size(); ++i) {
    const PreparedResult& result = prepared.results[i];
    for (std::size_t item = 0; item < result.count; ++item) {
      if (given.test(number_of(result, item))) continue;
      const bool is_integer = result.kind == PreparedResult::Kind::Integer;
      base::fail(ErrorCode::Internal, "it did not give {} {} of result {}", is_integer ? "integer" : "tensor",
                 item, i);
    }
  }
}

const std::string& OperatorCall::name() const noexcept { return impl_.prepared.entry->schema.name; }
Device OperatorCall::device() const noexcept { return impl_.session.device(); }

StreamView OperatorCall::stream() const {
  if (impl_.cuda == nullptr)
    base::fail(ErrorCode::InvalidArgument, "it asks for a stream, and the model is on the CPU");
  return StreamView::from_handle(impl_.cuda->stream);
}

std::size_t OperatorCall::count(std::size_t argument) const { return impl_.argument(argument).count; }

std::size_t OperatorCall::argument_count() const noexcept { return impl_.prepared.arguments.size(); }

ArgumentKind OperatorCall::argument_kind(std::size_t argument) const {
  const PreparedArgument& found = impl_.argument(argument);
  switch (found.source) {
    case Source::Tensors: return found.list ? ArgumentKind::Tensors : ArgumentKind::Tensor;
    case Source::Integers: return found.list ? ArgumentKind::Integers : ArgumentKind::Integer;
    case Source::Constant: return ArgumentKind::Constant;
    case Source::Object: return ArgumentKind::Object;
    case Source::None: break;
  }
  return ArgumentKind::None;
}

std::size_t OperatorCall::results_count() const noexcept { return impl_.prepared.results.size(); }

ArgumentKind OperatorCall::result_kind(std::size_t result) const {
  const PreparedResult& found = impl_.result(result);
  switch (found.kind) {
    case PreparedResult::Kind::Tensors: return found.list ? ArgumentKind::Tensors : ArgumentKind::Tensor;
    case PreparedResult::Kind::Integer: return ArgumentKind::Integer;
    case PreparedResult::Kind::None: break;
  }
  return ArgumentKind::None;
}

const Value& OperatorCall::constant(std::size_t argument) const {
  return impl_.argument(argument, Source::Constant, "constant").constant;
}

bool OperatorCall::has(std::size_t argument) const {
  const PreparedArgument& found = impl_.argument(argument);
  if (found.source == Source::None) return false;
  return found.list || found.source != Source::Tensors || impl_.tensor(argument, 0) != nullptr;
}

bool OperatorCall::has(std::size_t argument, std::size_t item) const {
  const PreparedArgument& found = impl_.argument(argument);
  if (found.source == Source::None || item >= found.count) return false;
  return found.source != Source::Tensors || impl_.tensor(argument, item) != nullptr;
}

TensorView OperatorCall::tensor(std::size_t argument, std::size_t item) const {
  const tensor::TensorObject* const found = impl_.tensor(argument, item);
  if (found == nullptr) refuse_argument(argument, "tensor but None");
  return view_of(*found);
}

std::int64_t OperatorCall::integer(std::size_t argument, std::size_t item) const {
  const PreparedArgument& found = impl_.argument(argument);
  if (found.source == Source::Integers) {
    impl_.require_item(argument, item);
    return impl_.call.integers[found.first + item];
  }
  return impl_.constant(argument, item, "integer").integer();
}

double OperatorCall::number(std::size_t argument, std::size_t item) const {
  const PreparedArgument& found = impl_.argument(argument);
  if (found.source == Source::Integers) return static_cast<double>(integer(argument, item));
  const Value& value = impl_.constant(argument, item, "number");
  return value.kind() == ValueKind::Bool ? static_cast<double>(value.boolean()) : value.number();
}

bool OperatorCall::boolean(std::size_t argument, std::size_t item) const {
  return impl_.constant(argument, item, "bool").boolean();
}

std::string_view OperatorCall::text(std::size_t argument, std::size_t item) const {
  return impl_.constant(argument, item, "text").text();
}

DType OperatorCall::dtype(std::size_t argument) const { return impl_.constant(argument, 0, "dtype").dtype(); }

Device OperatorCall::device(std::size_t argument) const {
  return impl_.constant(argument, 0, "device").device();
}

CustomObject& OperatorCall::object(std::size_t argument) const {
  return *impl_.session.object(impl_.argument(argument, Source::Object, "object").object).get();
}

void OperatorCall::refuse_class(std::size_t argument, const std::type_info& wanted) const {
  const ObjectHandle& handle =
      impl_.session.object(impl_.argument(argument, Source::Object, "object").object);
  base::fail(ErrorCode::InvalidArgument, "argument {}: object \"{}\" of class {} is no {}", argument,
             handle.name(), handle.class_name(), wanted.name());
}

const void* OperatorCall::checked_state(std::size_t argument, const std::type_info& wanted) const {
  const auto number = impl_.argument(argument, Source::Object, "object").object;
  const ObjectSnapshot& taken = impl_.session.slot(number).taken;
  if (taken.type == nullptr || *taken.type != wanted) refuse_class(argument, wanted);
  return taken.state.get();
}

std::shared_ptr<void>& OperatorCall::session_data(std::size_t argument) const {
  return impl_.session.slot(impl_.argument(argument, Source::Object, "object").object).data;
}

std::size_t OperatorCall::result_count(std::size_t result) const { return impl_.result(result).count; }

TensorView OperatorCall::make_result(std::size_t result, DType dtype, std::span<const std::int64_t> sizes,
                                     std::size_t item) {
  const bool on_host = device().type == DeviceType::Cpu;
  const tensor::TensorObjectPtr made =
      on_host ? shim::make_result(dtype, sizes) : shim::make_cuda_result(dtype, sizes);
  const TensorView view = view_of(*made);
  impl_.set(result, item, *made);
  return view;
}

void OperatorCall::give_result(std::size_t result, const Tensor& tensor, std::size_t item) {
  if (!tensor.defined() || tensor.view().device() != device()) {
    base::fail(ErrorCode::InvalidArgument, "tensor {} of result {} is {}; it has to be on {}", item, result,
               tensor.defined() ? "on " + to_string(tensor.view().device()) : "none", to_string(device()));
  }
  const TensorView& view = tensor.view();
  // The library that the operator is from may be where the memory's owner has its code.
  struct Kept {
    std::shared_ptr<const void> library;
    Tensor tensor;
  };
  const auto kept = std::make_shared<const Kept>(Kept{impl_.prepared.entry->library, tensor});
  const tensor::StorageReference storage(
      tensor::hold_storage(view.data(), view.storage_bytes(), view.device(), kept));
  const tensor::TensorObjectPtr made(tensor::make_tensor(
      storage.get(), {.dtype = view.dtype(), .sizes = view.sizes(), .strides = view.strides()}));
  impl_.set(result, item, *made);
}

void OperatorCall::give_argument(std::size_t result, std::size_t argument, std::size_t item,
                                 std::size_t argument_item) {
  const tensor::TensorObject* const given = impl_.tensor(argument, argument_item);
  if (given == nullptr) refuse_argument(argument, "tensor but None");
  const tensor::TensorObjectPtr made = shim::share(*given);
  impl_.set(result, item, *made);
}

void OperatorCall::give_integer(std::size_t result, std::int64_t value) {
  const bool is_integer = result < impl_.prepared.results.size() &&
                          impl_.prepared.results[result].kind == PreparedResult::Kind::Integer;
  if (!is_integer) {
    base::fail(ErrorCode::InvalidArgument, "result {} is given as an integer, which the model does not take",
               result);
  }
  const std::int64_t built_in = impl_.call.integers[impl_.prepared.results[result].first];
  if (value != built_in) {
    base::fail(ErrorCode::Unsupported, "result {} is {}, and the model was compiled for {}", result, value,
               built_in);
  }
  impl_.given.set(impl_.number_of(impl_.prepared.results[result], 0));
}

}  // namespace penstock
