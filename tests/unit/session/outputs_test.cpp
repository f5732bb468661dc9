#include "session/outputs.hpp"

#include "model/model_impl.hpp"
#include "tensor/memory_pool.hpp"

#include <penstock/error.hpp>

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace penstock::session {
namespace {

using Sizes = std::vector<std::int64_t>;

class Outputs : public ::testing::Test {
 protected:
  Outputs() { std::iota(memory_.begin(), memory_.end(), 0.0F); }

  TensorView view(std::size_t offset, const Sizes& sizes) {
    return TensorView(memory_.data() + offset, DType::Float32, sizes);
  }
  TensorView view(std::size_t offset, const Sizes& sizes, const Sizes& strides, std::size_t bytes = 0) {
    return TensorView(memory_.data() + offset, DType::Float32, sizes, strides, bytes);
  }

  tensor::TensorObjectPtr make_any() {
    const tensor::StorageReference storage(pool_.allocate(4));
    return tensor::TensorObjectPtr(
        tensor::make_tensor(storage.get(), {.dtype = DType::Float32, .sizes = {}, .strides = {}}));
  }

  /// Of results that are tensors: they are only told from null.
  std::vector<AtenTensorHandle> handles(std::size_t count) {
    return std::vector<AtenTensorHandle>(count, any_.get());
  }

  template <class Work>
  static void expect_refused(const std::string& part, Work&& work) {
    try {
      work();
      ADD_FAILURE() << "was accepted, but should be refused: " << part;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::InvalidArgument);
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
      EXPECT_NE(std::string(error.what()).find("model.pt2"), std::string::npos) << error.what();
    }
  }

  static TensorView shown(const tensor::TensorObject& result) {
    TensorView seen;
    show(result, seen, "model.pt2");
    return seen;
  }

  std::array<float, 64> memory_{};
  tensor::MemoryPool pool_;
  tensor::TensorObjectPtr any_ = make_any();
};

TEST_F(Outputs, OfTheRightCountAreTaken) {
  const std::vector<TensorView> inputs{view(0, {8})};
  EXPECT_NO_THROW(check_targets({}, inputs, {.count = 2, .device = {}}, "model.pt2"));
  const std::vector<TensorView> targets{view(8, {8}), view(16, {8})};
  EXPECT_NO_THROW(check_targets(targets, inputs, {.count = 2, .device = {}}, "model.pt2"));
  expect_refused("has 3 outputs, views for 2 were given",
                 [&] { check_targets(targets, inputs, {.count = 3, .device = {}}, "model.pt2"); });
}

TEST_F(Outputs, OfAnotherDeviceAreRefused) {
  const std::vector<TensorView> targets{view(0, {8})};
  expect_refused("cuda:1", [&] {
    check_targets(targets, {}, {.count = 1, .device = {DeviceType::Cuda, 1}}, "model.pt2");
  });
}

TEST_F(Outputs, ThatTouchAreTakenAndThatOverlapAreNot) {
  const std::vector<TensorView> inputs{view(0, {8})};
  const auto check = [&](const TensorView& a, const TensorView& b) {
    check_targets(std::vector{a, b}, inputs, {.count = 2, .device = {}}, "model.pt2");
  };
  EXPECT_NO_THROW(check(view(8, {8}), view(16, {8})));
  expect_refused("out0 and out1 overlap", [&] { check(view(8, {8}), view(15, {8})); });
  expect_refused("out0 and out1 overlap", [&] { check(view(15, {8}), view(8, {8})); });
  expect_refused("out0 and out1 overlap", [&] { check(view(8, {16}), view(12, {2})); });
  expect_refused("out1 overlaps input arg0", [&] { check(view(8, {8}), view(7, {1})); });
  expect_refused("out0 overlaps input arg0", [&] { check(view(0, {8}), view(8, {8})); });
  // What is empty overlaps nothing.
  EXPECT_NO_THROW(check(view(0, {0}), view(8, {0, 4})));
}

TEST_F(Outputs, ThatAreStridedCountAsAllThatTheySpan) {
  const std::vector<TensorView> inputs{view(0, {1})};
  const std::vector<TensorView> targets{view(8, {2, 2}, {16, 1}), view(12, {2})};
  expect_refused("out0 and out1 overlap",
                 [&] { check_targets(targets, inputs, {.count = 2, .device = {}}, "model.pt2"); });
}

TEST_F(Outputs, ThatCannotHoldTheirElementsAreRefused) {
  const auto check = [&](const TensorView& target) {
    check_targets({&target, 1}, {}, {.count = 1, .device = {}}, "model.pt2");
  };
  expect_refused("null address", [&] { check(TensorView(nullptr, DType::Float32, {2})); });
  EXPECT_NO_THROW(check(TensorView(nullptr, DType::Float32, {0})));
  EXPECT_THROW(view(0, {8}, {1}, 31), Error) << "such a view cannot be made";
  EXPECT_NO_THROW(check(view(0, {8}, {1}, 32)));
  expect_refused("cuda:0", [&] {
    check(TensorView(memory_.data(), DType::Float32, {2}, Device{DeviceType::Cuda, 0}));
  });
}

TEST_F(Outputs, WhoseElementsLieOnEachOtherAreRefused) {
  const TensorView target = view(0, {4, 2}, {0, 1});
  expect_refused("out0", [&] { check_targets({&target, 1}, {}, {.count = 1, .device = {}}, "model.pt2"); });
}

TEST_F(Outputs, AreCopiedByElement) {
  std::array<float, 12> target{};
  const std::vector<TensorView> results{view(0, {2, 3}, {1, 2})};
  const std::vector<TensorView> targets{
      TensorView(target.data(), DType::Float32, Sizes{2, 3}, Sizes{6, 2}, 0)};
  copy_to_targets(results, handles(1), targets, "model.pt2");
  EXPECT_EQ(target, (std::array<float, 12>{0, 0, 2, 0, 4, 0, 1, 0, 3, 0, 5, 0}));
}

TEST_F(Outputs, ThatAreNoneLeaveTheirTargetsAlone) {
  std::array<float, 4> target{1, 1, 1, 1};
  const std::vector<AtenTensorHandle> none{nullptr};
  const std::vector<TensorView> targets{TensorView(target.data(), DType::Float32, {2, 2})};
  copy_to_targets(std::vector<TensorView>(1), none, targets, "model.pt2");
  EXPECT_EQ(target, (std::array<float, 4>{1, 1, 1, 1}));
  EXPECT_FALSE(tensors_over(targets, none)[0].defined());
  EXPECT_EQ(tensors_over(targets, handles(1))[0].view().data(), target.data());
}

TEST_F(Outputs, OfOtherSizesOrDtypesLeaveAllTargetsAlone) {
  std::array<float, 8> first{};
  std::array<double, 8> second{};
  const std::vector<TensorView> results{view(1, {4}), view(5, {4})};
  const auto copy = [&](const TensorView& last) {
    copy_to_targets(results, handles(2), std::vector{TensorView(first.data(), DType::Float32, {4}), last},
                    "model.pt2");
  };
  expect_refused("out1 is float32[4], the view for it float64[4]",
                 [&] { copy(TensorView(second.data(), DType::Float64, {4})); });
  expect_refused("float32[5]", [&] { copy(TensorView(second.data(), DType::Float32, {5})); });
  expect_refused("float32[4, 1]", [&] { copy(TensorView(second.data(), DType::Float32, {4, 1})); });
  EXPECT_EQ(first, (std::array<float, 8>{}));
}

TEST_F(Outputs, SeeTheRestOfTheirStorage) {
  tensor::MemoryPool pool;
  tensor::Storage* storage = pool.allocate(64);
  const Sizes sizes{2, 3};
  const Sizes strides{3, 1};
  const tensor::TensorObjectPtr made(tensor::make_tensor(
      storage, {.dtype = DType::Float32, .sizes = sizes, .strides = strides, .storage_offset = 4}));
  storage->drop();
  const TensorView seen = shown(*made);
  EXPECT_EQ(seen.data(), static_cast<std::byte*>(made->storage->data) + 16);
  EXPECT_EQ(seen.storage_bytes(), 48u);
  EXPECT_EQ(to_string(seen), "float32[2, 3]");
}

TEST_F(Outputs, KeepTheModelWhereTheyAreItsWeights) {
  const auto model_lives_with = [&](bool of_model) {
    auto model = std::make_shared<Model::Impl>();
    const std::weak_ptr<Model::Impl> watched = model;
    tensor::Storage* storage = tensor::borrow_storage(memory_.data(), sizeof memory_, Device{});
    storage->of_model = of_model;
    const Sizes sizes{2, 3};
    const Sizes strides{3, 1};
    tensor::TensorObjectPtr made(tensor::make_tensor(storage, {.sizes = sizes, .strides = strides}));
    storage->drop();
    const TensorView view = shown(*made);
    std::optional<Tensor> kept = keep(std::move(made), view, {.model = model, .version = nullptr});
    EXPECT_EQ(kept->data_as<float>(), memory_.data());
    model.reset();
    const bool lives = !watched.expired();
    kept.reset();
    EXPECT_TRUE(watched.expired());
    return lives;
  };
  EXPECT_TRUE(model_lives_with(true));
  EXPECT_FALSE(model_lives_with(false));
}

TEST_F(Outputs, ThatAreUndefinedOrTooDeepAreRefused) {
  const std::int64_t none = 0;
  const std::int64_t one = 1;
  const tensor::TensorObjectPtr undefined(
      tensor::make_tensor(nullptr, {.sizes = {&none, 1}, .strides = {&one, 1}}));
  EXPECT_THROW(shown(*undefined), Error);
  const Sizes ones(kMaxRank + 1, 1);
  tensor::Storage* storage = tensor::borrow_storage(memory_.data(), sizeof memory_, Device{});
  const tensor::TensorObjectPtr deep(tensor::make_tensor(storage, {.sizes = ones, .strides = ones}));
  storage->drop();
  try {
    shown(*deep);
    FAIL() << "was accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::Unsupported);
  }
}

}  // namespace
}  // namespace penstock::session
