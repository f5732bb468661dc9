#pragma once

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <charconv>
#include <cmath>
#include <string>

namespace penstock::cli {

/// What numbers an option takes.
struct NumberRange {
  double least = 0;
  double most = 1e9;
  bool whole = true;
};

/// Refuses what is no number, and numbers out of range, by saying what is taken.
inline CLI::Validator number_in(const NumberRange& range) {
  const auto check = [range](const std::string& text) -> std::string {
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool is_number = error == std::errc() && end == text.data() + text.size() && std::isfinite(value) &&
                           (!range.whole || value == std::floor(value));
    if (is_number && value >= range.least && value <= range.most) return "";
    return fmt::format("\"{}\" is no {} from {} to {}", text, range.whole ? "whole number" : "number",
                       range.least, range.most);
  };
  return CLI::Validator(check, "", "");
}

/// Refuses an empty value: a variable of a script that is not set would else turn the option off unnoticed.
inline CLI::Validator not_empty() {
  return CLI::Validator(
      [](const std::string& text) -> std::string { return text.empty() ? "its value is empty" : ""; }, "",
      "");
}

}  // namespace penstock::cli
