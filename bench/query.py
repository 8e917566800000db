"""Times a query over two owners' tables by step, with the memory of every party.

    python bench/query.py [--rows N] [--repeat N] [--groups N] [--against spu,plaintext] [--json]

The same as `mpc-engine bench query`: merge on a key that 80 % of the rows share, a filter that compares columns of
both owners, group-by with count, sum and mean, under aby3 among three parties that Ray hosts. The result is compared
with pandas before anything is timed.
"""

import argparse

from mpc_engine.cli.bench import Settings, run_bench


def main() -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description="Times a query over two owners' tables by step.")
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of each table (default 1,000,000)")
    parser.add_argument("--repeat", type=int, default=1, help="timings after the first run (default 1)")
    parser.add_argument("--groups", type=int, default=8, help="segments (default 8)")
    parser.add_argument("--against", default="", help="other sides to time: spu, plaintext")
    parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    options = parser.parse_args()
    sides = tuple(filter(None, options.against.split(",")))
    run_bench("query", Settings(options.rows, options.repeat, groups=options.groups, against=sides), json=options.json)


if __name__ == "__main__":
    main()
