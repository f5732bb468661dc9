#include "io/tensor_file.hpp"

#include "io_helpers.hpp"

#include <gtest/gtest.h>

#include <sys/stat.h>

#include <array>
#include <cstring>
#include <fstream>

namespace penstock::io {
namespace {

using testing::counting_bytes;
using testing::kData;
using testing::read_file;
using testing::TemporaryFolder;

constexpr std::array kNumpyDTypes{
    DType::Bool,    DType::UInt8,   DType::UInt16,    DType::UInt32, DType::UInt64,
    DType::Int8,    DType::Int16,   DType::Int32,     DType::Int64,  DType::Float16,
    DType::Float32, DType::Float64, DType::Complex64,
};
constexpr std::array kOnlySafetensors{DType::BFloat16,       DType::Float8E4M3FN,   DType::Float8E5M2,
                                      DType::Float8E4M3FNUZ, DType::Float8E5M2FNUZ, DType::Float8E8M0FNU};

NamedTensors with_all(std::span<const DType> dtypes) {
  NamedTensors tensors;
  for (const DType dtype : dtypes) {
    const std::string name(dtype_name(dtype));
    tensors.emplace_back(name, counting_bytes(dtype, {2, 3}));
    tensors.emplace_back(name + " scalar", counting_bytes(dtype, {}));
    tensors.emplace_back(name + " empty", counting_bytes(dtype, {3, 0, 2}));
  }
  return tensors;
}

void expect_same(const NamedTensors& a, const NamedTensors& b) {
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].first, b[i].first);
    EXPECT_EQ(to_string(a[i].second.view()), to_string(b[i].second.view()));
    const auto bytes = bytes_of(a[i].second);
    EXPECT_TRUE(bytes.empty() || std::memcmp(bytes.data(), bytes_of(b[i].second).data(), bytes.size()) == 0)
        << a[i].first;
  }
}

template <class Action>
std::string error_of(ErrorCode code, const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "no error";
  return {};
}

TEST(TensorFile, RoundTripsEveryDtypeThroughNpz) {
  const TemporaryFolder folder;
  NamedTensors tensors = with_all(kNumpyDTypes);
  tensors.emplace_back("complex128", counting_bytes(DType::Complex128, {2}));
  write_tensors(folder / "a.npz", tensors);
  expect_same(read_tensors(folder / "a.npz"), tensors);
}

TEST(TensorFile, RoundTripsEveryDtypeThroughSafetensors) {
  const TemporaryFolder folder;
  NamedTensors tensors = with_all(kNumpyDTypes);
  for (auto& more : with_all(kOnlySafetensors)) tensors.push_back(std::move(more));
  write_tensors(folder / "a.safetensors", tensors);
  expect_same(read_tensors(folder / "a.safetensors"), tensors);
}

TEST(TensorFile, RoundTripsEveryDtypeThroughNpy) {
  const TemporaryFolder folder;
  for (auto& [name, tensor] : with_all(kNumpyDTypes)) {
    write_tensors(folder / "x.npy", {{name, tensor}});
    expect_same(read_tensors(folder / "x.npy"), {{"x", tensor}});
  }
}

TEST(TensorFile, WritesNoTensorsToo) {
  const TemporaryFolder folder;
  for (const char* name : {"a.npz", "a.safetensors"}) {
    write_tensors(folder / name, {});
    EXPECT_TRUE(read_tensors(folder / name).empty()) << name;
  }
}

TEST(TensorFile, WritesTheSameBytesForTheSameTensors) {
  const TemporaryFolder folder;
  for (const std::string extension : {".npz", ".safetensors"}) {
    write_tensors(folder / ("a" + extension), with_all(kNumpyDTypes));
    write_tensors(folder / ("b" + extension), with_all(kNumpyDTypes));
    EXPECT_EQ(read_file(folder / ("a" + extension)), read_file(folder / ("b" + extension)));
  }
  // Time and day of the archive's first entry: midnight of January 1, 1980, and not now.
  EXPECT_EQ(read_file(folder / "a.npz").substr(10, 4), std::string("\0\0\x21\0", 4));
}

TEST(TensorFile, WritesStridedTensorsRowMajor) {
  const TemporaryFolder folder;
  std::array<std::int32_t, 6> memory{0, 1, 2, 3, 4, 5};
  const std::array<std::int64_t, 2> sizes{2, 3};
  const std::array<std::int64_t, 2> strides{1, 2};
  const Tensor transposed =
      Tensor::adopt(TensorView(memory.data(), DType::Int32, sizes, strides, 0), std::make_shared<int>(0));
  for (const char* name : {"a.npz", "a.safetensors", "a.npy"}) {
    write_tensors(folder / name, {{"x", transposed}});
    EXPECT_EQ(testing::values<std::int32_t>(read_tensors(folder / name)[0].second),
              (std::vector<std::int32_t>{0, 2, 4, 1, 3, 5}));
  }
}

TEST(TensorFile, AlignsEveryTensorOfASafetensorsFile) {
  const TemporaryFolder folder;
  write_tensors(folder / "a.safetensors", {{"small", counting_bytes(DType::UInt8, {3})},
                                           {"wide", counting_bytes(DType::Float64, {2})}});
  const std::string bytes = read_file(folder / "a.safetensors");
  EXPECT_NE(bytes.find(R"("small":{"dtype":"U8","shape":[3],"data_offsets":[16,19]})"), std::string::npos);
  EXPECT_EQ(static_cast<unsigned char>(bytes[0]) % 8, 0u);
}

