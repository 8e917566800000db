"""Sort secret rows at three processes over loopback TCP: seconds, rounds, bytes, memory, and whether numpy agrees.

    python bench/replicated_sort.py --rows 262144 --bits 32
    python bench/replicated_sort.py --rows 1000000 --what less_than

Each process is one party with one thread. The key has `--bits` uniform bits, the payload is one 64-bit column. Other
operations are less_than and equal of arithmetic shares with differences of `--bits` + 1 bits, a2b, a shuffle of four
64-bit columns, and compaction by one bit of the key; their results are checked by the tests.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from mpc_engine.runtime.replicated.bits import Bits
from mpc_engine.runtime.replicated.compact import compact
from mpc_engine.runtime.replicated.convert import a2b, is_zero, negative
from mpc_engine.runtime.replicated.core import ChannelLinks, Replicated
from mpc_engine.runtime.replicated.shuffle import Shuffle
from mpc_engine.runtime.replicated.sort import sort_rows
from mpc_engine.runtime.tcp import Listener, TcpChannel, new_token
from mpc_kernels.bits import planes_to_rows, rows_to_planes

NAMES = ("a", "b", "c")
WHAT: dict[str, Callable[[Replicated, Bits, np.ndarray], Any]] = {
    "sort": lambda party, key, payload: sort_rows(party, key, [payload]),
    "less_than": lambda party, key, payload: negative(party, payload, min(key.bits + 1, 64)),
    "equal": lambda party, key, payload: is_zero(party, payload, min(key.bits + 1, 64)),
    "a2b": lambda party, key, payload: a2b(party, payload, key.bits),
    "shuffle": lambda party, key, payload: Shuffle.draw(party, key.rows).apply(party, [payload] * 4),
    "compact": lambda party, key, payload: compact(party, key.planes(slice(0, 1)), [payload]),
}


def _shares(rows: int, bits: int, rank: int) -> tuple[Bits, np.ndarray, np.ndarray, np.ndarray]:
    """The key's and payload's shares at one party, and both in the clear."""
    rng = np.random.default_rng(rows)
    key = rng.integers(0, 2**bits, rows, dtype=np.uint64, endpoint=False) if bits < 64 else _uniform(rng, rows)
    payload = _uniform(rng, rows)
    planes = rows_to_planes(key.reshape(-1, 1), bits)
    parts = [_uniform(rng, *planes.shape), _uniform(rng, *planes.shape)]
    parts.append(planes ^ parts[0] ^ parts[1])
    column = [_uniform(rng, rows), _uniform(rng, rows)]
    column.append(payload - column[0] - column[1])
    after = (rank + 1) % 3
    return Bits(parts[rank], parts[after], rows), np.stack([column[rank], column[after]], axis=-1), key, payload


def _uniform(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.integers(0, 2**64, shape, dtype=np.uint64)


def _check(party: Replicated, result: Any, key: np.ndarray, payload: np.ndarray) -> bool:
    """Open everything and compare with numpy's stable sort."""
    sorted_key, (sorted_payload,), _ = result
    after = (party.rank + 1) % 3
    party.send(after, np.concatenate([sorted_key.own.reshape(-1), sorted_payload[:, 0]]))
    size = sorted_key.own.size
    other = np.frombuffer(party.recv((party.rank - 1) % 3, 8 * (size + len(payload))), np.uint64)
    planes = sorted_key.own ^ sorted_key.next ^ other[:size].reshape(sorted_key.own.shape)
    order = np.argsort(key, kind="stable")
    good_key = np.array_equal(planes_to_rows(planes, len(key))[:, 0], key[order])
    return good_key and np.array_equal(sorted_payload.sum(axis=1, dtype=np.uint64) + other[size:], payload[order])


def _party(rank: int, args: argparse.Namespace) -> None:
    """Run one party; addresses and token are exchanged over stdin and stdout."""
    operation, rows, repeat = WHAT[args.what], args.rows, args.repeat
    listener = Listener()
    print(json.dumps(listener.address), flush=True)
    setting = json.loads(sys.stdin.readline())
    addresses = {name: (host, port) for name, (host, port) in zip(NAMES, setting["addresses"], strict=True)}
    channel = TcpChannel(NAMES[rank], listener, addresses=addresses, token=bytes.fromhex(setting["token"]), timeout=60)
    with channel:
        party = Replicated(rank, ChannelLinks(channel, NAMES))
        party.setup()
        key_share, payload_share, key, payload = _shares(rows, args.bits, rank)
        runs = []
        for _ in range(repeat):
            channel.agree("go", b"")
            before, start, cpu = channel.snapshot(), time.perf_counter(), time.process_time()
            if args.profile and rank == 0:
                import cProfile

                profiler = cProfile.Profile(time.thread_time)
                result = profiler.runcall(operation, party, key_share, payload_share)
                profiler.print_stats("tottime")
            else:
                result = operation(party, key_share, payload_share)
            seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
            spent = channel.snapshot().since(before)
            runs.append({"seconds": seconds, "cpu": cpu, "rounds": spent.rounds, "bytes": spent.total_sent})
        with open("/proc/self/status") as status:
            peak = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
        exact = _check(party, result, key, payload) if args.what == "sort" else None
    print(json.dumps({"runs": runs, "peak_mib": peak / 1024, "exact": exact}), flush=True)


def _bench(args: argparse.Namespace) -> dict[str, Any]:
    rows, repeat = args.rows, args.repeat
    command = [sys.executable, __file__, *sys.argv[1:]]
    parties = [
        subprocess.Popen([*command, "--party", str(r)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for r in range(3)
    ]
    addresses = [json.loads(p.stdout.readline()) for p in parties if p.stdout]
    setting = json.dumps({"addresses": addresses, "token": new_token().hex()})
    outputs = []
    for p in parties:
        assert p.stdin
        p.stdin.write(setting + "\n")
        p.stdin.flush()
    for p in parties:
        text = p.communicate(timeout=300)[0].strip()
        if args.profile:
            print("\n".join(text.split("\n")[:30]))
        outputs.append(json.loads(text.split("\n")[-1]))
    seconds = sorted(max(o["runs"][i]["seconds"] for o in outputs) for i in range(repeat))
    last = [o["runs"][-1] for o in outputs]
    return {
        "rows": rows,
        "bits": args.bits,
        "what": args.what,
        "seconds": round(seconds[len(seconds) // 2], 4),
        "best": round(seconds[0], 4),
        "cpu": round(max(run["cpu"] for run in last), 3),
        "rounds": max(run["rounds"] for run in last),
        "bytes_per_row": round(sum(run["bytes"] for run in last) / rows, 1),
        "peak_mib": round(max(o["peak_mib"] for o in outputs)),
        "exact": all(o["exact"] for o in outputs) if args.what == "sort" else None,
    }


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--bits", type=int, default=32)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--what", choices=WHAT, default="sort")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--party", type=int)
    args = parser.parse_args()
    if args.party is None:
        print(json.dumps(_bench(args)))
    else:
        _party(args.party, args)


if __name__ == "__main__":
    main()
