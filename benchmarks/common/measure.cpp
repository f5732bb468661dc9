// Runs a program and prints one JSON line: nanoseconds from just before it was started to the first byte
// of its output and to its end, and its peak resident memory.
//
//     bench_measure OUTPUT_FILE PROGRAM [ARGUMENT...]
//
// A process of its own, and a small one: a child's peak includes what its parent held when it forked.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>

namespace {

long long now_ns() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1'000'000'000LL + time.tv_nsec;
}

int fail(const char* what) {
  std::fprintf(stderr, "bench_measure: %s: %s\n", what, std::strerror(errno));
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: bench_measure OUTPUT_FILE PROGRAM [ARGUMENT...]\n");
    return 2;
  }
  const int output = open(argv[1], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (output < 0) return fail(argv[1]);
  int pipe_ends[2];
  if (pipe2(pipe_ends, O_CLOEXEC) != 0) return fail("pipe");

  const long long start = now_ns();
  const pid_t child = fork();
  if (child < 0) return fail("fork");
  if (child == 0) {
    dup2(pipe_ends[1], STDOUT_FILENO);
    execv(argv[2], argv + 2);
    _exit(127);
  }
  close(pipe_ends[1]);
  long long first = 0;
  char buffer[4096];
  ssize_t count = 0;
  while ((count = read(pipe_ends[0], buffer, sizeof buffer)) > 0) {
    if (first == 0) first = now_ns();
    if (write(output, buffer, static_cast<size_t>(count)) != count) return fail(argv[1]);
  }
  int status = 0;
  rusage usage{};
  if (wait4(child, &status, 0, &usage) != child) return fail("wait4");
  const long long end = now_ns();
  std::printf("{\"first_output_ns\": %lld, \"total_ns\": %lld, \"max_rss_kib\": %ld, \"status\": %d}\n",
              first == 0 ? -1 : first - start, end - start, usage.ru_maxrss,
              WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  return 0;
}
