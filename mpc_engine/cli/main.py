"""Entry point of `mpc-engine`. Commands are imported when they run, so that `--help` is quick."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from mpc_engine._version import __version__
from mpc_engine.errors import MpcError

__all__ = ["app"]


class Commands(TyperGroup):
    """Shows an engine error as its text, without a traceback, and exits with 1."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except MpcError as error:
            typer.echo(str(error), err=True)
            raise typer.Exit(1) from None


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Joint queries and models over tables whose owners may not show each other their rows.",
)

Protocol = Literal["aby3", "cheetah", "plaintext"]
Where = Literal["ray", "threads"]
Placement = Literal["owners", "rows", "secret"]


def _version(*, asked: bool) -> None:
    if asked:
        typer.echo(f"mpc-engine {__version__}")
        raise typer.Exit


@app.callback()
def _common(
    *,
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=lambda v: _version(asked=v), is_eager=True)
    ] = False,
) -> None:
    """Joint queries and models over tables whose owners may not show each other their rows."""


@app.command()
def demo(
    *,
    data: Annotated[Literal["german", "taiwan"], typer.Option(help="Which credit data set.")] = "german",
    protocol: Annotated[Protocol, typer.Option(help="How the parties compute.")] = "aby3",
    executor: Annotated[Where, typer.Option(help="Parties as processes hosted by Ray, or as threads.")] = "ray",
    report: Annotated[Path, typer.Option(help="Where the HTML run report goes.")] = Path("credit_risk.report.html"),
) -> None:
    """Run the joint credit-risk example: a query and a model over two owners' tables, beside the clear-text answer."""
    from mpc_engine.cli.demo import run_demo

    run_demo(data, protocol=protocol, executor=executor, report=report)


@app.command()
def doctor() -> None:
    """Check this machine: processor, packages, native kernels, ports, memory. Exits with 1 if something is missing."""
    from mpc_engine.cli.doctor import run_doctor

    raise typer.Exit(run_doctor())


@app.command()
def bench(
    workload: Annotated[str, typer.Argument(help="What to measure; `mpc-engine bench list` names all there is.")],
    *,
    rows: Annotated[int | None, typer.Option(min=1, help="Rows of each table.")] = None,
    repeat: Annotated[int | None, typer.Option(min=1, help="Timings; the median counts.")] = None,
    bits: Annotated[int | None, typer.Option(min=1, max=64, help="Bits of keys and numbers to compare.")] = None,
    columns: Annotated[int | None, typer.Option(min=1, help="Columns that move; of the product (matmul).")] = None,
    groups: Annotated[int | None, typer.Option(min=1, help="Groups; rows of the product (matmul).")] = None,
    against: Annotated[str, typer.Option(help="Also measure these, separated by commas: spu, plaintext.")] = "",
    protocol: Annotated[Protocol, typer.Option(help="How the parties compute.")] = "aby3",
    executor: Annotated[Where | None, typer.Option(help="Parties as processes hosted by Ray, or as threads.")] = None,
    tls: Annotated[bool, typer.Option(help="Encrypt our links; SPU's stay plain.")] = False,
    scale: Annotated[float | None, typer.Option(min=0.0001, help="Scale factor of TPC-H.")] = None,
    placement: Annotated[Placement | None, typer.Option(help="Who holds which tables (TPC-H).")] = None,
    queries: Annotated[str, typer.Option(help="Queries of TPC-H, separated by commas; all unless given.")] = "",
    features: Annotated[int | None, typer.Option(min=2, help="Features of a model.")] = None,
    depth: Annotated[int | None, typer.Option(min=1, max=8, help="Levels of a tree.")] = None,
    bins: Annotated[int | None, typer.Option(min=2, max=64, help="Bins of each feature.")] = None,
    trees: Annotated[int | None, typer.Option(min=1, help="Trees.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line.")] = False,
) -> None:
    """Measure a workload, after comparing its result with the clear-text reference."""
    from mpc_engine.cli.bench import list_workloads, query_numbers, run_bench, settings_of

    if workload == "list":
        list_workloads()
        return
    sides = tuple(name.strip() for name in against.split(",") if name.strip())
    given: dict[str, Any] = {"rows": rows, "repeat": repeat, "bits": bits, "columns": columns, "groups": groups}
    given |= {"executor": executor, "scale": scale, "placement": placement, "queries": query_numbers(queries)}
    given |= {"features": features, "depth": depth, "bins": bins, "trees": trees}
    run_bench(workload, settings_of(workload, **given, against=sides, protocol=protocol, tls=tls), json=json)


if __name__ == "__main__":
    app()
