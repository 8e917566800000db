"""Kernels against numpy under one instruction set, in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

__all__ = ["compared", "python"]


def python(*argv: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the interpreter in a process of its own."""
    return subprocess.run(
        [sys.executable, *argv], env={**os.environ, **environment}, capture_output=True, text=True, timeout=120
    )


def compared(script: str, isa: str, seed: int) -> int:
    """How many elements of compiled code ``script`` found equal to numpy's; skips where the CPU lacks ``isa``."""
    done = python(str(Path(__file__).parent / script), str(seed), MPC_KERNELS_ISA=isa)
    if f"this CPU does not have {isa}" in done.stderr:
        pytest.skip(f"this CPU does not have {isa}")
    assert done.returncode == 0, done.stderr
    used, count = done.stdout.split()
    assert used == isa
    return int(count)
