#pragma once

#include "cuda/abi.hpp"
#include "images.hpp"

#include <array>
#include <bitset>
#include <cstddef>
#include <list>
#include <memory>
#include <string>
#include <vector>

// Work that streams do and graphs hold.
namespace penstock::recording {

using namespace penstock::cuda;

inline constexpr std::size_t kMostSms = 192;
using SmSet = std::bitset<kMostSms>;

struct Context;
struct Function;
struct Graph;
struct Program;

/// A launch of a kernel. Knows all that it needs when the module is unloaded.
struct Launch {
  Function* function = nullptr;
  std::string kernel = {};
  std::array<unsigned, 3> grid{};
  std::array<unsigned, 3> block{};
  unsigned shared_bytes = 0;
  std::shared_ptr<const Layout> layout = {};  ///< Null where the image does not tell it.
  std::vector<std::byte> parameters = {};     ///< As the kernel finds them; empty without a layout.
  bool packed = false;                        ///< They came as one buffer.
};

struct Node {
  GraphNodeType type = kGraphEmpty;
  std::string call = {};         ///< "cuLaunchKernel"
  const void* stream = nullptr;  ///< That it was put on; only to tell it from others.
  // Of that stream.
  Context* context = nullptr;
  std::string resource = {};
  SmSet sms = {};
  // Each for its type.
  Launch launch = {};
  MemcpyNodeParams copy = {};
  MemsetNodeParams fill = {};
  HostFunction host = nullptr;
  void* host_data = nullptr;
  std::shared_ptr<const Program> child = {};
  std::shared_ptr<Graph> inner = {};  ///< The child as a graph; made when it is asked for.

  std::shared_ptr<const void> keeps = {};  ///< What the work reads and nobody else holds.

  // What is pointed to where parameters are asked for.
  std::vector<void*> pointers = {};
  std::size_t packed_bytes = 0;
  std::array<void*, 5> extra{};
};

/// "cuLaunchKernel add_kernel grid 4x1x1"
std::string describe(const Node& node);
std::string describe(const Program& program);

/// Data whose destructor runs when nothing holds it any more.
class UserObject {
 public:
  UserObject(HostFunction destroy, void* data);
  ~UserObject();
  UserObject(const UserObject&) = delete;
  UserObject& operator=(const UserObject&) = delete;

 private:
  HostFunction destroy_;
  void* data_;
  unsigned generation_;
};
/// One is one reference.
using UserObjects = std::vector<std::shared_ptr<UserObject>>;

/// What was captured, in the order of the calls, which keeps all that depends on another behind it.
struct Graph {
  unsigned id = 0;
  std::list<Node> nodes;  ///< Handles point to them.
  UserObjects objects;
};

/// A copy of a graph that can be launched.
struct Program {
  unsigned graph = 0;
  std::vector<Node> nodes;
  std::vector<const Node*> sources;  ///< Of each node that of the graph.
  UserObjects objects;
};

struct Executable {
  std::shared_ptr<Program> program;    ///< Also held by launches that are yet to be done.
  std::shared_ptr<bool> last_is_done;  ///< Null before the first launch.
};

/// Whether this thread is in a function of the user that the driver calls.
bool& in_callback();

/// In one until the end of the scope: calls of the driver fail meanwhile.
class CallbackScope {
 public:
  CallbackScope();
  ~CallbackScope();
  CallbackScope(const CallbackScope&) = delete;
  CallbackScope& operator=(const CallbackScope&) = delete;

 private:
  bool before_;
};

}  // namespace penstock::recording
