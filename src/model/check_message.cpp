#include "model/check_message.hpp"

#include <penstock/device.hpp>

#include <array>
#include <charconv>

namespace penstock::model {
namespace {

/// Reads forward through a message.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  /// Moves behind the next `text`; false, and stays, where there is none.
  bool skip_past(std::string_view text) {
    const auto at = rest_.find(text);
    if (at == std::string_view::npos) return false;
    rest_.remove_prefix(at + text.size());
    return true;
  }

  template <class Integer>
  bool read(Integer& value) {
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (error != std::errc()) return false;
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    return true;
  }

 private:
  std::string_view rest_;
};

struct Form {
  std::string_view marker;
  std::string_view before_value;
  bool has_dim;
  CheckMessage::Kind kind;
};

constexpr std::array kForms{
    Form{"unmatched dtype", "expected: ", false, CheckMessage::Kind::Dtype},
    Form{"unmatched device type", "expected: ", false, CheckMessage::Kind::DeviceType},
    Form{"unmatched dim value at ", "expected: ", true, CheckMessage::Kind::Size},
    Form{"dim value is too small at ", ">= ", true, CheckMessage::Kind::TooSmall},
    Form{"dim value is too large at ", "<= ", true, CheckMessage::Kind::TooLarge},
    Form{"unmatched stride value at ", "expected: ", true, CheckMessage::Kind::Stride},
};

std::int64_t device_type(Reader reader, std::int64_t number) {
  if (Reader named = reader; named.skip_past("(cuda)")) return static_cast<std::int64_t>(DeviceType::Cuda);
  if (Reader named = reader; named.skip_past("(cpu)")) return static_cast<std::int64_t>(DeviceType::Cpu);
  return number;
}

bool read_layout(std::string_view text, CheckMessage& message) {
  Reader reader(text);
  std::int64_t given = 0;
  while (reader.skip_past("expected size ")) {
    CheckMessage::Mismatch mismatch;
    if (!reader.read(given) || !reader.skip_past("==") || !reader.read(mismatch.size) ||
        !reader.skip_past("stride ") || !reader.read(given) || !reader.skip_past("==") ||
        !reader.read(mismatch.stride) || !reader.skip_past("dim=") || !reader.read(mismatch.dim)) {
      return false;
    }
    message.mismatches.push_back(mismatch);
  }
  return !message.mismatches.empty();
}

}  // namespace

CheckMessage read_check_message(std::string_view text) {
  CheckMessage message;
  Reader reader(text);
  if (reader.skip_past("input_handles[")) {
    if (!reader.read(message.input)) return {};
    for (const Form& form : kForms) {
      Reader rest = reader;
      if (!rest.skip_past(form.marker)) continue;
      if (form.has_dim && !rest.read(message.dim)) return {};
      if (!rest.skip_past(form.before_value) || !rest.read(message.value)) return {};
      message.kind = form.kind;
      // Generated code writes the number of a device twice in a row, and its name behind.
      if (form.kind == CheckMessage::Kind::DeviceType) message.value = device_type(rest, message.value);
      return message;
    }
    return {};
  }
  if (reader.skip_past("expected ndim ")) {
    if (!reader.read(message.value)) return {};
    message.kind = CheckMessage::Kind::Rank;
    return message;
  }
  if (read_layout(text, message)) message.kind = CheckMessage::Kind::Layout;
  return message;
}

}  // namespace penstock::model
