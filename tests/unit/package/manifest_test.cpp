#include "package/manifest.hpp"

#include "package_builder.hpp"
#include "system/machine.hpp"

#include <algorithm>

namespace penstock::package::test {
namespace {

using Files = std::map<std::string, std::string>;
const std::string kModel = "data/aotinductor/model/";
const std::string kMetadata = kModel + "w.wrapper_metadata.json";

void expect_refused(const Files& files, ErrorCode code, std::string_view words) {
  expect_error(code, words, [&] { read_manifest(archive_of(files)); });
}

ModelInfo info_of(const std::string& package) {
  return read_manifest(Archive::open(package_path(package))).models.front().info;
}

bool has(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string to_string(const std::vector<DimSpec>& dims) {
  std::string text;
  for (const DimSpec& dim : dims) {
    text += (text.empty() ? "" : ", ") + std::to_string(dim.min);
    if (dim.max != dim.min) text += ".." + std::to_string(dim.max);
    if (!dim.symbol.empty()) text += " " + dim.symbol;
  }
  return text;
}

TEST(Manifest, ReadsAModelOfEachTorchVersion) {
  for (const std::string version : {"2.9", "2.11", "2.13", "2.15"}) {
    SCOPED_TRACE(version);
    const Manifest manifest = read_manifest(Archive::open(package_path("torch-" + version + "/mlp.pt2")));
    EXPECT_EQ(manifest.archive_version, "0");
    ASSERT_EQ(manifest.models.size(), 1U);
    const ModelFiles& model = manifest.models.front();
    EXPECT_EQ(model.folder, kModel);
    EXPECT_EQ(model.library, model.info.library);
    EXPECT_EQ(model.info.name, "model");
    EXPECT_EQ(model.info.device, DeviceType::Cpu);
    EXPECT_EQ(model.info.metadata.at("AOTI_DEVICE_KEY"), "cpu");
    EXPECT_EQ(model.info.weights_form, WeightsForm::Embedded);
    EXPECT_EQ(model.info.weights_bytes, 9664U);
    EXPECT_EQ(model.info.compiled_threads, 1);
    EXPECT_EQ(model.info.output_names, std::vector<std::string>{"out0"});
    EXPECT_TRUE(has(model.info.needs.shim_functions, "aoti_torch_cpu_addmm_out"));
    EXPECT_TRUE(has(model.info.needs.libraries, "libstdc++.so.6"));
    EXPECT_TRUE(has(model.info.needs.libraries, "libsleef.so.3"));
    EXPECT_FALSE(has(model.info.needs.libraries, "libtorch_cpu.so"));
    EXPECT_EQ(model.info.needs.glibc, "2.34");
    EXPECT_EQ(model.info.needs.libstdcxx, "3.4.30");
    EXPECT_EQ(model.info.needs.architecture, "x86_64");
    EXPECT_TRUE(has(model.info.needs.instruction_sets, "AVX2"));
    ASSERT_EQ(model.info.input_hints.size(), 1U);
    EXPECT_EQ(model.info.input_hints[0].name, "arg0");
    EXPECT_EQ(to_string(model.info.input_hints[0].dims), "0..64 s31, 64");
  }
}

TEST(Manifest, NamesKeywordsAndSharedSizesOfEachTorchVersion) {
  for (const std::string version : {"2.9", "2.11", "2.13", "2.15"}) {
    SCOPED_TRACE(version);
    const ModelInfo info = info_of("torch-" + version + "/shared.pt2");
    ASSERT_EQ(info.input_hints.size(), 3U);
    EXPECT_EQ(info.input_hints[0].keyword, "");
    EXPECT_EQ(info.input_hints[2].keyword, "scale");
    EXPECT_EQ(to_string(info.input_hints[0].dims), "0..64 s17, 0..128 s27");
    EXPECT_EQ(to_string(info.input_hints[1].dims), "0..64 s17, 0..128 s27");
    EXPECT_EQ(info.input_hints[0].strides, (std::vector<std::int64_t>{-1, 1}));
    EXPECT_TRUE(info.input_hints[2].dims.empty());
    EXPECT_NE(info.call_spec_out.find("builtins.dict"), std::string::npos);
  }
}

TEST(Manifest, TellsTheFormsOfWeights) {
  EXPECT_EQ(info_of("torch-2.15/add.pt2").weights_form, WeightsForm::None);
  const ModelInfo blob = info_of("torch-2.15/blob.pt2");
  EXPECT_EQ(blob.weights_form, WeightsForm::BinaryBlob);
  EXPECT_EQ(blob.weights_bytes, 9664U);
}

TEST(Manifest, TellsCompiledThreads) {
  EXPECT_EQ(info_of("torch-2.15/threads2.pt2").compiled_threads, 2);
  EXPECT_EQ(info_of("torch-2.15/threads_all.pt2").compiled_threads, 2);
  Files files = package_files();
  files.erase(kModel + "k.kernel.cpp");
  EXPECT_EQ(read_manifest(archive_of(files)).models.front().info.compiled_threads, std::nullopt);
}

TEST(Manifest, SortsModels) {
  const Manifest manifest = read_manifest(Archive::open(package_path("torch-2.15/two_models.pt2")));
  ASSERT_EQ(manifest.models.size(), 2U);
  EXPECT_EQ(manifest.models[0].info.name, "first");
  EXPECT_EQ(manifest.models[1].info.name, "second");
  EXPECT_EQ(manifest.models[0].entries.size(), 5U);
  EXPECT_EQ(read_manifest(Archive::open(package_path("torch-2.15/other_root.pt2"))).models.size(), 1U);
  std::map<std::string, std::string> files{{"archive_format", "pt2"}, {"archive_version", "0"}};
  for (int i = 0; i <= 1000; ++i) files["data/aotinductor/" + std::to_string(i) + "/a"] = "";
  expect_error(ErrorCode::Unsupported, "more than 1000 models", [&] { read_manifest(archive_of(files)); });
}

TEST(Manifest, ReadsTheDevice) { EXPECT_EQ(info_of("torch-2.15/cuda_meta.pt2").device, DeviceType::Cuda); }

TEST(Manifest, TakesInstructionSetsFromCodeWhereTheCompileCommandDoesNotTell) {
  const Archive native = Archive::open(package_path("torch-2.15/native.pt2"));
  const auto sets = read_manifest(native, {.decode_code = true}).models.front().info.needs.instruction_sets;
  EXPECT_TRUE(has(sets, "AVX512F"));
  EXPECT_TRUE(has(sets, "AVX512VL"));
  EXPECT_FALSE(has(info_of("torch-2.15/add.pt2").needs.instruction_sets, "AVX512F"));
}

TEST(Manifest, RefusesOtherFormats) {
  Files files = package_files();
  files.erase("archive_format");
  expect_refused(files, ErrorCode::Unsupported, "not a PT2 package");
  files["archive_format"] = "pt3";
  expect_refused(files, ErrorCode::Unsupported, "\"pt3\"");
  files = package_files();
  files["archive_version"] = "7";
  expect_refused(files, ErrorCode::Unsupported, "archive version \"7\"");
  files.erase("archive_version");
  expect_refused(files, ErrorCode::Corrupt, "archive_version is missing");
  files = package_files();
  files["byteorder"] = "big";
  expect_refused(files, ErrorCode::Incompatible, "byte order \"big\"");
  files = {{"archive_format", "pt2"}, {"archive_version", "0"}, {"data/x", ""}};
  expect_refused(files, ErrorCode::Unsupported, "no compiled model");
  files = package_files();
  files["archive_format"] = std::string(1000, 'x');
  expect_refused(files, ErrorCode::Corrupt, "more than the 256");
}

TEST(Manifest, WantsOneLibrary) {
  Files files = package_files();
  files[kModel + "v.wrapper.so"] = "x";
  expect_refused(files, ErrorCode::Corrupt, "2 model libraries");
  files.erase(kModel + "v.wrapper.so");
  // Older packages call it so.
  files[kModel + "model.so"] = files[kModel + "w.wrapper.so"];
  files.erase(kModel + "w.wrapper.so");
  EXPECT_EQ(read_manifest(archive_of(files)).models.front().library, kModel + "model.so");
  files.erase(kModel + "model.so");
  expect_refused(files, ErrorCode::Corrupt, "0 model libraries");
  files[kModel + "w.wrapper.pyd"] = "x";
  expect_refused(files, ErrorCode::Incompatible, "another system");
}

TEST(Manifest, RefusesMetadataThatCannotBeTrusted) {
  const auto with = [](const std::string& text) {
    Files files = package_files();
    files[kMetadata] = text;
    return files;
  };
  expect_refused(with("{\"AOTI_DEVICE_KEY\": \"cpu\""), ErrorCode::Corrupt,
                 "test.pt2: " + kMetadata + ": not valid JSON");
  expect_refused(with("[]"), ErrorCode::Corrupt, "not a JSON object");
  expect_refused(with(R"({"AOTI_DEVICE_KEY": 1})"), ErrorCode::Corrupt,
                 "\"AOTI_DEVICE_KEY\" is not a string");
  expect_refused(with(R"({"a": "1", "a": "1"})"), ErrorCode::Corrupt, "\"a\" is there twice");
  expect_refused(with(R"({"AOTI_DEVICE_KEY": "cuda"})"), ErrorCode::Corrupt, "state \"cpu\" and \"cuda\"");
  expect_refused(with("\"\xff\""), ErrorCode::Corrupt, "not valid JSON");
  expect_refused(with(std::string(100'000, '[')), ErrorCode::Corrupt, "deeper than 64");
  std::string objects;
  for (int i = 0; i < 1000; ++i) objects += "{\"a\":";
  expect_refused(with(objects), ErrorCode::Corrupt, "deeper than 64");
  expect_refused(with("{\"a\": \"" + std::string(5 << 20, 'x') + "\"}"), ErrorCode::Corrupt,
                 "more than the 4194304");
  Files files = with("{}");
  files[kModel + "k.kernel_metadata.json"] = "{}";
  expect_refused(files, ErrorCode::Corrupt,
                 "AOTI_DEVICE_KEY is missing in data/aotinductor/model/k.kernel_metadata");
  files.erase(kMetadata);
  files.erase(kModel + "k.kernel_metadata.json");
  expect_refused(files, ErrorCode::Corrupt, "no *_metadata.json");
  files[kMetadata] = R"({"AOTI_DEVICE_KEY": "mps"})";
  expect_refused(files, ErrorCode::Unsupported, "device \"mps\"");
}

TEST(Manifest, ReadsWhatItCanOfAPackageForAnotherMachine) {
  Files files = package_files();
  const ModelInfo here = read_manifest(archive_of(files)).models.front().info;
  patch(files[kModel + "w.wrapper.so"], 18, 183, 2);  // e_machine: aarch64
  const ModelInfo info = read_manifest(archive_of(files)).models.front().info;
  EXPECT_EQ(info.needs.architecture, "aarch64");
  EXPECT_TRUE(info.needs.shim_functions.empty());
  EXPECT_EQ(info.library_bytes, here.library_bytes);
  EXPECT_EQ(info.metadata, here.metadata);
  EXPECT_EQ(info.weights_form, here.weights_form);
  EXPECT_EQ(info.output_names, here.output_names);
  EXPECT_EQ(info.input_hints.size(), here.input_hints.size());
  const std::vector<std::string> obstacles = machine_obstacles(info);
  ASSERT_EQ(obstacles.size(), 1U);
  EXPECT_NE(obstacles[0].find("is for aarch64, this machine is x86_64"), std::string::npos);
}

TEST(Manifest, RefusesATruncatedLibrary) {
  Files files = package_files();
  files[kModel + "w.wrapper.so"].resize(1000);
  expect_refused(files, ErrorCode::Corrupt, "w.wrapper.so: truncated");
  files[kModel + "w.wrapper.so"].resize(10);
  expect_refused(files, ErrorCode::Corrupt, "w.wrapper.so: truncated");
}

TEST(Manifest, SurvivesAnyText) {
  Files files = package_files();
  files[kModel + "w.wrapper.cpp"] = std::string(1 << 20, '{');
  files[kModel + "k.kernel.cpp"] = "#pragma omp parallel num_threads(99999999999999999999)";
  const ModelInfo info = read_manifest(archive_of(files)).models.front().info;
  EXPECT_TRUE(info.input_hints.empty());
  EXPECT_EQ(info.device, DeviceType::Cpu);
}

TEST(MachineObstacles, FindsNoneForThisMachine) {
  if (!system::has_instruction_set("AVX2") || !system::has_instruction_set("FMA"))
    GTEST_SKIP() << "needs AVX2";
  EXPECT_EQ(machine_obstacles(info_of("torch-2.15/add.pt2")), std::vector<std::string>{});
}

TEST(MachineObstacles, SaysWhatIsMissingAndWhatToDo) {
  ModelInfo info;
  info.metadata = {{"AOTI_PLATFORM", "win32"}};
  info.needs.instruction_sets = {"AVX512F", "AVX512_NEVER"};
  info.needs.glibc = "2.999";
  info.needs.libstdcxx = "3.4.999";
  info.needs.libraries = {"libc.so.6", "libnowhere.so.1", "/lib/x86_64-linux-gnu/libc.so.6"};
  info.needs.architecture = "x86_64";
  const auto obstacles = machine_obstacles(info);
  ASSERT_EQ(obstacles.size(), 6U);
  EXPECT_NE(obstacles[0].find("compiled on win32"), std::string::npos);
  EXPECT_NE(obstacles[1].find("needs AVX-512 ("), std::string::npos);
  EXPECT_NE(obstacles[1].find("AVX512_NEVER), which this CPU"), std::string::npos);
  EXPECT_NE(obstacles[1].find("{'cpp.simdlen': 256, 'cpp.threads': 1}"), std::string::npos);
  EXPECT_NE(obstacles[2].find("needs GLIBC_2.999, this machine has 2."), std::string::npos);
  EXPECT_NE(obstacles[3].find("needs GLIBCXX_3.4.999, this machine has 3.4."), std::string::npos);
  EXPECT_NE(obstacles[4].find("libnowhere.so.1, which is not found"), std::string::npos);
  EXPECT_NE(obstacles[5].find("/lib/"), std::string::npos);
}

TEST(MachineObstacles, SayOfAnotherMachineOnlyThat) {
  ModelInfo info;
  info.metadata = {{"AOTI_MACHINE", "aarch64"}};
  info.needs.architecture = "x86_64";
  info.needs.instruction_sets = {"SVE"};
  const auto obstacles = machine_obstacles(info);
  ASSERT_EQ(obstacles.size(), 1U);
  EXPECT_NE(obstacles[0].find("is for aarch64"), std::string::npos);
}

}  // namespace
}  // namespace penstock::package::test
