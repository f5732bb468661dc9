#include "timed_runs.hpp"

#include <fmt/format.h>

#include <atomic>
#include <exception>
#include <latch>
#include <new>
#include <span>
#include <stdexcept>
#include <thread>
#include <utility>

namespace penstock::cli {
namespace {

template <class... Args>
std::exception_ptr error_of(fmt::format_string<Args...> format, Args&&... args) {
  return std::make_exception_ptr(std::runtime_error(fmt::format(format, std::forward<Args>(args)...)));
}

/// What the threads of one measurement share.
class TimedRuns {
 public:
  TimedRuns(std::vector<TimedSession>& sessions, const std::vector<TensorView>& inputs, const RunGoal& goal)
      : sessions_(sessions),
        inputs_(inputs),
        goal_(goal),
        samples_(sessions.size()),
        errors_(sessions.size()),
        ready_(static_cast<std::ptrdiff_t>(sessions.size())) {}

  std::vector<std::vector<Sample>> run() {
    std::vector<std::thread> threads;
    threads.reserve(sessions_.size());
    for (std::size_t i = 0; i < sessions_.size(); ++i) {
      try {
        threads.emplace_back([this, i] { work(i); });
      } catch (const std::exception& error) {
        // Those that wait for this one and the next ones must not wait forever.
        fail(i,
             error_of("no thread for session {} of {} can be had ({}): give fewer --sessions, or more memory",
                      i + 1, sessions_.size(), error.what()));
        ready_.count_down(static_cast<std::ptrdiff_t>(sessions_.size() - i));
        break;
      }
    }
    for (std::thread& thread : threads) thread.join();
    for (const std::exception_ptr& error : errors_) {
      if (error != nullptr) std::rethrow_exception(error);
    }
    return std::move(samples_);
  }

 private:
  void fail(std::size_t i, std::exception_ptr error) noexcept {
    errors_[i] = std::move(error);
    stop_ = true;
  }

  /// Does a part of the work of session `i`; an error ends the work of all.
  template <class Part>
  void guard(std::size_t i, Part&& part) noexcept {
    try {
      part();
    } catch (const std::bad_alloc&) {
      // A session says what memory of its own is for.
      fail(i, no_room_);
    } catch (...) {
      fail(i, std::current_exception());
    }
  }

  void work(std::size_t i) noexcept {
    guard(i, [&] {
      samples_[i].reserve(std::size_t{1} << 16);
      const std::int64_t end = now_ns() + static_cast<std::int64_t>(goal_.warm_up_ms * 1e6);
      while (now_ns() < end) sessions_[i].run(inputs_);
    });
    ready_.arrive_and_wait();
    guard(i, [&] { run_timed(sessions_[i], samples_[i]); });
  }

  void run_timed(TimedSession& session, std::vector<Sample>& samples) {
    const std::int64_t begin = now_ns();
    std::int64_t end = begin;
    std::int64_t count = 0;
    while ((count < goal_.iterations || end - begin < goal_.nanoseconds) &&
           !stop_.load(std::memory_order_relaxed)) {
      samples.push_back(session.run(inputs_));
      end = samples.back().end_ns;
      ++count;
    }
  }

  std::span<TimedSession> sessions_;
  const std::vector<TensorView>& inputs_;
  RunGoal goal_;
  std::vector<std::vector<Sample>> samples_;
  std::vector<std::exception_ptr> errors_;
  /// Made before memory is short.
  std::exception_ptr no_room_ =
      error_of("out of memory for the times of the runs: give fewer --iterations or a shorter --duration");
  std::latch ready_;
  std::atomic<bool> stop_{false};
};

}  // namespace

TimedSession::TimedSession(Session session, std::optional<StreamView> stream) : session_(std::move(session)) {
  if (!stream) return;
  const EventOptions timing{.device = stream->device().index, .timing = true};
  device_.emplace(OnStream{*stream, Event::create(timing), Event::create(timing)});
}

Sample TimedSession::run(const std::vector<TensorView>& inputs) {
  Sample sample;
  if (!device_) {
    sample.begin_ns = now_ns();
    session_.run_borrowed(inputs);
    sample.end_ns = now_ns();
    return sample;
  }
  device_->before.record(device_->stream);
  sample.begin_ns = now_ns();
  session_.enqueue_borrowed(inputs, device_->stream);
  sample.device.enqueue_ns = now_ns() - sample.begin_ns;
  device_->behind.record(device_->stream);
  device_->behind.synchronize();
  sample.end_ns = now_ns();
  sample.device.replayed = session_.last_run().replayed;
  const double milliseconds = Event::milliseconds_between(device_->before, device_->behind);
  sample.device.gpu_ns = static_cast<std::int64_t>(milliseconds * 1e6);
  return sample;
}

std::vector<std::vector<Sample>> run_sessions(std::vector<TimedSession>& sessions,
                                              const std::vector<TensorView>& inputs, const RunGoal& goal) {
  return TimedRuns(sessions, inputs, goal).run();
}

}  // namespace penstock::cli
