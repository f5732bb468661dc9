#include "base/checked.hpp"
#include "package/byte_reader.hpp"
#include "package/pickle_machine.hpp"

#include <bit>
#include <cstring>

namespace penstock::package {

template <class T>
T PickleMachine::take() {
  const auto value = read_at<T>(bytes_, at_);
  if (!value) corrupt("is truncated");
  at_ += sizeof(T);
  return *value;
}

// The loop that asks for one opcode after the other is in another file.
template std::uint8_t PickleMachine::take<std::uint8_t>();

std::span<const std::byte> PickleMachine::take_bytes(std::uint64_t length) {
  if (!base::fits(at_, length, bytes_.size())) corrupt("is truncated");
  if (length > rules_.most_text) unsupported("has a text of {} bytes", length);
  const auto taken = bytes_.subspan(at_, length);
  at_ += length;
  return taken;
}

std::string_view PickleMachine::take_text(std::uint64_t length) { return as_text(take_bytes(length)); }

std::string_view PickleMachine::take_line() {
  constexpr std::size_t kMostName = 4096;
  const std::string_view rest = as_text(bytes_.subspan(at_)).substr(0, kMostName + 1);
  const std::size_t end = rest.find('\n');
  if (end == std::string_view::npos) {
    if (rest.size() > kMostName) unsupported("has a name of more than {} bytes", kMostName);
    corrupt("is truncated");
  }
  at_ += end + 1;
  return rest.substr(0, end);
}

/// A little-endian integer of as many bytes as its first says: at most eight here.
std::int64_t PickleMachine::take_long() {
  const auto length = take<std::uint8_t>();
  if (length > sizeof(std::int64_t)) unsupported("has a number of {} bytes", length);
  const std::string_view text = take_text(length);
  std::int64_t value = 0;
  // The bytes above take the sign of the last.
  if (!text.empty() && (static_cast<unsigned char>(text.back()) & 0x80U) != 0) value = -1;
  std::memcpy(&value, text.data(), text.size());
  return value;
}

/// The one number that is stored with its highest byte first.
double PickleMachine::take_float() { return std::bit_cast<double>(__builtin_bswap64(take<std::uint64_t>())); }

bool PickleMachine::take_protocol() {
  const auto protocol = take<std::uint8_t>();
  if (protocol < 2 || protocol > 5) unsupported("is of protocol {}", protocol);
  return true;
}

bool PickleMachine::step(std::uint8_t code) {
  switch (code) {
    case 0x80: return take_protocol();
    case 0x95:
      static_cast<void>(take<std::uint64_t>());
      return true;  // a frame: its length tells nothing new
    case '.': return false;
    case '(': push(PickleMark{}); return true;
    case 't': push_container(ContainerKind::Tuple, pop_marked("tuple")); return true;
    case ')': push_tuple(0); return true;
    case 0x85: push_tuple(1); return true;
    case 0x86: push_tuple(2); return true;
    case 0x87: push_tuple(3); return true;
    case 'N': push(std::monostate{}); return true;
    case 0x88: push(true); return true;
    case 0x89: push(false); return true;
    case 'J': push(static_cast<std::int64_t>(take<std::int32_t>())); return true;
    case 'K': push(static_cast<std::int64_t>(take<std::uint8_t>())); return true;
    case 'M': push(static_cast<std::int64_t>(take<std::uint16_t>())); return true;
    case 0x8a: push(take_long()); return true;
    case 'q': remember(take<std::uint8_t>()); return true;
    case 'r': remember(take<std::uint32_t>()); return true;
    case 0x94: remember(remembered_); return true;
    case 'h': recall(take<std::uint8_t>()); return true;
    case 'j': recall(take<std::uint32_t>()); return true;
    default: return step_text(code);
  }
}

bool PickleMachine::step_text(std::uint8_t code) {
  switch (code) {
    case 'X': push(take_text(take<std::uint32_t>())); return true;
    case 0x8c: push(take_text(take<std::uint8_t>())); return true;
    case 'c': {
      const std::string_view module = take_line();
      push_name(module, take_line());
      return true;
    }
    case 0x93: {
      const auto name = pop_as<std::string_view>("a name");
      push_name(pop_as<std::string_view>("a module"), name);
      return true;
    }
    case '}': push_container(ContainerKind::Dictionary, {}); return true;
    case 'Q': {
      const auto storage = find_storage(items_of(pop(), ContainerKind::Tuple, "a storage's description"));
      push(PickledStorageRef{pickle_.storages.size()});
      pickle_.storages.push_back(storage);
      return true;
    }
    case 'R': reduce(); return true;
    default: break;
  }
  if (!rules_.objects || !step_object(code)) unsupported("has opcode 0x{:02x}", code);
  return true;
}

/// What tensors do without. False where the opcode is not known.
bool PickleMachine::step_object(std::uint8_t code) {
  switch (code) {
    case 'G': push(take_float()); return true;
    case 0x8d: push(take_text(take<std::uint64_t>())); return true;
    case 'B': push(take_bytes(take<std::uint32_t>())); return true;
    case 'C': push(take_bytes(take<std::uint8_t>())); return true;
    case 0x8e: push(take_bytes(take<std::uint64_t>())); return true;
    case ']': push_container(ContainerKind::List, {}); return true;
    case 'l': push_container(ContainerKind::List, pop_marked("list")); return true;
    case 'd': {
      const std::vector<PickledValue> items = pop_marked("dictionary");
      push_container(ContainerKind::Dictionary, {});
      append(items, ContainerKind::Dictionary);
      return true;
    }
    case 'a':
    case 's': {
      const std::size_t count = code == 'a' ? 1 : 2;
      std::vector<PickledValue> items(count);
      for (std::size_t i = count; i-- > 0;) items[i] = pop();
      append(items, code == 'a' ? ContainerKind::List : ContainerKind::Dictionary);
      return true;
    }
    case 'e': append(pop_marked("list"), ContainerKind::List); return true;
    case 'u': append(pop_marked("dictionary"), ContainerKind::Dictionary); return true;
    case 0x81: make_object(); return true;
    case 'b': set_state(); return true;
    default: return false;
  }
}

}  // namespace penstock::package
