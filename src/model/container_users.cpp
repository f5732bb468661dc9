#include "cuda/used_on_device.hpp"
#include "model/container.hpp"

#include <algorithm>
#include <utility>

// Who uses a version of the weights, and when it goes.
namespace penstock::model {
namespace {

struct ContainerOnDevice final : cuda::UsedOnDevice {
  template <class... Parts>
  explicit ContainerOnDevice(Parts&&... parts) : container(std::forward<Parts>(parts)...) {}
  [[nodiscard]] bool is_done() const noexcept override { return !container.is_used(); }
  Container container;
};

template <class... Parts>
std::shared_ptr<Container> share(bool on_device, Parts&&... parts) {
  if (!on_device) return std::make_shared<Container>(std::forward<Parts>(parts)...);
  const std::shared_ptr<ContainerOnDevice> made(new ContainerOnDevice(std::forward<Parts>(parts)...),
                                                &cuda::UsedOnDevice::put_by);
  return {made, &made->container};
}

}  // namespace

void Container::note_user(const std::shared_ptr<const cuda::RunEnd>& user) {
  const std::lock_guard lock(users_mutex_);
  std::erase_if(users_, [](const auto& each) { return each.expired(); });
  users_.push_back(user);
}

bool Container::is_used() const noexcept {
  const std::lock_guard lock(users_mutex_);
  return std::ranges::any_of(users_, [](const auto& each) {
    const auto user = each.lock();
    return user != nullptr && !user->is_done();
  });
}

std::shared_ptr<Container> make_container(std::shared_ptr<const LoadedLibrary> library, Place place,
                                          std::string what, const WeightSource& source) {
  const bool on_device = place.cuda != nullptr;
  return share(on_device, std::move(library), std::move(place), std::move(what), source);
}

std::shared_ptr<Container> make_container(Container::RunFunction* run, Container::Counts counts, Place place,
                                          std::string what) {
  const bool on_device = place.cuda != nullptr;
  return share(on_device, run, counts, std::move(place), std::move(what));
}

}  // namespace penstock::model
