"""Checks that a library exports none of the names that model libraries import.

    python3 exports.py NM LIBRARY
"""

import subprocess
import sys

nm, library = sys.argv[1:]
listed = subprocess.run([nm, "-D", "--defined-only", library], capture_output=True, text=True, check=True)
names = [line.split()[-1].partition("@")[0] for line in listed.stdout.splitlines()]
if not any("penstock" in name for name in names):
    raise SystemExit(f"{library} exports nothing of Penstock's: is it the right one?")
forbidden = ("aoti_", "AOTI", "GOMP_", "omp_", "Sleef_", "cu", "getenv", "__cxa", "penstock_", "dnnl")
found = [name for name in names if name.startswith(forbidden)]
found += [name for name in names if not name.startswith("_Z") or "penstock" not in name]
if found:
    raise SystemExit(f"{library} exports {', '.join(sorted(set(found)))}")
