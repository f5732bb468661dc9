#pragma once

#include "abi.hpp"

#include <cstddef>
#include <string>

// What the library knows of itself, for the tests and for messages.
namespace penstock::trt_double {

enum class Kind { Runtime, Engine, Context };

/// An object that is counted from its construction to its destruction, and has a number of its kind.
class Counted {
 public:
  explicit Counted(Kind kind);
  ~Counted();
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;

  /// "context#1"
  [[nodiscard]] const std::string& name() const { return name_; }

 private:
  Kind kind_;
  std::string name_;
};

/// A line of penstock_double_calls.
void note(const std::string& line);
void count_bytes(std::ptrdiff_t change);

/// Whether a test wants this call to fail.
bool shall_fail(const char* call);

/// Gives a message to the host's logger.
void log(HostObject* logger, Severity severity, const std::string& message);

/// Logs an error as TensorRT words them, "FUNCTION: Error Code CODE: WHAT", and notes that the call has
/// failed.
void log_error(HostObject* logger, const char* function, int code, const std::string& what);

/// Whether an object of the host is what it has to be: the interface of that name, version 1.0, in C++.
bool is_interface(HostObject* object, const char* kind);

/// "0x5500"
std::string text_of(const void* address);

}  // namespace penstock::trt_double
