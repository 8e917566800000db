"""The command line: what it prints, what it returns, and how it fails."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import mpc_engine as mpc
from mpc_engine.cli import bench_query, demo, doctor, reference
from mpc_engine.cli.main import app

RUN = CliRunner()


def test_version() -> None:
    result = RUN.invoke(app, ["--version"])
    assert result.exit_code == 0
    assert result.output.strip() == f"mpc-engine {mpc.__version__}"


def test_help_loads_nothing_large() -> None:
    script = (
        "import sys\nfrom typer.testing import CliRunner\nfrom mpc_engine.cli.main import app\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        "loaded = {'jax', 'spu', 'ray', 'pandas', 'duckdb'} & set(sys.modules)\nassert not loaded, loaded\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_unknown_workload_is_told_without_a_traceback() -> None:
    result = RUN.invoke(app, ["bench", "qury"])
    assert result.exit_code == 1
    assert result.output.splitlines() == ["[MPC-0831] no workload 'qury'", "  hint: did you mean 'query'?"]


def test_unknown_workload_far_from_all_lists_them() -> None:
    result = RUN.invoke(app, ["bench", "anova"])
    assert result.exit_code == 1
    assert "hint: there is: sort, shuffle, " in result.output


def test_unknown_side() -> None:
    result = RUN.invoke(app, ["bench", "query", "--against", "duckdb"])
    assert result.exit_code == 1
    assert "[MPC-0832] query cannot be measured against 'duckdb'" in result.output


def test_list_of_workloads() -> None:
    result = RUN.invoke(app, ["bench", "list"])
    assert result.exit_code == 0
    assert "matmul" in result.output
    assert "query" in result.output


def test_bench_query() -> None:
    arguments = ["--rows", "200", "--repeat", "1", "--protocol", "plaintext", "--executor", "threads", "--json"]
    result = RUN.invoke(app, ["bench", "query", *arguments])
    assert result.exit_code == 0, result.output
    figures = json.loads(result.output.splitlines()[-1])
    assert figures["correct"] is True
    assert {
        "workload",
        "rows",
        "protocol",
        "executor",
        "parties",
        "seconds",
        "rounds",
        "bytes_sent",
        "peak_rss_mb",
    } <= set(figures)
    assert figures["rows"] == 200
    assert figures["against"] == figures["ratio"] == {}


def test_bench_matmul() -> None:
    options = ["--rows", "500", "--groups", "8", "--columns", "6", "--repeat", "1", "--against", "spu,plaintext"]
    result = RUN.invoke(app, ["bench", "matmul", *options, "--json"])
    assert result.exit_code == 0, result.output
    figures = json.loads(result.output.splitlines()[-1])
    assert figures["correct"] is True
    assert set(figures["against"]) == set(figures["ratio"]) == {"spu", "plaintext"}
    assert figures["rounds"] == 1
    assert figures["bytes_sent"] == 3 * 8 * 8 * 6  # three parties, 8 bytes for each of 8 x 6 results


def test_query_tables_overlap_as_said() -> None:
    data = bench_query.tables(1000, 8)
    a, b = (set(table["id"]) for held in data.values() for table in held.values())
    assert (len(a), len(b), len(a & b)) == (1000, 1000, 800)


def test_demo(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    result = RUN.invoke(app, ["demo", "--protocol", "plaintext", "--executor", "threads", "--report", str(path)])
    assert result.exit_code == 0, result.output
    for said in (
        "private set intersection",
        "all parties learn",
        "requester learns",
        "exposure equal",
        "Logit Regression Results",
        "largest coefficient error",
        "Where the time went",
        "everything took",
    ):
        assert said in result.output
    page = path.read_text(encoding="utf-8")
    assert "The query, on shares and in pandas" in page
    assert "Logit Regression Results" in page


def test_missing_examples_are_an_error_that_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(mpc, "__file__", str(tmp_path / "mpc_engine" / "__init__.py"))
    with pytest.raises(mpc.ConfigError) as caught:
        demo.load_example("german")
    assert caught.value.code == "MPC-0830"


def test_examples_of_a_wheel_are_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    folder = tmp_path / "site" / "mpc_engine" / "examples" / "credit_risk"
    folder.mkdir(parents=True)
    (folder / "german.py").write_text("TITLE = 'from the wheel'\n", encoding="utf-8")
    monkeypatch.setattr(mpc, "__file__", str(tmp_path / "site" / "mpc_engine" / "__init__.py"))
    assert demo.load_example("german").TITLE == "from the wheel"


def test_doctor(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    quick = [check for check in doctor.CHECKS if check is not doctor._imports]
    monkeypatch.setattr(doctor, "CHECKS", quick)
    assert doctor.run_doctor() == 0
    said = capsys.readouterr().out
    for what in ("python", "cpu flags", "memory", "native kernels", "loopback", "this machine is fit"):
        assert what in said


def test_doctor_fails_on_what_is_missing(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_NEEDED", ("numpy", "no-such-package"))
    monkeypatch.setattr(doctor, "CHECKS", (doctor._packages,))
    assert RUN.invoke(app, ["doctor"]).exit_code == 1
    monkeypatch.setattr(doctor, "CHECKS", (doctor._packages,))
    assert doctor.run_doctor() == 1
    assert "missing: no-such-package" in capsys.readouterr().out


def test_doctor_survives_a_package_that_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    done = subprocess.CompletedProcess([], -4, "", "")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    verdicts = list(doctor._imports())
    assert [verdict.state for verdict in verdicts] == ["fail"] * 3
    assert verdicts[0].found == "exit code -4"


def test_own_reference_equals_statsmodels() -> None:
    import pandas as pd

    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"x": rng.normal(size=300), "large": rng.normal(size=300) * 1e5})
    target = pd.Series((rng.random(300) < 1 / (1 + np.exp(-frame["x"]))).astype(int))
    theirs = reference.clear_logistic(frame, target)
    design = np.column_stack([np.ones(300), frame.to_numpy()])
    ours = reference.newton(design, target.to_numpy(np.float64))
    for mine, other in ((ours.params, theirs.params), (ours.bse, theirs.bse), (ours.pvalues, theirs.pvalues)):
        np.testing.assert_allclose(mine, other, rtol=1e-6)


def test_own_metrics_equal_scikit_learn() -> None:
    from sklearn.metrics import roc_auc_score, roc_curve

    rng = np.random.default_rng(4)
    target, scores = rng.integers(0, 2, 500).astype(float), rng.integers(0, 40, 500) / 40.0
    false, true, _ = roc_curve(target, scores)
    np.testing.assert_allclose(reference.clear_auc(target, scores), roc_auc_score(target, scores), atol=1e-12)
    np.testing.assert_allclose(reference.clear_ks(target, scores), np.abs(true - false).max(), atol=1e-12)
