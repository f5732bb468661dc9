"""Every test that docs/claims.md names is there: python3 tests/layout/claims_test.py"""

import re
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class Claims(unittest.TestCase):
    def test_name_tests_that_there_are(self):
        page = (ROOT / "docs/claims.md").read_text()
        there = {f"{suite}.{name}" for path in (ROOT / "tests").rglob("*.cpp")
                 for suite, name in re.findall(r"TEST(?:_[FP])?\((\w+),\s*(\w+)\)", path.read_text())}
        named = re.findall(r"`([A-Z]\w+\.[A-Z]\w+)`", page)
        self.assertGreater(len(named), 40)
        self.assertEqual([name for name in named if name not in there], [])


if __name__ == "__main__":
    unittest.main()
