#include "package/archive.hpp"

#include "package_builder.hpp"

#include <ctime>

namespace penstock::package::test {
namespace {

std::vector<ZipItem> two_items() { return {{"top/a", "hello"}, {"top/dir/b", std::string(3000, 'x'), true}}; }

void expect_corrupt(const std::string& zip, std::string_view words) {
  expect_error(ErrorCode::Corrupt, words, [&] { open_bytes(zip); });
}

TEST(Archive, ReadsStoredEntriesInPlaceAndInflatesOthers) {
  const std::string zip = build_zip(two_items());
  const SharedBytes bytes = shared(zip);
  const Archive archive = Archive::open_memory(bytes, "test.pt2");
  ASSERT_EQ(archive.entries().size(), 2U);
  EXPECT_EQ(archive.entries()[1].name, "dir/b");
  EXPECT_EQ(archive.entries()[1].bytes, 3000U);
  EXPECT_EQ(archive.total_bytes(), zip.size());
  EXPECT_EQ(archive.name(), "test.pt2");
  const SharedBytes stored = archive.read("a");
  EXPECT_EQ(text_of(stored), "hello");
  EXPECT_GE(stored.bytes.data(), bytes.bytes.data());
  EXPECT_LT(stored.bytes.data(), bytes.bytes.data() + bytes.bytes.size());
  EXPECT_EQ(text_of(archive.read("dir/b")), std::string(3000, 'x'));
  EXPECT_EQ(archive.read_text("a", 5), "hello");
  EXPECT_TRUE(archive.contains("dir/b"));
  EXPECT_FALSE(archive.contains("dir"));
}

TEST(Archive, KeepsBytesAliveAfterTheArchiveIsGone) {
  auto archive = std::make_unique<Archive>(open_bytes(build_zip(two_items())));
  const SharedBytes stored = archive->read("a");
  const SharedBytes inflated = archive->read("dir/b");
  archive.reset();
  EXPECT_EQ(text_of(stored), "hello");
  EXPECT_EQ(text_of(inflated).size(), 3000U);
}

TEST(Archive, ReadsZip64AndComments) {
  EXPECT_EQ(open_bytes(build_zip(two_items(), {.zip64 = true})).entries().size(), 2U);
  EXPECT_EQ(open_bytes(build_zip(two_items(), {.comment = "a comment PK\x05\x06"})).entries().size(), 2U);
}

TEST(Archive, LeavesOutFolderEntries) {
  const Archive archive = open_bytes(build_zip({{"top/", ""}, {"top/sub/", ""}, {"top/sub/a", "1"}}));
  // The entry of the top folder itself has no name below it.
  ASSERT_EQ(archive.entries().size(), 1U);
  EXPECT_EQ(archive.entries()[0].name, "sub/a");
}

TEST(Archive, OpensEveryTestPackage) {
  int count = 0;
  for (const auto& file : std::filesystem::recursive_directory_iterator(PENSTOCK_TEST_PACKAGES)) {
    if (file.path().extension() != ".pt2") continue;
    const Archive archive = Archive::open(file.path());
    for (const ArchiveEntry& entry : archive.entries()) {
      EXPECT_EQ(archive.read(entry.name).bytes.size(), entry.bytes) << file.path() << entry.name;
    }
    ++count;
  }
  EXPECT_GT(count, 10);
}

TEST(Archive, NamesMissingFilesAndEntries) {
  expect_error(ErrorCode::NotFound, "nowhere.pt2", [] { Archive::open("nowhere.pt2"); });
  expect_error(ErrorCode::NotFound, "regular", [] { Archive::open("/dev/null"); });
  expect_error(ErrorCode::NotFound, "no entry \"c\"",
               [] { (void)open_bytes(build_zip(two_items())).read("c"); });
}

TEST(Archive, RefusesFilesCutShortAnywhere) {
  const std::string zip = build_zip(two_items());
  const std::string real = read_file(package_path("torch-2.15/add.pt2"));
  for (std::size_t i = 0; i < 16; ++i) {
    EXPECT_THROW(open_bytes(zip.substr(0, zip.size() * i / 16)), Error) << i;
    EXPECT_THROW(open_bytes(real.substr(0, real.size() * i / 16)), Error) << i;
  }
  for (std::size_t size = 0; size < zip.size(); ++size)
    EXPECT_THROW(open_bytes(zip.substr(0, size)), Error) << size;
  expect_corrupt(zip.substr(0, zip.size() / 2), "truncated");
  expect_corrupt("", "not a zip archive");
  expect_corrupt(std::string(100, 'x'), "not a zip archive");
}

TEST(Archive, RefusesEndRecordsThatLie) {
  expect_corrupt(build_zip(two_items()) + "x", "no end record");
  expect_corrupt("junk" + build_zip(two_items()), "does not end at");
  expect_corrupt(build_zip(two_items(), {.count = 1}), "more than the 1 entries");
  expect_corrupt(build_zip(two_items(), {.count = 3}), "cannot hold 3");
  expect_corrupt(
      build_zip({{"top/a", "", false, 0, 0, 0, {}, {}, {}, {}, {}, std::string(200, '\0')}}, {.count = 2}),
      "entry 2 of 2 is missing");
  expect_corrupt(build_zip(two_items(), {.directory_offset = 0}), "does not end at");
  expect_corrupt(build_zip(two_items(), {.directory_bytes = 0xfffffff0}), "does not end at");
  expect_corrupt(build_zip(two_items(), {.zip64 = true, .directory_offset = UINT64_MAX - 2}),
                 "does not end at");
  expect_corrupt(build_zip(two_items(), {.zip64 = true, .count = UINT64_MAX}), "more than the 20000");
  std::string moved = build_zip(two_items(), {.zip64 = true});
  patch(moved, moved.size() - 22 - 12, 0, 8);  // the locator's offset
  expect_corrupt(moved, "zip64 end record");
  std::string other = build_zip(two_items(), {.zip64 = true});
  patch(other, other.size() - 22 + 10, 7, 2);
  expect_corrupt(other, "end records disagree");
}

TEST(Archive, RefusesSizesThatLie) {
  auto items = two_items();
  items[0].bytes = 4;
  expect_corrupt(build_zip(items), "\"top/a\" states 4 bytes, made from 5");
  items = two_items();
  items[0].bytes = items[0].stored_bytes = 0xfffffffe;
  expect_corrupt(build_zip(items), "reaches into the directory");
  items = two_items();
  items[0].local_offset = 0xfffffffe;
  expect_corrupt(build_zip(items), "not where the directory says");
  items = two_items();
  items[0].bytes = 0xffffffff;
  expect_corrupt(build_zip(items), "made from");
  items[0].extra = std::string("\x01\x00\x04\x00\x00\x00\x00\x00", 8);
  expect_corrupt(build_zip(items), "zip64 field of a wrong size");
  items[0].extra = std::string("\x01\x00\x40\x00", 4);
  expect_corrupt(build_zip(items), "extra field of a wrong size");
}

TEST(Archive, RefusesHeadersThatDisagree) {
  auto items = two_items();
  items[0].local_name = "top/z";
  expect_corrupt(build_zip(items), "another name");
  std::string zip = build_zip(two_items());
  patch(zip, 14, 1, 4);  // the first local header's checksum
  expect_corrupt(zip, "disagrees");
  zip = build_zip(two_items());
  patch(zip, 8, 8, 2);  // its method
  expect_corrupt(zip, "disagrees");
  zip = build_zip(two_items());
  patch(zip, 6, 1, 2);  // its flags
  expect_corrupt(zip, "disagrees");
}

TEST(Archive, RefusesEntriesThatOverlap) {
  const std::string inner = build_zip({{"top/b", "1"}}).substr(0, 36);
  std::vector<ZipItem> items = {{"top/a", inner}, {"top/b", "1"}};
  items[1].local_offset = 35;  // inside the data of the first
  expect_corrupt(build_zip(items), "overlap");
}

TEST(Archive, RefusesDuplicates) {
  expect_corrupt(build_zip({{"top/a", "1"}, {"top/a", "2"}}), "\"top/a\" is in the directory twice");
}

TEST(Archive, RefusesNamesThatLeadAstray) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "is empty"},
      {"/top/a", "absolute"},
      {"top/../a", "leads out"},
      {"top/./a", "leads out"},
      {"..", "leads out"},
      {"top//a", "empty part"},
      {"top\\a", "backslash"},
      {"C:/a", "drive letter"},
      {std::string("top/a\0b", 7), "control character"},
      {"top/\n", "control character"},
      {"top/\xff", "not UTF-8"},
      {"top/\xc0\xaf", "not UTF-8"},
      {"top/" + std::string(5000, 'a'), "longer than"},
  };
  for (const auto& [name, words] : cases) expect_corrupt(build_zip({{name, "1"}}), words);
}

