#include "shim/context.hpp"
#include "shim/imports.hpp"
#include "shim/table.hpp"
#include "shim/thread_exit.hpp"

#include <array>
#include <cstring>
#include <ostream>
#include <streambuf>

namespace penstock::shim {
namespace {

/// Takes what model libraries print and keeps it with the call, so that nothing is ever printed and
/// older libraries, which print their errors and keep them nowhere, can still be asked what was wrong.
/// Thread: thread-safe, as it has no state of its own.
class CaptureBuffer : public std::streambuf {
 protected:
  std::streamsize xsputn(const char* text, std::streamsize count) override {
    append(text, static_cast<std::size_t>(count));
    return count;
  }

  int_type overflow(int_type character) override {
    if (!traits_type::eq_int_type(character, traits_type::eof())) {
      const char text = traits_type::to_char_type(character);
      append(&text, 1);
    }
    return traits_type::not_eof(character);
  }

 private:
  static void append(const char* text, std::size_t count) noexcept {
    constexpr std::size_t kMost = 1 << 16;
    CallContext* context = current_context();
    if (context == nullptr || context->printed.size() + count > kMost) return;
    try {
      context->printed.append(text, count);
    } catch (...) {
      // A message is lost, the run is not.
      return;
    }
  }
};

/// Never destroyed: libraries may print from their static destructors.
std::ostream& captured_stream() {
  static std::ostream* stream = new std::ostream(new CaptureBuffer);
  return *stream;
}

/// What model libraries learn of the environment. Only the generated code's own switches are asked
/// for, and they are answered by the load's options, not by whatever the process happens to have set.
char* environment_with_checks(const char* name) {
  static char on[] = "1";
  return name != nullptr && std::strcmp(name, "AOTI_RUNTIME_CHECK_INPUTS") == 0 ? on : nullptr;
}

char* environment_without_checks(const char*) { return nullptr; }

}  // namespace

std::span<const TableEntry> runtime_functions() {
  static const std::array kTable{
      entry("__cxa_thread_atexit", &register_thread_exit),
      TableEntry{"_ZSt4cerr", &captured_stream()},
      TableEntry{"_ZSt4cout", &captured_stream()},
      TableEntry{"_ZSt4clog", &captured_stream()},
      entry("getenv", &environment_with_checks),
      entry("getenv without checks", &environment_without_checks),
  };
  return kTable;
}

}  // namespace penstock::shim
