#include "images.hpp"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <sstream>

namespace penstock::recording {
namespace {

/// Bytes of a ".u64" or the like; 0 of anything else.
std::size_t type_bytes(const std::string& word) {
  if (word.size() < 3 || word[0] != '.' || std::strchr("busf", word[1]) == nullptr) return 0;
  const std::string bits = word.substr(2);
  for (const std::size_t bytes : {1, 2, 4, 8}) {
    if (bits == std::to_string(bytes * 8)) return bytes;
  }
  return 0;
}

/// Reads ".param .align 8 .b8 name[24]". Offset is that of the end of the one before.
bool read_parameter(const std::string& text, Parameter& parameter) {
  std::istringstream words(text);
  std::size_t alignment = 1;
  std::size_t element = 0;
  for (std::string word; words >> word;) {
    if (const std::size_t bytes = type_bytes(word); bytes != 0) {
      parameter.bytes = element = bytes;
    } else if (word == ".align" && element == 0) {
      // After the type it is that of what a pointer points to.
      words >> alignment;
    } else if (const std::size_t bracket = word.find('['); bracket != std::string::npos) {
      parameter.bytes *= std::stoul(word.substr(bracket + 1));
    }
  }
  alignment = std::max(alignment, element);
  parameter.offset = (parameter.offset + alignment - 1) / alignment * alignment;
  return element != 0;
}

/// From behind the kernel's name. Null where it is not understood.
std::shared_ptr<const Layout> read_layout(const char* at) {
  while (std::isspace(static_cast<unsigned char>(*at)) != 0) ++at;
  auto layout = std::make_shared<Layout>();
  if (*at != '(') return layout;
  const char* const end = std::strchr(at, ')');
  if (end == nullptr) return nullptr;
  std::istringstream list(std::string(at + 1, end));
  std::size_t offset = 0;
  for (std::string text; std::getline(list, text, ',');) {
    if (text.find('.') == std::string::npos) continue;
    Parameter parameter{.offset = offset};
    if (!read_parameter(text, parameter)) return nullptr;
    layout->push_back(parameter);
    offset = parameter.offset + parameter.bytes;
  }
  return layout;
}

}  // namespace

void add_ptx_kernels(const char* text, ImageKernels& found) {
  constexpr const char* kEntry = ".entry";
  for (const char* at = std::strstr(text, kEntry); at != nullptr; at = std::strstr(at, kEntry)) {
    at += std::strlen(kEntry);
    while (std::isspace(static_cast<unsigned char>(*at)) != 0) ++at;
    const char* const begin = at;
    while (std::isalnum(static_cast<unsigned char>(*at)) != 0 || *at == '_' || *at == '$') ++at;
    found.kernels[std::string(begin, at)] = read_layout(at);
  }
}

}  // namespace penstock::recording
