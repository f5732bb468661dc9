#pragma once

namespace penstock::cuda {

/// What work on a device uses: a graph of a caller, or runs of sessions. It is let go of where the driver
/// allows no call (it tells of a graph's end on a thread of its own), within a capture, or where nothing may
/// be waited for: so it goes later.
class UsedOnDevice {
 public:
  UsedOnDevice() = default;
  virtual ~UsedOnDevice() = default;
  UsedOnDevice(const UsedOnDevice&) = delete;
  UsedOnDevice& operator=(const UsedOnDevice&) = delete;

  /// For the pointer that shares it: with the last share it is put by until `let_go_of_used`. Errors: none.
  static void put_by(UsedOnDevice* used) noexcept;

  /// Whether all work that uses it is done. Errors: none.
  [[nodiscard]] virtual bool is_done() const noexcept { return true; }

 private:
  friend void let_go_of_used() noexcept;
  UsedOnDevice* next_ = nullptr;
};

/// Lets go of what was put by and is no longer used. May wait for work of the device, as what is let go of
/// may have memory there. Thread: thread-safe. Errors: none.
void let_go_of_used() noexcept;

}  // namespace penstock::cuda
