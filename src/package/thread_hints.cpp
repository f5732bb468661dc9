#include "package/text_cursor.hpp"
#include "package/text_hints.hpp"

#include <algorithm>

// torch writes the thread count of the compiling machine in four ways (torch/_inductor/codegen/cpp.py
// and the templates beside it): num_threads(N), arrays "_arr[N]" with one element a thread, loops
// "tid < N" over them, and constants "num_threads = N" by which templates split their work.

namespace penstock::package {
namespace {

class ThreadScanner {
 public:
  void scan(std::string_view text) {
    TextCursor lines(text);
    while (!lines.at_end()) {
      TextCursor line(lines.take_line());
      line.skip_spaces();
      if (line.rest().substr(0, 2) != "//") scan_line(line.rest());
    }
  }

  [[nodiscard]] ThreadHints hints() const {
    ThreadHints hints;
    hints.exact = exact_;
    if (!has_teams_) {
      hints.at_most = 1;
    } else if (least_) {
      hints.at_most = least_;
    } else if (!uses_number_otherwise_) {
      hints.at_most = kAnyThreads;
    }
    return hints;
  }

 private:
  void scan_line(std::string_view line) {
    if (line.substr(0, 7) == "#pragma" && line.find(" omp ") != std::string_view::npos) has_teams_ = true;
    count_after(line, "num_threads(");
    count_after(line, "_arr[");
    count_after(line, "tid < ");
    if (count_after(line, "num_threads = ") || count_after(line, "num_thread = ")) exact_ = true;
    find_other_uses(line);
  }

  /// Whether a number follows `text` somewhere; takes the least.
  bool count_after(std::string_view line, std::string_view text) {
    TextCursor cursor(line);
    bool found = false;
    while (cursor.skip_past(text)) {
      const auto count = cursor.take_integer();
      if (!count || *count < 1) continue;
      const int bounded = static_cast<int>(std::min<std::int64_t>(*count, kAnyThreads));
      least_ = std::min(least_.value_or(bounded), bounded);
      found = true;
    }
    return found;
  }

  /// A thread's number that is used for more than its element of an array can mean anything.
  void find_other_uses(std::string_view line) {
    if (line.find("int tid = omp_get_thread_num()") != std::string_view::npos) return;
    if (line.find("omp_get_thread_num") != std::string_view::npos) uses_number_otherwise_ = true;
    if (line.find("int tid = 0; tid < ") != std::string_view::npos) return;
    for (std::size_t at = line.find("tid"); at != std::string_view::npos; at = line.find("tid", at + 3)) {
      const bool starts = at == 0 || !TextCursor::is_word(line[at - 1]);
      const bool ends = at + 3 == line.size() || !TextCursor::is_word(line[at + 3]);
      if (!starts || !ends) continue;
      const bool is_element = at >= 5 && line.substr(at - 5, 9) == "_arr[tid]";
      if (!is_element) uses_number_otherwise_ = true;
    }
  }

  std::optional<int> least_;
  bool has_teams_ = false;
  bool exact_ = false;
  bool uses_number_otherwise_ = false;
};

}  // namespace

ThreadHints read_thread_hints(std::string_view wrapper_text, std::string_view kernel_text) {
  if (kernel_text.empty()) return {};
  ThreadScanner scanner;
  scanner.scan(wrapper_text);
  scanner.scan(kernel_text);
  return scanner.hints();
}

}  // namespace penstock::package
