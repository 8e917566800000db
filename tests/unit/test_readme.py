"""Every Python block of the README and of the documentation runs, and every error code has its page."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = sorted(path.relative_to(ROOT) for path in (ROOT / "docs").rglob("*.md"))
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"MPC-0\d{3}")


def blocks(path: Path) -> list[str]:
    return BLOCK.findall((ROOT / path).read_text(encoding="utf-8"))


def run_blocks(path: Path) -> None:
    """Run the blocks of a page one after the other, as a reader who copies them would."""
    names: dict[str, object] = {"__name__": "page"}
    text = (ROOT / path).read_text(encoding="utf-8")
    for found in BLOCK.finditer(text):
        line = text[: found.start()].count("\n") + 1
        exec(compile("\n" * line + found[1], str(ROOT / path), "exec"), names)  # noqa: S102


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_readme(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(ROOT)
    run_blocks(Path("README.md"))
    said = capsys.readouterr().out
    assert "discloses:" in said
    assert "1922263" in said  # the sum of one group, exact on shares


@pytest.mark.parametrize("path", [path for path in DOCS if blocks(path)], ids=str)
def test_docs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run_blocks(path)


def test_readme_has_few_lines_of_example() -> None:
    (example,) = blocks(Path("README.md"))
    assert len(example.splitlines()) <= 14


def test_every_error_code_has_a_page_and_every_page_a_code() -> None:
    sources = [
        *(ROOT / "mpc_engine").rglob("*.py"),
        *(ROOT / "compiler").rglob("*.py"),
        *(ROOT / "kernels").rglob("*.py"),
    ]
    used = {code for path in sources for code in CODE.findall(path.read_text(encoding="utf-8"))}
    pages = {path.stem for path in (ROOT / "docs" / "errors").glob("MPC-*.md")}
    assert used == pages


def test_every_error_page_says_what_it_means_and_what_to_do() -> None:
    index = (ROOT / "docs" / "errors" / "index.md").read_text(encoding="utf-8")
    for path in (ROOT / "docs" / "errors").glob("MPC-*.md"):
        text = path.read_text(encoding="utf-8")
        assert text.startswith(f"# {path.stem}: ")
        assert re.search(r"## What it means\n\n\S.*?## What to do\n\n\S", text, re.DOTALL), path
        assert f"[{path.stem}]({path.name})" in index


def test_links_between_files_lead_somewhere() -> None:
    for path in (Path("README.md"), *DOCS):
        text = (ROOT / path).read_text(encoding="utf-8")
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", text):
            assert (ROOT / path.parent / target).exists(), f"{path} links to {target}"
