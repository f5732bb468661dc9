#include "cuda/used_on_device.hpp"
#include "model/container.hpp"

#include <algorithm>
#include <utility>

// Who uses a version of the weights, and when it goes.
namespace penstock::model {

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
  struct OnDevice final : cuda::UsedOnDevice {
    OnDevice(std::shared_ptr<const LoadedLibrary> library, Place place, std::string what,
             const WeightSource& source)
        : container(std::move(library), std::move(place), std::move(what), source) {}
    [[nodiscard]] bool is_done() const noexcept override { return !container.is_used(); }
    Container container;
  };
  if (place.cuda == nullptr) {
    return std::make_shared<Container>(std::move(library), std::move(place), std::move(what), source);
  }
  const std::shared_ptr<OnDevice> made(
      new OnDevice(std::move(library), std::move(place), std::move(what), source),
      &cuda::UsedOnDevice::put_by);
  return {made, &made->container};
}

}  // namespace penstock::model
