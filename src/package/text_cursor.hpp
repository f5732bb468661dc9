#pragma once

#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

namespace penstock::package {

/// Reads C++ text from left to right. Every step is bounded by the text, so scanning is linear.
class TextCursor {
 public:
  explicit TextCursor(std::string_view text) noexcept : rest_(text) {}

  [[nodiscard]] std::string_view rest() const noexcept { return rest_; }
  [[nodiscard]] bool at_end() const noexcept { return rest_.empty(); }

  static bool is_word(char c) noexcept {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  }

  void skip_spaces() noexcept {
    while (!rest_.empty() && (rest_[0] == ' ' || rest_[0] == '\t' || rest_[0] == '\n' || rest_[0] == '\r')) {
      rest_.remove_prefix(1);
    }
  }

  /// Takes `text` after spaces.
  bool take(std::string_view text) noexcept {
    skip_spaces();
    if (rest_.substr(0, text.size()) != text) return false;
    rest_.remove_prefix(text.size());
    return true;
  }

  /// Moves behind the next `text`; does not move where there is none.
  bool skip_past(std::string_view text) noexcept {
    const std::size_t at = rest_.find(text);
    if (at == std::string_view::npos) return false;
    rest_.remove_prefix(at + text.size());
    return true;
  }

  std::string_view take_word() noexcept {
    skip_spaces();
    std::size_t length = 0;
    while (length < rest_.size() && is_word(rest_[length])) ++length;
    const std::string_view word = rest_.substr(0, length);
    rest_.remove_prefix(length);
    return word;
  }

  /// An integer literal with its suffix: "64", "64L".
  std::optional<std::int64_t> take_integer() noexcept {
    skip_spaces();
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(rest_.data(), rest_.data() + rest_.size(), value);
    if (error != std::errc()) return std::nullopt;
    rest_.remove_prefix(static_cast<std::size_t>(end - rest_.data()));
    while (!rest_.empty() && (rest_[0] == 'L' || rest_[0] == 'U')) rest_.remove_prefix(1);
    return value;
  }

  /// Text up to the next line end, which is taken too.
  std::string_view take_line() noexcept {
    const std::size_t at = rest_.find('\n');
    const std::string_view line = rest_.substr(0, at);
    rest_.remove_prefix(at == std::string_view::npos ? rest_.size() : at + 1);
    return line;
  }

 private:
  std::string_view rest_;
};

}  // namespace penstock::package
