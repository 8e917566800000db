"""What a process frees stays with it: pages are not asked for again."""

from __future__ import annotations

import os
import subprocess
import sys

CODE = """
import resource, sys
import numpy as np
from mpc_engine.io.memory import keep_freed_memory

if sys.argv[1] == "kept":
    keep_freed_memory()

def work():
    parts = [np.ones(300_000) for _ in range(8)]
    return sum(part[0] for part in parts)

work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str, **environment: str) -> int:
    """How many pages 20 rounds of some arrays of 2.3 MiB ask for."""
    known = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    command = [sys.executable, "-c", CODE, how]
    return int(subprocess.run(command, env=known | environment, check=True, capture_output=True, text=True).stdout)


def test_freed_memory_is_used_again() -> None:
    assert faults("kept") < faults("given back") / 10


def test_what_the_environment_says_about_the_allocator_holds() -> None:
    assert faults("kept", MALLOC_TRIM_THRESHOLD_="131072", MALLOC_MMAP_THRESHOLD_="131072") > 1000
