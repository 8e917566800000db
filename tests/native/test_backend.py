"""The choice between compiled kernels and their numpy reference, and the committed stub."""

import os
import subprocess
import sys
from pathlib import Path

import mpc_kernels

PACKAGE = Path(mpc_kernels.__file__).parent

# Makes `mpc_kernels._native` look as if it had not been built.
WITHOUT_NATIVE = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name == "mpc_kernels._native":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Absent())
"""

# Makes it look as if it were there and needed a module that is not.
BROKEN_NATIVE = WITHOUT_NATIVE.replace("name=name", 'name="libmissing"')

USE = """
import numpy as np
import mpc_kernels
print(mpc_kernels.NATIVE, mpc_kernels.isa(), mpc_kernels.matmul64(*[np.full((1, 1), 2**63 + 1, np.uint64)] * 2)[0, 0])
"""


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True, timeout=60
    )


def test_the_fallback_works_and_is_announced() -> None:
    done = python(WITHOUT_NATIVE + USE)
    assert done.stdout == "False numpy 1\n"
    assert "RuntimeWarning: mpc_kernels: the compiled kernels were not built" in done.stderr
    assert "Run `make setup`" in done.stderr


def test_the_fallback_can_be_forbidden() -> None:
    done = python(WITHOUT_NATIVE + USE, MPC_KERNELS_REQUIRE_NATIVE="1")
    assert done.returncode != 0
    assert "ModuleNotFoundError: mpc_kernels: the compiled kernels were not built" in done.stderr


def test_a_module_that_does_not_load_is_not_passed_over() -> None:
    done = python(BROKEN_NATIVE + USE)
    assert done.returncode != 0
    assert done.stdout == ""


def test_the_kernels_import_numpy_only() -> None:
    code = (
        "import sys, numpy; before = set(sys.modules); import mpc_kernels; "
        "print(sorted({m.split('.')[0] for m in set(sys.modules) - before} - set(sys.stdlib_module_names)))"
    )
    names = python(code).stdout
    assert names.strip() == "['mpc_kernels', 'numpy']", names


def test_the_committed_stub_is_that_of_the_module(tmp_path: Path) -> None:
    target = tmp_path / "_native.pyi"
    command = "-m nanobind.stubgen -q -m mpc_kernels._native -o"
    subprocess.run([sys.executable, *command.split(), str(target)], check=True, timeout=60)
    committed = PACKAGE / "_native.pyi"
    assert target.read_text() == committed.read_text(), f"run `python {command} {committed}`"