TEST(Archive, TakesNamesOfOtherLanguages) {
  EXPECT_TRUE(open_bytes(build_zip({{"top/mod\xc3\xa8le", "1"}})).contains("mod\xc3\xa8le"));
}

TEST(Archive, RefusesSymbolicLinksAndSpecialFiles) {
  const std::uint16_t unix_host = 3U << 8U;
  expect_corrupt(build_zip({{"top/a", "/etc/passwd", false, 0, unix_host, 0120777U << 16U}}),
                 "symbolic link");
  expect_corrupt(build_zip({{"top/a", "", false, 0, unix_host, 0020777U << 16U}}), "special file");
  EXPECT_NO_THROW(open_bytes(build_zip({{"top/a", "", false, 0, unix_host, 0100644U << 16U}})));
}

TEST(Archive, RefusesEncryption) {
  expect_error(ErrorCode::Unsupported, "encrypted", [] {
    open_bytes(build_zip({{"top/a", "x", false, 1}}));
  });
}

TEST(Archive, RefusesTooManyEntries) {
  std::vector<ZipItem> items;
  for (int i = 0; i < 100'000; ++i) items.push_back({"top/" + std::to_string(i), ""});
  expect_corrupt(build_zip(items, {.zip64 = true}), "states 100000 entries");
}

TEST(Archive, RefusesBombs) {
  const auto refused = [](const std::vector<ZipItem>& items) {
    expect_error(ErrorCode::Unsupported, "compressed entries state more than 67108864 bytes",
                 [&] { open_bytes(build_zip(items)); });
  };
  ZipItem lie{"top/a", std::string(1000, 'x'), true};
  lie.bytes = 0xf0000000;
  refused({lie});
  // What they state is true, and no ratio is more than deflate has with zeros.
  const std::string zeros(std::size_t{40} << 20, '\0');
  refused({{"top/a", zeros, true}, {"top/b", zeros, true}});
}

TEST(Archive, InflatesMoreOfALargerFile) {
  const std::string zeros(std::size_t{80} << 20, '\0');
  const Archive archive =
      open_bytes(build_zip({{"top/a", zeros, true}, {"top/b", std::string(std::size_t{5} << 20, 'x')}}));
  EXPECT_EQ(archive.read("a").bytes.size(), zeros.size());
}

TEST(Archive, RefusesOtherCompression) {
  std::string zip = build_zip({{"top/a", "hello", true}});
  patch(zip, 8, 12, 2);
  patch(zip, zip.find("PK\1\2") + 10, 12, 2);
  expect_error(ErrorCode::Unsupported, "\"top/a\" is compressed by method 12", [&] { open_bytes(zip); });
}

TEST(Archive, ReadsManyCompressedEntriesWithoutDelay) {
  std::vector<ZipItem> items;
  for (int i = 0; i < 10'000; ++i) items.push_back({"top/" + std::to_string(i), "x", true});
  const Archive archive = open_bytes(build_zip(items));
  const std::clock_t start = std::clock();
  for (const ArchiveEntry& entry : archive.entries()) ASSERT_EQ(archive.read(entry.name).bytes.size(), 1U);
  // Of this process alone. It takes a fiftieth; a look through the directory for each takes minutes.
  EXPECT_LT(std::clock() - start, 10 * CLOCKS_PER_SEC);
}

TEST(Archive, InflatesNoMoreThanTheStartThatIsAskedFor) {
  auto items = two_items();
  items[1].crc = 1;
  const Archive archive = open_bytes(build_zip(items));
  EXPECT_EQ(text_of(archive.read_start("dir/b", 3)), "xxx");
  EXPECT_EQ(text_of(archive.read_start("a", 3)), "hel");
  EXPECT_EQ(text_of(archive.read_start("a", 9)), "hello");
  expect_error(ErrorCode::Corrupt, "checksum", [&] { (void)archive.read_start("dir/b", 3000); });
  expect_error(ErrorCode::NotFound, "no entry", [&] { (void)archive.read_start("c", 3); });
}

TEST(Archive, RefusesCompressedDataThatIsDamaged) {
  const std::string sound = build_zip({{"top/a", std::string(1000, 'x') + "abcdefgh", true}});
  const std::size_t data = 30 + 5;
  const std::size_t end = sound.find("PK\1\2");
  for (std::size_t at = data; at < end; ++at) {
    std::string zip = sound;
    zip[at] = static_cast<char>(~zip[at]);
    expect_error(ErrorCode::Corrupt, "\"a\" is corrupt", [&] { (void)open_bytes(zip).read("a"); });
  }
}

TEST(Archive, RefusesFilesOutsideOfOneTopFolder) {
  expect_corrupt(build_zip({{"top/a", "1"}, {"other/b", "1"}}),
                 "\"other/b\" does not lie in the one top folder");
  expect_corrupt(build_zip({{"a", "1"}}), "\"a\" does not lie");
  expect_corrupt(build_zip({}), "empty");
}

TEST(Archive, ChecksChecksumsWhenAnEntryIsRead) {
  auto items = two_items();
  items[0].crc = 1;
  items[1].crc = 1;
  const Archive archive = open_bytes(build_zip(items));
  expect_error(ErrorCode::Corrupt, "\"a\" is corrupt: its checksum", [&] { (void)archive.read("a"); });
  expect_error(ErrorCode::Corrupt, "\"dir/b\" is corrupt", [&] { (void)archive.read("dir/b"); });
}

TEST(Archive, RefusesCompressedSizesThatLie) {
  for (const std::uint64_t bytes : {2999U, 3001U}) {
    auto items = two_items();
    items[1].bytes = bytes;
    const Archive archive = open_bytes(build_zip(items));
    EXPECT_THROW((void)archive.read("dir/b"), Error) << bytes;
  }
}

TEST(Archive, RefusesTextThatIsTooLong) {
  expect_error(ErrorCode::Corrupt, "more than the 4",
               [] { (void)open_bytes(build_zip(two_items())).read_text("a", 4); });
}

TEST(ArchiveFolder, ShowsWhatTheArchiveShows) {
  const TemporaryFolder folder;
  folder.write("top/archive_format", "pt2");
  folder.write("top/data/aotinductor/model/x", "hello");
  folder.write("top/empty", "");
  for (const auto& path : {folder.path(), folder.path() / "top"}) {
    const Archive archive = Archive::open(path);
    ASSERT_EQ(archive.entries().size(), 3U);
    EXPECT_EQ(archive.read_text("data/aotinductor/model/x", 5), "hello");
    EXPECT_EQ(archive.read("empty").bytes.size(), 0U);
    EXPECT_EQ(archive.total_bytes(), 8U);
    EXPECT_TRUE(archive.file_bytes().empty());
  }
}

TEST(ArchiveFolder, RefusesLinksThatLeadOut) {
  const TemporaryFolder folder;
  folder.write("archive_format", "pt2");
  std::filesystem::create_symlink("archive_format", folder.path() / "inside");
  EXPECT_EQ(Archive::open(folder.path()).read_text("inside", 3), "pt2");
  std::filesystem::create_symlink("/etc/passwd", folder.path() / "out");
  expect_error(ErrorCode::Corrupt, "\"out\" is a symbolic link that leads out",
               [&] { Archive::open(folder.path()); });
  std::filesystem::remove(folder.path() / "out");
  std::filesystem::create_directory_symlink("/etc", folder.path() / "dir");
  expect_error(ErrorCode::Corrupt, "leads out", [&] { Archive::open(folder.path()); });
  std::filesystem::remove(folder.path() / "dir");
  std::filesystem::create_symlink("nothing", folder.path() / "broken");
  expect_error(ErrorCode::Corrupt, "to nothing", [&] { Archive::open(folder.path()); });
}

TEST(ArchiveFolder, RefusesFoldersWithoutOnePackage) {
  const TemporaryFolder folder;
  expect_error(ErrorCode::NotFound, "no package in this folder", [&] { Archive::open(folder.path()); });
  folder.write("a/archive_format", "pt2");
  folder.write("b/archive_format", "pt2");
  expect_error(ErrorCode::NotFound, "more than one", [&] { Archive::open(folder.path()); });
}

TEST(ArchiveFolder, SaysWhenAFileHasChanged) {
  const TemporaryFolder folder;
  folder.write("archive_format", "pt2");
  const Archive archive = Archive::open(folder.path());
  folder.write("archive_format", "longer");
  expect_error(ErrorCode::Corrupt, "had 3 when", [&] { (void)archive.read("archive_format"); });
}

}  // namespace
}  // namespace penstock::package::test
