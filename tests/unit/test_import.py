"""``import mpc_engine`` is cheap: whoever only builds plans loads neither JAX nor SPU, Ray or pandas."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import mpc_engine

LIMIT_MS = 150
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
    code = "import time; t = time.process_time(); import mpc_engine; print((time.process_time() - t) * 1000)"
    # The best of several. Where more runs than there are processors, they share caches and clock as well.
    crowd = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    taken = [float(python(code)) for _ in range(3)]
    while min(taken) >= LIMIT_MS * crowd and len(taken) < 15:
        taken.append(float(python(code)))
    assert min(taken) < LIMIT_MS * crowd, taken


def test_names_are_loaded_when_somebody_asks_for_them() -> None:
    code = (
        "import sys, mpc_engine as mpc; early = 'mpc_engine.session' in sys.modules; "
        "print(early, all(getattr(mpc, name) is not None for name in mpc.__all__), set(mpc.__all__) <= set(dir(mpc)))"
    )
    assert python(code) == "False True True"
    with pytest.raises(AttributeError, match="module 'mpc_engine' has no attribute 'Sesion'"):
        getattr(mpc_engine, "Sesion")  # noqa: B009 - a name that type checkers refuse


def test_loading_all_names_takes_less_than_1_7_times_a_part_of_the_standard_library() -> None:
    # A slow or crowded processor takes longer for any import: that of some 250 other modules says how much.
    code = """
import time
start = time.process_time()
import argparse, asyncio, concurrent.futures, csv, decimal, doctest, email.message, http.client, json, logging.config
import multiprocessing.pool, pdb, sqlite3, ssl, statistics, tarfile, unittest.mock, xml.dom.minidom, zipfile
others = time.process_time() - start
start = time.process_time()
from mpc_engine import *
print((time.process_time() - start) / others)
"""
    taken: list[float] = []
    while not taken or (min(taken) >= 1.7 and len(taken) < 15):
        taken.append(float(python(code)))
    assert min(taken) < 1.7, taken
