"""`mpc-engine doctor`: is this machine fit to compute? One verdict a line."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich.text import Text

from mpc_engine._version import __version__
from mpc_engine.cli import show

__all__ = ["CHECKS", "Verdict", "run_doctor"]

GIB = 1 << 30
_LEAST_MEMORY = 4 * GIB
_LEAST_DISK = 1 * GIB
_NEEDED = (
    "numpy",
    "msgspec",
    "jax",
    "jaxlib",
    "spu",
    "pandas",
    "pyarrow",
    "duckdb",
    "sqlglot",
    "narwhals",
    "ray",
    "rich",
    "typer",
)
_IMPORT_SECONDS = 120
_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@dataclass(frozen=True)
class Verdict:
    """One line of the report.

    Attributes
    ----------
    state : {"ok", "warn", "fail"}
        Only ``fail`` keeps the engine from working.
    what : str
    found : str
    """

    state: Literal["ok", "warn", "fail"]
    what: str
    found: str


def _python() -> Iterator[Verdict]:
    fit = sys.version_info[:2] == (3, 11)
    yield Verdict(
        "ok" if fit else "fail", "python", platform.python_version() + ("" if fit else ": spu has wheels for 3.11 only")
    )
    system = f"{platform.system()} {platform.machine()}"
    yield Verdict("ok" if system == "Linux x86_64" else "warn", "system", f"{system}, mpc-engine {__version__}")


def _processor() -> Iterator[Verdict]:
    flags = _cpu_flags()
    wide = [name for name in ("avx2", "avx512f", "avx512dq", "avx512ifma", "vaes", "gfni") if name in flags]
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    yield Verdict("ok" if usable >= 2 else "warn", "cores", f"{usable} usable; three parties share them")
    yield Verdict(
        "ok" if "avx2" in wide else "warn", "cpu flags", " ".join(wide) or "neither AVX2 nor AVX-512: slow kernels"
    )


def _cpu_flags() -> set[str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return set()
    return {flag for line in text.splitlines() if line.startswith("flags") for flag in line.split(":", 1)[1].split()}


def _memory() -> Iterator[Verdict]:
    pages = {
        name: os.sysconf(name)
        for name in ("SC_PHYS_PAGES", "SC_AVPHYS_PAGES", "SC_PAGE_SIZE")
        if name in os.sysconf_names
    }
    total = pages.get("SC_PHYS_PAGES", 0) * pages.get("SC_PAGE_SIZE", 0)
    free = _available() or pages.get("SC_AVPHYS_PAGES", 0) * pages.get("SC_PAGE_SIZE", 0)
    text = f"{total / GIB:.1f} GiB, {free / GIB:.1f} GiB of it available"
    yield Verdict("ok" if free >= _LEAST_MEMORY else "warn", "memory", text)
    folder = Path(tempfile.gettempdir())
    space = shutil.disk_usage(folder).free
    yield Verdict("ok" if space >= _LEAST_DISK else "fail", "disk", f"{space / GIB:.1f} GiB free in {folder}")


def _available() -> int:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable")), 0)


def _packages() -> Iterator[Verdict]:
    versions, missing = [], []
    for name in _NEEDED:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    yield Verdict(
        "fail" if missing else "ok", "packages", f"missing: {', '.join(missing)}" if missing else ", ".join(versions)
    )


def _imports() -> Iterator[Verdict]:
    """Import the large packages in a process of their own: one built for another processor ends it by a signal."""
    for name in ("jax", "spu", "ray"):
        try:
            done = subprocess.run(
                [sys.executable, "-c", f"import {name}"],
                capture_output=True,
                text=True,
                timeout=_IMPORT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            yield Verdict("fail", f"import {name}", f"not done after {_IMPORT_SECONDS} s")
            continue
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        yield Verdict("fail" if done.returncode else "ok", f"import {name}", last if done.returncode else "works")


def _kernels() -> Iterator[Verdict]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        import mpc_kernels
    if mpc_kernels.NATIVE:
        yield Verdict("ok", "native kernels", f"compiled, using {mpc_kernels.isa()}")
    else:
        yield Verdict("warn", "native kernels", "not compiled: slow numpy reference; run `make setup`")


def _ports() -> Iterator[Verdict]:
    try:
        with (
            socket.create_server(("127.0.0.1", 0)) as server,
            socket.create_connection(server.getsockname(), timeout=5),
        ):
            yield Verdict("ok", "loopback", "ports can be opened and reached")
    except OSError as error:
        yield Verdict("fail", "loopback", f"ports cannot be used: {error}")


CHECKS: tuple[Callable[[], Iterator[Verdict]], ...] = (
    _python,
    _processor,
    _memory,
    _packages,
    _kernels,
    _ports,
    _imports,
)
"""Every check; each yields verdicts."""


def run_doctor() -> int:
    """Print a verdict a line; return 1 when something keeps the engine from working, else 0."""
    out = show.console()
    failed = 0
    for check in CHECKS:
        for verdict in check():
            failed += verdict.state == "fail"
            mark = Text(f"{verdict.state:<5}", style=_COLOURS[verdict.state])
            out.print(
                mark.append(f"{verdict.what:<16}", style="bold").append(verdict.found, style="default"), soft_wrap=True
            )
    out.print(f"{failed} of these must be mended" if failed else "this machine is fit")
    return 1 if failed else 0
