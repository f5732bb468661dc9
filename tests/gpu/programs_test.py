"""Tests how gpu_test.py runs programs, on one that crashes, hangs and fails as it is told.

    python3 tests/gpu/programs_test.py
"""

import os
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import programs

PROGRAM = '''#!%s
import os, sys, time
tests = ["Runs", "Fails", "Skips", "Crashes", "Hangs", "Ends"]
option = sys.argv[1]
if option == "--gtest_list_tests":
    print("Running main()")
    print("Suite.")
    for name in tests:
        print("  " + name + "  # GetParam() = 1")
    sys.exit(0)
for name in option.removeprefix("--gtest_filter=").split(":"):
    print("[ RUN      ] " + name, flush=True)
    if name.endswith("Crashes"):
        print("about to crash", flush=True)
        os.abort()
    if name.endswith("Hangs"):
        time.sleep(600)
    if name.endswith("Fails"):
        print("it is wrong")
    word = {"Suite.Fails": "  FAILED  ", "Suite.Skips": "  SKIPPED "}.get(name, "       OK ")
    tail = ", where GetParam() = 1" if name.endswith("Fails") else ""
    print("[%%s] %%s%%s (3 ms)" %% (word, name, tail), flush=True)
'''


class Place:
    def __init__(self, folder):
        self.folder = folder

    def program(self, name):
        return str(self.folder / name)

    def log(self, name):
        return self.folder / f"{name}.log"

    def environment(self):
        return dict(os.environ)


class RunGtest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.place = Place(Path(self.folder.name))
        path = Path(self.place.program("tests"))
        path.write_text(PROGRAM % sys.executable)
        path.chmod(0o755)
        self.addCleanup(setattr, programs, "TEST_SECONDS", programs.TEST_SECONDS)
        programs.TEST_SECONDS = 1

    def test_tells_the_result_of_every_test_whatever_the_others_do(self):
        tests, _ = programs.run_gtest(self.place, "tests", 60)
        results = {test["name"].removeprefix("Suite."): test["result"] for test in tests}
        self.assertEqual(results, {"Runs": "passed", "Fails": "failed", "Skips": "skipped", "Crashes": "failed",
                                   "Hangs": "failed", "Ends": "passed"})

    def test_says_why(self):
        tests, _ = programs.run_gtest(self.place, "tests", 60)
        messages = {test["name"].removeprefix("Suite."): test["message"] for test in tests}
        self.assertIn("it is wrong", messages["Fails"])
        self.assertIn("SIGABRT", messages["Crashes"])
        self.assertIn("about to crash", messages["Crashes"])
        self.assertIn("took too long", messages["Hangs"])
        self.assertEqual(messages["Runs"], "")

    def test_stops_when_the_time_is_up_and_names_what_was_not_run(self):
        programs.TEST_SECONDS = 60
        start = time.monotonic()
        tests, _ = programs.run_gtest(self.place, "tests", 2)
        self.assertLess(time.monotonic() - start, 20)
        last = tests[-1]
        self.assertEqual((last["name"], last["result"]), ("Suite.Ends", "failed"))
        self.assertIn("no time was left", last["message"])

    def test_is_not_run_where_the_program_does_not_start(self):
        Path(self.place.program("broken")).write_text("#!/bin/sh\necho there is no GPU >&2\nexit 2\n")
        Path(self.place.program("broken")).chmod(0o755)
        with self.assertRaisesRegex(programs.NotRun, "there is no GPU"):
            programs.run_gtest(self.place, "broken", 10)


class Run(unittest.TestCase):
    def test_gives_the_code_and_what_was_printed(self):
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "log"
            done = programs.run([sys.executable, "-c", "print('told'); raise SystemExit(3)"], os.environ, 60, log)
            self.assertEqual((done.code, done.text.strip()), (3, "told"))

    def test_ends_what_takes_too_long_with_its_children(self):
        with tempfile.TemporaryDirectory() as folder:
            command = ["/bin/sh", "-c", "sleep 600 & echo $!; wait"]
            done = programs.run(command, os.environ, 1, Path(folder) / "log")
            self.assertEqual(done.code, programs.TOO_LONG)
            child = int(done.text)
            for _ in range(50):
                stat = Path(f"/proc/{child}/stat")
                # What nobody waits for stays as a zombie.
                if not stat.exists() or stat.read_text().split()[2] == "Z":
                    return
                time.sleep(0.1)
            self.fail("the child still runs")


if __name__ == "__main__":
    unittest.main()
