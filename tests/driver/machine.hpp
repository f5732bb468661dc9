#pragma once

#include "cuda/abi.hpp"
#include "entries.hpp"
#include "nodes.hpp"
#include "recording_driver.hpp"

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

// What the recording driver knows. One machine a process, under one lock.
namespace penstock::recording {

struct Stream;
struct Capture;

struct Context {
  unsigned id = 0;  ///< Of a green context; a primary one has its device's.
  int device = 0;
  bool green = false;
  bool other = false;     ///< One of those that programs make beside the primary one.
  unsigned retained = 0;  ///< Primary contexts.
  SmSet sms;
  Stream* legacy = nullptr;
  std::map<std::thread::id, Stream*> per_thread;
};

struct Green {
  Context* context = nullptr;
};

/// Work that a stream has yet to do.
struct Operation {
  enum class Kind { Work, Graph, Mark };
  Kind kind = Kind::Mark;
  std::uint64_t number = 0;
  std::function<bool()> ready = {};  ///< Empty: always.
  std::function<void()> act = {};    ///< Empty: nothing but its place in the order.
};

struct Stream {
  enum class Kind { Created, Legacy, PerThread };
  unsigned id = 0;
  Kind kind = Kind::Created;
  Context* context = nullptr;
  unsigned flags = 0;
  int priority = 0;
  bool held = false;
  bool destroyed = false;      ///< Its work goes on.
  bool ends_in_graph = false;  ///< Nothing but events came after the last one.
  std::deque<Operation> queue;
  std::shared_ptr<Capture> capture;
};

/// What an event stands for since it was last recorded.
struct Record {
  bool done = false;
  double milliseconds = 0;
  unsigned stream = 0;
  std::shared_ptr<Capture> capture;  ///< Recorded within one.
  std::set<Stream*> covers;          ///< Streams whose captured work it comes after.
};

struct Event {
  unsigned id = 0;
  int device = 0;
  unsigned flags = 0;
  std::shared_ptr<Record> record;
};

struct Capture {
  Stream* origin = nullptr;
  int mode = kCaptureGlobal;
  std::thread::id thread;
  bool invalidated = false;
  std::set<Stream*> unjoined;
  std::map<Stream*, std::set<Stream*>> covers;
  unsigned long long id = 0;
  std::unique_ptr<Graph> graph;    ///< Null once it has ended.
  GraphNodeHandle last = nullptr;  ///< What was given as the dependency.
  bool loose = false;              ///< A node was added that what is captured next does not depend on.
};

struct Module {
  int device = 0;
  bool any_name = false;  ///< Of an image that could not be read.
  std::map<std::string, std::shared_ptr<const Layout>> kernels;
  std::map<std::string, Function*> functions;  ///< Those that were asked for.
};

struct Function {
  Module* module = nullptr;
  std::string name;
  std::shared_ptr<const Layout> layout;  ///< Null where the image does not tell it.
};

struct Memory {
  enum class Kind { Device, Host, Managed, Registered };
  Kind kind = Kind::Device;
  int device = 0;
  Context* context = nullptr;
  std::size_t bytes = 0;
  bool foreign = false;
};

struct Description {
  int device = 0;
  SmSet sms;
};

/// Thrown within a call; its result.
struct Failure {
  Result result;
};

class State {
 public:
  static State& get();

  void reset(const Machine& machine);

  // Handles. Each throws Failure for one that is not alive.
  Context& context_of(ContextHandle handle);
  Context& current();
  Context& primary(int device);
  Green& green_of(GreenContextHandle handle);
  /// Default streams are those of the current context.
  Stream& stream_of(StreamHandle handle);
  Event& event_of(EventHandle handle);
  Function& function_of(FunctionHandle handle);
  /// Also one that is being captured.
  Graph& graph_of(GraphHandle handle);
  Node& node_of(GraphNodeHandle handle);
  Node& node_of(GraphNodeHandle handle, GraphNodeType type);
  Stream& new_stream(Context& context, Stream::Kind kind, unsigned flags, int priority);

  // Names in the log.
  [[nodiscard]] std::string name_of(const Context& context) const;
  [[nodiscard]] std::string name_of(const Stream& stream) const;
  /// A number for those who have no handles.
  [[nodiscard]] unsigned number_of(const Context& context) const;
  void log(const std::string& line);
  void violate(const std::string& line);

  /// Puts work on a stream, or into its capture.
  void submit(Stream& stream, Node node);
  /// Puts on a stream what is not captured.
  void put(Stream& stream, const std::string& text, Operation operation);
  /// Does the work itself.
  void perform(const Node& node);
  void replay(const Program& program);
  /// False where a copy or a fill would touch memory that is not allocated.
  bool has_memory(const Node& node);
  /// Does all that can be done.
  void run();
  /// Lets all streams that are held go on.
  void let_all_go();
  /// Throws Failure, and notes the violation, where the stream has work that cannot be done; ends its
  /// capture, where there is one.
  void wait_for(Stream& stream, const char* call);
  /// The same for what calls wait for that give back what work may use. As measured on an H200: not for a
  /// graph that is alone on a green context's stream.
  void wait_for_device(int device, const char* call);
  /// The same for what synchronizing a context waits for. As measured: all captures on its device end by it,
  /// in whatever mode they and the thread are.
  void wait_for_context(const Context& context, const char* call);

