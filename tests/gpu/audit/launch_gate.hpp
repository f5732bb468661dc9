#pragma once

#include <functional>
#include <thread>

namespace penstock::testing {

/// Is called around each launch of a kernel that this thread makes, those within libraries included: CUPTI
/// calls it. What it does itself goes by unnoticed.
class LaunchGate {
 public:
  using Step = std::function<void()>;
  /// An audit of the process has to have opened CUPTI. Throws std::runtime_error where it cannot be used.
  LaunchGate(Step before, Step after);
  ~LaunchGate();
  LaunchGate(const LaunchGate&) = delete;
  LaunchGate& operator=(const LaunchGate&) = delete;

  [[nodiscard]] unsigned launches() const { return launches_; }

 private:
  static void called(void* user, int domain, unsigned number, const void* data);
  void enter();
  void leave();
  void take(const Step& step);

  Step before_;
  Step after_;
  std::thread::id thread_ = std::this_thread::get_id();
  void* subscriber_ = nullptr;
  unsigned launches_ = 0;
  unsigned depth_ = 0;  ///< The runtime's call has the driver's within it.
  bool busy_ = false;
};

}  // namespace penstock::testing
