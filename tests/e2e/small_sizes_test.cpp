#include "support.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <numeric>

// Inputs of which a model would touch more than they have: code is generated for sizes of 2 and more, and
// packages of older versions of torch leave open which size is meant. Memory that nobody may touch lies
// right before and behind the inputs here.
namespace penstock::testing {
namespace {

/// Bytes at the very start or end of memory with nothing before and behind.
class Fenced {
 public:
  enum class At { Start, End };

  Fenced(std::size_t bytes, At at) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    middle_ = (bytes + page - 1) / page * page;
    length_ = middle_ + 2 * page;
    whole_ = mmap(nullptr, length_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (whole_ == MAP_FAILED) throw std::bad_alloc();
    inside_ = static_cast<std::byte*>(whole_) + page;
    if (mprotect(inside_, middle_, PROT_READ | PROT_WRITE) != 0) throw std::bad_alloc();
    data_ = reinterpret_cast<float*>(at == At::Start ? inside_ : inside_ + middle_ - bytes);
    std::iota(data_, data_ + bytes / sizeof(float), 1.0F);
  }
  ~Fenced() { munmap(whole_, length_); }
  Fenced(const Fenced&) = delete;
  Fenced& operator=(const Fenced&) = delete;

  [[nodiscard]] float* data() const { return data_; }
  void forbid_writing() const { ASSERT_EQ(mprotect(inside_, middle_, PROT_READ), 0); }

 private:
  void* whole_ = nullptr;
  std::byte* inside_ = nullptr;
  std::size_t middle_ = 0;
  std::size_t length_ = 0;
  float* data_ = nullptr;
};

constexpr std::int64_t kColumns = 8;

TEST(SmallSizes, NeverLetAModelReadPastItsInputs) {
  Session session(load_model("two_rows"));
  for (const Fenced::At at : {Fenced::At::Start, Fenced::At::End}) {
    for (const std::int64_t rows : {1, 0, 2, 1}) {
      const std::size_t bytes = static_cast<std::size_t>(rows * kColumns) * sizeof(float);
      const Fenced first(bytes, at);
      const Fenced second(bytes, at);
      const std::vector<TensorView> inputs{{first.data(), DType::Float32, {rows, kColumns}},
                                           {second.data(), DType::Float32, {rows, kColumns}}};
      const std::vector<Tensor> results = session.run(inputs);
      ASSERT_EQ(results.size(), 5U);
      EXPECT_EQ(sizes_of(results[0].view()), (std::vector<std::int64_t>{kColumns}));
      // Rows that are there are themselves.
      if (rows != 2) continue;
      EXPECT_EQ(results[0].data_as<float>()[0], 9.0F * 3);
      EXPECT_EQ(results[1].data_as<float>()[0], 0.0F);
    }
  }
}

TEST(SmallSizes, ChangeInputsInPlaceAndReturnThem) {
  Session session(load_model("two_rows"));
  const Fenced first(kColumns * sizeof(float), Fenced::At::End);
  const Fenced second(kColumns * sizeof(float), Fenced::At::End);
  // What the model does not change is not written to.
  first.forbid_writing();
  const std::vector<TensorView> inputs{{first.data(), DType::Float32, {1, kColumns}},
                                       {second.data(), DType::Float32, {1, kColumns}}};
  for (int time = 1; time <= 2; ++time) {
    const std::vector<Tensor> results = session.run(inputs);
    EXPECT_EQ(results[4].view().data(), second.data());
    for (std::int64_t i = 0; i < kColumns; ++i) EXPECT_EQ(second.data()[i], static_cast<float>(i + 1 + time));
  }
  const std::span<const TensorView> borrowed = session.run_borrowed(inputs);
  EXPECT_EQ(borrowed[4].data(), second.data());
  EXPECT_EQ(second.data()[0], 4.0F);
}

TEST(SmallSizes, ChangeATensorThatIsGivenTwice) {
  Session session(load_model("two_rows"));
  const Fenced both(kColumns * sizeof(float), Fenced::At::End);
  const TensorView view(both.data(), DType::Float32, {1, kColumns});
  const std::vector<TensorView> inputs{view, view};
  const std::vector<Tensor> results = session.run(inputs);
  EXPECT_EQ(both.data()[0], 2.0F);
  EXPECT_EQ(results[4].view().data(), both.data());
  EXPECT_GT(session.memory().held_bytes, 0U);
}

TEST(SmallSizes, OfOneRowAnswerAsRowsOfMany) {
  Session session(load_model("two_rows"));
  std::vector<Tensor> many = recorded("two_rows", "inputs");
  const std::vector<Tensor> expected = recorded("two_rows", "outputs");
  const TensorView last(many[1].data_as<float>() + 2 * kColumns, DType::Float32, {1, kColumns});
  const std::vector<TensorView> inputs{{many[0].data_as<float>(), DType::Float32, {1, kColumns}}, last};
  const std::vector<Tensor> results = session.run(inputs);
  const TensorView wanted(expected[4].data_as<float>() + 2 * kColumns, DType::Float32, {1, kColumns});
  const TensorView given = results[4].view();
  expect_same({&given, 1}, {&wanted, 1});
}

TEST(OpenSizes, NeverLetAModelReadPastItsInputs) {
  Session session(load_model("square", "2.9"));
  // The mask is [columns, columns]; that it is as small as the rows is not checked by the library.
  constexpr std::int64_t kRows = 2;
  for (const Fenced::At at : {Fenced::At::Start, Fenced::At::End}) {
    const Fenced x(kRows * kColumns * sizeof(float), at);
    const Fenced mask(kRows * kRows * sizeof(float), at);
    const std::vector<TensorView> inputs{{x.data(), DType::Float32, {kRows, kColumns}},
                                         {mask.data(), DType::Float32, {kRows, kRows}}};
    EXPECT_EQ(sizes_of(session.run(inputs).front().view()), (std::vector<std::int64_t>{kColumns}));
  }
  expect_refused(ErrorCode::InvalidArgument, {"arg1", "dimension 1 is 5"}, [&] {
    const std::vector<Tensor> inputs{ramp({kRows, kColumns}), ramp({kColumns, 5})};
    session.run(views_of(inputs));
  });
}

}  // namespace
}  // namespace penstock::testing
