"""``import mpc_engine`` is cheap: whoever only builds plans loads neither JAX nor SPU, Ray or pandas."""

from __future__ import annotations

import subprocess
import sys

LIMIT_MS = 150
LOOP_MS = 25
"""What the loop takes on the processor for which the limit is meant."""
HEAVY = ("duckdb", "jax", "jaxlib", "narwhals", "pandas", "pyarrow", "ray", "scipy", "sklearn", "spu", "sqlglot")


def python(code: str) -> str:
    # -P: the working directory stays off the path, as for a user of the installed package
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.strip()


def test_import_loads_nothing_heavy() -> None:
    loaded = python("import sys, mpc_engine; print(' '.join(sorted({name.split('.')[0] for name in sys.modules})))")
    assert not set(loaded.split()) & set(HEAVY)


def test_building_a_configuration_loads_nothing_heavy() -> None:
    code = (
        "import sys, mpc_engine; mpc_engine.Session; mpc_engine.errors; print(*{n.split('.')[0] for n in sys.modules})"
    )
    assert not set(python(code).split()) & {"jax", "spu", "ray", "pandas"}


def test_import_takes_less_than_150_ms() -> None:
    # A slow or crowded processor takes longer for anything: how much, a loop before each import says.
    code = """
import time
start = time.process_time()
words = {str(number): [number] for number in range(60_000)}
loop = time.process_time() - start
start = time.process_time()
import mpc_engine
print(loop * 1000, (time.process_time() - start) * 1000)
"""
    taken: list[tuple[float, float]] = []
    while len(taken) < 15:
        loop, imported = map(float, python(code).split())
        taken.append((loop, imported))
        if imported < LIMIT_MS * max(1.0, loop / LOOP_MS):
            return
    raise AssertionError(taken)
