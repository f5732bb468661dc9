"""Where what a GPU run needs is: in a bundle, or in the folder of a build."""

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def find_program(name, folders=()):
    """The path of a program on PATH or in one of the folders; nothing where there is none."""
    return shutil.which(name) or next((str(Path(folder) / name) for folder in folders
                                       if (Path(folder) / name).is_file()), None)


class Place:
    """A bundle has its libraries and sources with it; a build has them where they were built."""

    def __init__(self, root):
        self.root = root
        self.is_bundle = (root / "COMMIT").is_file()
        self.sources = root if self.is_bundle else ROOT
        self.work = Path(os.environ.get("PENSTOCK_GPU_WORK", self.sources / "build" / "gpu-test")).resolve()
        self.work.mkdir(parents=True, exist_ok=True)

    def program(self, name):
        return str(self.root / "bin" / name)

    def source(self, name):
        return str(self.sources / name)

    def log(self, name):
        return self.work / f"{name}.log"

    def packages(self):
        return self.root / "packages"

    def environment(self):
        """For programs of the bundle, which were built to find their libraries elsewhere."""
        changed = dict(os.environ, PENSTOCK_TEST_PACKAGES=str(self.packages()))
        if self.is_bundle:
            changed["PENSTOCK_TEST_CONTRACT"] = str(self.root / "tests" / "contract")
            changed["LD_LIBRARY_PATH"] = os.pathsep.join(
                filter(None, [str(self.root / "lib"), os.environ.get("LD_LIBRARY_PATH", "")]))
        return changed

    def commit(self):
        if self.is_bundle:
            return (self.root / "COMMIT").read_text().strip()
        told = subprocess.run(["git", "-C", str(ROOT), "describe", "--always", "--dirty"], capture_output=True, text=True)
        return told.stdout.strip() or "unknown"
