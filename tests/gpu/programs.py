"""Runs programs with a limit on their time, and GoogleTest programs test by test."""

import os
import re
import select
import signal
import subprocess
import time
from dataclasses import dataclass

# No test of ours takes longer: one that does hangs.
TEST_SECONDS = 60
# The code of a program that was ended because its time was up.
TOO_LONG = 124
BEGAN = re.compile(r"^\[ RUN      \] (\S+)")
ENDED = re.compile(r"^\[(?:       OK |  FAILED  |  SKIPPED )\] (\S+?),? .*\((\d+) ms\)$")
RESULTS = {"OK": "passed", "FAILED": "failed", "SKIPPED": "skipped"}


class NotRun(Exception):
    """What is missing for a part to run."""


@dataclass
class Done:
    code: int
    text: str


def stop(process):
    """Ends a process and all that it has started."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def run(command, environment, seconds, log):
    """Runs a program; its output is also in the log."""
    with open(log, "wb") as file:
        process = subprocess.Popen([str(part) for part in command], env=environment, stdout=file,
                                   stderr=subprocess.STDOUT, start_new_session=True)
        try:
            code = process.wait(seconds)
        except subprocess.TimeoutExpired:
            stop(process)
            code = TOO_LONG
    return Done(code, log.read_text(errors="replace"))


def list_tests(program, environment):
    listed = subprocess.run([program, "--gtest_list_tests"], env=environment, capture_output=True, text=True, timeout=60)
    if listed.returncode != 0:
        raise NotRun(f"{program} cannot list its tests: {(listed.stderr or listed.stdout)[-500:]}")
    names, suite = [], ""
    for line in listed.stdout.splitlines():
        if line.startswith("  "):
            names.append(suite + line.split()[0])
        elif line.rstrip().endswith(".") or ".  #" in line:
            suite = line.split()[0]
    return names


def why_ended(code):
    if code >= 0:
        return f"the program ended with {code} in this test"
    return f"the program was ended by {signal.Signals(-code).name} in this test"


class Run:
    """One start of a GoogleTest program, read line by line."""

    def __init__(self, program, names, environment, log):
        self.log = log
        self.process = subprocess.Popen([program, f"--gtest_filter={':'.join(names)}"], env=environment,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        self.current, self.began, self.lines, self.tests = None, 0.0, [], []

    def take(self, line):
        began, ended = BEGAN.match(line), ENDED.match(line)
        if began:
            self.current, self.began, self.lines = began[1], time.monotonic(), []
        elif ended and self.current == ended[1]:
            word = line[1:line.index("]")].strip()
            self.end(RESULTS[word], int(ended[2]), "" if word == "OK" else "\n".join(self.lines))
        elif self.current:
            self.lines.append(line)

    def end(self, result, milliseconds, message):
        self.tests.append({"name": self.current, "result": result, "milliseconds": milliseconds,
                           "message": message[-2000:]})
        self.current = None

    def follow(self, deadline):
        """Reads to the end, or until a test hangs or the time is up. False: the time is up."""
        buffer = b""
        while True:
            limit = min(deadline, self.began + TEST_SECONDS if self.current else deadline)
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, limit - time.monotonic()))
            if not ready:
                stop(self.process)
                self.process.stdout.close()
                if self.current:
                    self.end("failed", 0, "took too long and was ended\n" + "\n".join(self.lines))
                return time.monotonic() < deadline
            part = self.process.stdout.read1(65536)
            if not part:
                break
            self.log.write(part)
            buffer += part
            *whole, buffer = buffer.split(b"\n")
            for line in whole:
                self.take(line.decode(errors="replace"))
        self.process.stdout.close()
        code = self.process.wait()
        if self.current:
            self.end("failed", 0, why_ended(code) + "\n" + "\n".join(self.lines))
        return True


def run_gtest(place, name, seconds):
    """All tests of a program. One that crashes or hangs fails alone: the rest run in a new process."""
    program, environment = place.program(name), place.environment()
    deadline = time.monotonic() + seconds
    names, tests = list_tests(program, environment), []
    with open(place.log(name), "wb") as log:
        left = list(names)
        while left and time.monotonic() < deadline:
            started = Run(program, left, environment, log)
            if not started.follow(deadline):
                left = []
            tests += started.tests
            if not started.tests:
                raise NotRun(f"{name} runs no test: {place.log(name).read_text(errors='replace')[-500:]}")
            done = {test["name"] for test in tests}
            left = [test for test in left if test not in done]
    done = {test["name"] for test in tests}
    tests += [{"name": test, "result": "failed", "milliseconds": 0, "message": "no time was left for it"}
              for test in names if test not in done]
    return tests, None
