#pragma once

namespace penstock::shim {

/// Registers a destructor of a thread-local object of a model library, in the place of the C++
/// runtime's function of that purpose, which would keep the library mapped until the thread ends.
/// Runs at the thread's end, or at `run_thread_exits`, whichever comes first; for the main thread only at
/// the latter, as static objects that hold models are destroyed after the thread's own.
/// Thread: thread-safe. Errors: none; 0, or -1 without memory, as the ABI has it.
int register_thread_exit(void (*destructor)(void*), void* object, void* library) noexcept;

/// Runs and forgets what is registered for addresses in [begin, end), on every thread: the library
/// that lies there is about to be unmapped, and no thread is inside of it.
void run_thread_exits(const void* begin, const void* end) noexcept;

}  // namespace penstock::shim
