#include "machine.hpp"

using namespace penstock::recording;

namespace penstock::recording {

UserObject::UserObject(HostFunction destroy, void* data)
    : destroy_(destroy), data_(data), generation_(State::get().generation) {}

UserObject::~UserObject() {
  // What a reset takes away is not given back.
  if (generation_ != State::get().generation) return;
  const CallbackScope scope;
  destroy_(data_);
}

}  // namespace penstock::recording

namespace {

UserObjects& references_of(State& state, UserObjectHandle handle, unsigned count) {
  const auto found = state.user_objects.find(handle);
  if (found == state.user_objects.end() || count == 0) throw Failure{kInvalidValue};
  return found->second;
}

/// Takes references of the caller.
void take(State& state, UserObjectHandle handle, unsigned count) {
  UserObjects& references = references_of(state, handle, count);
  if (count > references.size()) throw Failure{kInvalidValue};
  references.resize(references.size() - count);
  if (references.empty()) state.user_objects.erase(handle);
}

}  // namespace

PENSTOCK_DRIVER_API cuUserObjectCreate(UserObjectHandle* object, void* data, HostFunction destroy,
                                       unsigned references, unsigned flags) {
  return call("cuUserObjectCreate", [&](State& state) -> Result {
    if (flags != kUserObjectNoDestructorSync || destroy == nullptr || references == 0) return kInvalidValue;
    const auto made = std::make_shared<UserObject>(destroy, data);
    state.log("cuUserObjectCreate");
    state.user_objects.emplace(made.get(), UserObjects(references, made));
    *object = reinterpret_cast<UserObjectHandle>(made.get());
    return kSuccess;
  });
}

PENSTOCK_DRIVER_API cuUserObjectRelease(UserObjectHandle handle, unsigned references) {
  const auto body = [&](State& state) -> Result {
    state.log("cuUserObjectRelease");
    take(state, handle, references);
    return kSuccess;
  };
  return call("cuUserObjectRelease", body, true);
}

PENSTOCK_DRIVER_API cuGraphRetainUserObject(GraphHandle graph_handle, UserObjectHandle handle,
                                            unsigned references, unsigned flags) {
  return call("cuGraphRetainUserObject", [&](State& state) -> Result {
    Graph& graph = state.graph_of(graph_handle);
    if (flags > kGraphUserObjectMove) return kInvalidValue;
    const std::shared_ptr<UserObject> object = references_of(state, handle, references).front();
    if (flags == kGraphUserObjectMove) take(state, handle, references);
    graph.objects.insert(graph.objects.end(), references, object);
    state.log("cuGraphRetainUserObject graph#" + std::to_string(graph.id));
    return kSuccess;
  });
}
