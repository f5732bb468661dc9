"""Breaks each rule of layout.py once in a small tree, and sees it found."""

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import layout


class LayoutTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.root = Path(scratch.name)
        (self.root / "dev").write_text("  build          build\n  test           test\n")
        (self.root / "src/base").mkdir(parents=True)
        (self.root / "src/base/fail.hpp").write_text("void refuse();\n")

    def found(self, check, path, text):
        includes = layout.INCLUDE.findall(text)
        if check in (layout.check_arrows, layout.check_vendors):
            return list(check(Path(path), includes))
        if check is layout.check_public_header:
            return list(check(Path(path), text, includes))
        if check is layout.check_prose:
            return list(check(self.root, Path(path), text, []))
        return list(check(Path(path), text))

    def test_an_include_upward_is_found(self):
        check = layout.check_arrows
        self.assertTrue(self.found(check, "src/base/a.cpp", '#include "tensor/layout.hpp"\n'))
        self.assertTrue(self.found(check, "src/tensor/a.cpp", '#include "package/archive.hpp"\n'))
        self.assertFalse(self.found(check, "src/tensor/a.cpp", '#include "base/fail.hpp"\n'))
        self.assertTrue(self.found(check, "cli/a.cpp", '#include "base/fail.hpp"\n'))
        self.assertTrue(self.found(check, "src/unknown/a.cpp", ""))

    def test_a_vendor_header_outside_its_folder_is_found(self):
        check = layout.check_vendors
        self.assertTrue(self.found(check, "src/model/a.cpp", "#include <zip.h>\n"))
        self.assertTrue(self.found(check, "src/shim/a.cpp", "#include <oneapi/dnnl/dnnl.h>\n"))
        self.assertFalse(self.found(check, "src/package/a.cpp", "#include <zip.h>\n"))

    def test_a_vendor_header_in_a_public_header_is_found(self):
        check = layout.check_public_header
        self.assertTrue(self.found(check, "include/penstock/a.hpp", "// a\n#include <fmt/format.h>\n"))
        self.assertTrue(self.found(check, "include/penstock/a.hpp", "// a\n#include <zip.h>\n"))
        self.assertFalse(self.found(check, "include/penstock/a.hpp", "// a\n#include <vector>\n"))

    def test_uncommented_declarations_in_a_public_header_are_found(self):
        check = layout.check_public_header
        self.assertTrue(self.found(check, "include/penstock/a.hpp", "// One.\nint f();\nint g();\n"))
        self.assertFalse(self.found(check, "include/penstock/a.hpp", "// One.\nint f();\n// Two.\nint g(int a,\n  int b);\n"))
        self.assertFalse(self.found(check, "include/penstock/a.hpp", "// A.\nclass A {\n private:\n  int a_;\n  int b_;\n};\n"))

    def test_files_that_are_too_long_are_found(self):
        self.assertTrue(self.found(layout.check_size, "include/penstock/a.hpp", "\n" * 251))
        self.assertFalse(self.found(layout.check_size, "include/penstock/a.hpp", "\n" * 250))
        self.assertTrue(self.found(layout.check_size, "src/base/a.cpp", "\n" * 401))
        self.assertFalse(self.found(layout.check_size, "src/base/a.cpp", "\n" * 400))

    def test_prose_that_names_what_does_not_exist_is_found(self):
        check = layout.check_prose
        self.assertTrue(self.found(check, "a.md", "`src/base/gone.hpp`"))
        self.assertTrue(self.found(check, "a.md", "[it](gone.md)"))
        self.assertTrue(self.found(check, "a.md", "`./dev fly`"))
        self.assertTrue(self.found(check, "a.md", "`fail` (`src/base/fail.hpp`)"))
        self.assertFalse(self.found(check, "a.md", "`src/base/fail.hpp` `base/fail.hpp` [it](dev) `./dev build`"))
        self.assertFalse(self.found(check, "a.md", "`base::refuse` (`src/base/fail.hpp`)"))
        self.assertFalse(self.found(check, "a.md", "`text/plain` `build/release`"))


if __name__ == "__main__":
    unittest.main()