TEST(TensorFile, RefusesFloatsThatNumpyDoesNotHave) {
  const TemporaryFolder folder;
  for (const DType dtype : kOnlySafetensors) {
    for (const char* name : {"a.npz", "a.npy"}) {
      const std::string message = error_of(ErrorCode::InvalidArgument, [&] {
        write_tensors(folder / name, {{"x", counting_bytes(dtype, {2})}});
      });
      EXPECT_NE(message.find("NumPy has no " + std::string(dtype_name(dtype))), std::string::npos) << message;
      EXPECT_NE(message.find(".safetensors"), std::string::npos) << message;
    }
  }
  const std::string message = error_of(ErrorCode::InvalidArgument, [&] {
    write_tensors(folder / "a.safetensors", {{"x", counting_bytes(DType::Complex128, {2})}});
  });
  EXPECT_NE(message.find(".npz"), std::string::npos) << message;
  EXPECT_EQ(folder.files(), 0u);
}

TEST(TensorFile, RefusesWhatCannotBeWrittenAndLeavesNothing) {
  const TemporaryFolder folder;
  const NamedTensors one{{"x", counting_bytes(DType::Int8, {2})}};
  NamedTensors two = one;
  two.emplace_back("y", one[0].second);
  NamedTensors same = one;
  same.push_back(one[0]);
  error_of(ErrorCode::InvalidArgument, [&] { write_tensors(folder / "a.npy", two); });
  error_of(ErrorCode::InvalidArgument, [&] { write_tensors(folder / "a.npy", {}); });
  error_of(ErrorCode::InvalidArgument, [&] { write_tensors(folder / "a.bin", one); });
  error_of(ErrorCode::InvalidArgument, [&] { write_tensors(folder / "a.npz", same); });
  error_of(ErrorCode::InvalidArgument, [&] { write_tensors(folder / "a.npz", {{"x", Tensor()}}); });
  error_of(ErrorCode::InvalidArgument, [&] {
    write_tensors(folder / "a.safetensors", {{"__metadata__", one[0].second}});
  });
  error_of(ErrorCode::InvalidArgument, [&] {
    write_tensors(folder / "a.safetensors", {{"\xff", one[0].second}});
  });
  error_of(ErrorCode::InvalidArgument, [&] {
    write_tensors(folder / "a.npz", {{"\xff\xfe", one[0].second}});
  });
  error_of(ErrorCode::InvalidArgument, [&] {
    write_tensors(folder / "a.npz", {{std::string("a\0b", 3), one[0].second}});
  });
  for (const char* name : {"no/a.npz", "no/a.npy", "no/a.safetensors"}) {
    error_of(ErrorCode::NotFound, [&] { write_tensors(folder / name, one); });
  }
  EXPECT_EQ(folder.files(), 0u);
}

TEST(TensorFile, LeavesTheOldFileWhereTheNewOneFails) {
  const TemporaryFolder folder;
  const NamedTensors good{{"x", counting_bytes(DType::Int8, {2})}};
  for (const char* name : {"a.npz", "a.npy"}) {
    write_tensors(folder / name, good);
    error_of(ErrorCode::InvalidArgument, [&] {
      write_tensors(folder / name, {{"x", counting_bytes(DType::BFloat16, {2})}});
    });
    EXPECT_EQ(read_tensors(folder / name).size(), 1u);
  }
  EXPECT_EQ(folder.files(), 2u);
}

TEST(TensorFile, RefusesAFolderAsTheFile) {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "a.npz");
  error_of(ErrorCode::InvalidArgument, [&] {
    write_tensors(folder / "a.npz", {{"x", counting_bytes(DType::Int8, {2})}});
  });
  error_of(ErrorCode::InvalidArgument, [&] { read_tensors(folder / "a.npz"); });
}

TEST(TensorFile, SaysWhatCannotBeRead) {
  const TemporaryFolder folder;
  EXPECT_NE(error_of(ErrorCode::NotFound, [&] { read_tensors(folder / "none.npz"); }).find("none.npz"),
            std::string::npos);
  ASSERT_EQ(::mkfifo((folder / "pipe").c_str(), 0600), 0);
  error_of(ErrorCode::InvalidArgument, [&] { read_tensors(folder / "pipe"); });
  testing::expect_refused("", ErrorCode::Corrupt, "is empty");
  testing::expect_refused("PK", ErrorCode::Corrupt, "not a tensor file");
  testing::expect_refused("just some text, no tensors", ErrorCode::Corrupt, "not a tensor file");
}

TEST(TensorFile, TellsFormatsApartByContent) {
  const TemporaryFolder folder;
  for (const char* name : {"all.npz", "all.safetensors", "one.npy"}) {
    std::filesystem::copy_file(kData / name, folder / "file.dat",
                               std::filesystem::copy_options::overwrite_existing);
    NamedTensors expected = read_tensors(kData / name);
    if (expected.size() == 1) expected[0].first = "file";
    expect_same(read_tensors(folder / "file.dat"), expected);
  }
}

TEST(Source, ReadsOnlyWithinItsBytes) {
  const Source source = Source::open(kData / "one.npy");
  EXPECT_EQ(source.bytes(), 138u);
  std::array<std::byte, 10> bytes{};
  source.read(128, bytes);
  EXPECT_EQ(bytes[2], std::byte{1});
  error_of(ErrorCode::Corrupt, [&] { source.read(129, bytes); });
  error_of(ErrorCode::Corrupt, [&] { source.read(UINT64_MAX, bytes); });
}

}  // namespace
}  // namespace penstock::io
