#pragma once

#include "e2e/support.hpp"
#include "recording_driver.hpp"

#include <penstock/device_memory.hpp>
#include <penstock/partition.hpp>
#include <penstock/penstock.hpp>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

namespace penstock::recording {

void PrintTo(const Alive& alive, std::ostream* out);

}  // namespace penstock::recording

namespace penstock::testing {

inline constexpr std::string_view kGpuPackages = "2.11-sm90";

/// A context that is current on this thread until the end of the scope, as a caller makes it.
class Current {
 public:
  explicit Current(void* context);
  ~Current();
  Current(const Current&) = delete;
  Current& operator=(const Current&) = delete;
};

/// The primary context of a GPU, retained as a caller does.
class Primary {
 public:
  explicit Primary(int device = 0);
  ~Primary();
  Primary(const Primary&) = delete;
  Primary& operator=(const Primary&) = delete;
  [[nodiscard]] void* handle() const { return handle_; }

 private:
  int device_;
  void* handle_ = nullptr;
};

/// Tests of the public API on the recording driver: each begins with a fresh machine, has to give back all
/// that it makes, to leave the thread without a context, and to wait for no stream that is held.
class OnRecorder : public ::testing::Test {
 protected:
  OnRecorder();
  /// Here, where what tests have as members is gone.
  ~OnRecorder() override;

  static Model load(std::string_view package, int device = 0);
  /// The recorded inputs of a package, on a GPU.
  static std::vector<Tensor> inputs_of(std::string_view package, int device = 0);
  static recording::Alive alive() { return penstock_recording_alive(); }
};

/// Of a session that puts every run on its stream call by call.
inline SessionOptions call_by_call() {
  SessionOptions options;
  options.graphs.mode = GraphMode::Off;
  return options;
}

/// What has been called since this was made, but for what came before `clear`.
class Calls {
 public:
  Calls() { clear(); }
  static void clear() { penstock_recording_clear_log(); }
  static std::vector<std::string> lines();
  /// Those that begin with one of the names.
  static std::vector<std::string> of(std::initializer_list<std::string_view> names);
  /// Those that put work on a stream: launches of kernels and graphs, copies, fills, records
  /// and waits.
  static std::vector<std::string> work();
};

/// "stream#3 green#1 (32 SMs)": how the log names a stream.
std::string log_name(StreamView stream);

/// Expects that all the work is on the stream, and that there is some.
void expect_all_on(StreamView stream, const std::vector<std::string>& work);

/// The error that `work` throws. Fails the test where it throws none.
template <class Work>
Error error_of(Work&& work) {
  try {
    work();
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << "nothing was thrown";
  return {ErrorCode::Internal, "nothing"};
}

/// The context that is current on this thread.
void* current_context();

}  // namespace penstock::testing