  // Faults.
  Result count_call(const char* name);
  void require_sound(int device) const;
  /// Throws Failure, and ends the captures, where there are some that what is called may not be called
  /// during: those of this thread, and those of others that are global; none where the thread's mode is
  /// relaxed.
  void require_no_capture();

  /// The allocation that holds the address, and where it begins.
  std::pair<const std::uintptr_t, Memory>* find_memory(std::uintptr_t address);
  std::size_t device_bytes(int device) const;

  Machine machine;
  bool initialized = false;
  std::map<int, Result> broken;
  std::map<int, std::unique_ptr<Context>> primaries;
  std::map<void*, std::unique_ptr<Green>> greens;
  std::map<void*, std::unique_ptr<Context>> green_contexts;
  std::vector<std::unique_ptr<Context>> other_contexts;
  std::unique_ptr<Green> last_green;  ///< Destroyed last.
  std::map<void*, std::unique_ptr<Stream>> streams;
  std::set<void*> detached;  ///< Streams that outlived their green contexts.
  std::vector<std::unique_ptr<Stream>> ended;
  std::map<void*, std::unique_ptr<Event>> events;
  std::map<void*, std::unique_ptr<Module>> modules;
  std::map<void*, std::unique_ptr<Function>> functions;
  std::map<void*, std::unique_ptr<Graph>> graphs;
  std::map<void*, std::unique_ptr<Executable>> executables;
  std::map<void*, std::weak_ptr<Graph>> inner_graphs;
  std::map<std::string, CapturedAs> captured_as;       ///< By kernel or call.
  std::map<void*, UserObjects> user_objects;           ///< References that the user has.
  std::map<std::string, KernelAction> kernel_actions;  ///< By kernel; of "" for any.
  std::vector<std::unique_ptr<Description>> descriptions;
  std::map<std::uintptr_t, Memory> memory;
  std::vector<Fault> faults;
  std::vector<unsigned> fault_calls;
  unsigned calls = 0;
  unsigned next_green = 1, next_stream = 1, next_event = 1, next_graph = 1;
  std::uint64_t next_operation = 1, next_split = 1, next_capture = 1;
  double clock_ms = 0;   ///< Of all devices: what is done on a stream takes a microsecond,
  double kernel_ms = 0;  ///< and a kernel this much more.
  std::string log_text, violation_text, log_file;
  std::recursive_mutex mutex;
  bool ends_waits = false;  ///< What is waited for comes, in place of a violation.
  Listener listener = nullptr;
  unsigned generation = 0;  ///< Resets so far: contexts of threads from before are void.

 private:
  bool step(Stream& stream);
  void do_all();
  /// As a test wants the node to be captured.
  void change_captured(Node& node);
  void run_kernel(const Node& node);
  void require_idle(Stream& stream, const char* call);
  void wait_unless_graph(Stream& stream, const char* call);
  void check_implicit_order(Stream& stream) const;
  [[nodiscard]] bool comes_first(const Stream& stream, std::uint64_t number) const;
};

/// The contexts that this thread has made current.
std::vector<Context*>& context_stack();

/// Throws Failure where the numbers are none that a kernel can be launched with.
Launch make_launch(Function& function, std::array<unsigned, 3> grid, std::array<unsigned, 3> block,
                   unsigned shared_bytes);
/// Copies parameters, as cuLaunchKernel takes them.
void add_parameters(Launch& launch, void** parameters, void** extra);
/// What says as `extra` that parameters are in one buffer.
std::array<void*, 5> packed_extra(void* buffer, std::size_t* bytes);

/// What all entry points go through: the lock, the count of calls, faults, failures.
/// `releases`: does its work also where a fault is to be answered.
template <class Body>
Result call(const char* name, Body&& body, bool releases = false) noexcept {
  State& state = State::get();
  const std::lock_guard lock(state.mutex);
  if (in_callback()) {
    constexpr Result kNotPermitted = 800;
    state.violate(std::string(name) + " from a function that the driver called");
    return kNotPermitted;
  }
  const Result fault = state.count_call(name);
  if (fault != kSuccess && !releases) return fault;
  try {
    const Result result = body(state);
    state.run();
    return fault != kSuccess ? fault : result;
  } catch (const Failure& failure) {
    return fault != kSuccess ? fault : failure.result;
  } catch (...) {
    return kUnknown;
  }
}

}  // namespace penstock::recording
