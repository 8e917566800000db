"""Times the links between three processes: plain TCP against TLS 1.3, interleaved, over loopback.

    python bench/channel.py [--repeat N] [--megabytes N] [--json]

Every party sends to the next and receives from the one before at the same time, as the protocols do. Throughput is
what one party sends in a second (and receives, in the same second); processor seconds are of all three parties for
one gigabyte that one of them sends. A round trip is one message of eight bytes there and back between two parties.
Medians over the repeats; a repeat measures plain and TLS in turn. With ``--json`` the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

from mpc_engine.runtime.channel import Channel
from mpc_engine.runtime.tcp import Listener, TcpChannel, new_token
from mpc_engine.runtime.tls import Identity, TlsSettings

NAMES = ("a", "b", "c")
MODES = ("plain", "tls")
SIZES = (1 << 20, 64 << 20)
PINGS = 300
TIMEOUT = 60.0


@dataclass(frozen=True)
class Row:
    """What was measured of one kind of link."""

    link: str
    connect_ms: float
    round_trip_us: float
    small_gb_s: float
    large_gb_s: float
    small_cpu_s: float
    large_cpu_s: float


def _ring(channel: Channel, payload: bytes, times: int) -> tuple[float, float]:
    """Return the seconds, and this party's processor seconds, of `times` messages around the ring."""
    rank = NAMES.index(channel.me)
    after, before = NAMES[(rank + 1) % 3], NAMES[(rank - 1) % 3]
    channel.agree("go", b"")
    start, cpu = time.perf_counter(), time.process_time()
    for _ in range(times):
        if len(channel.exchange(after, before, "ring", payload)) != len(payload):
            raise AssertionError("a message of another size")
    return time.perf_counter() - start, time.process_time() - cpu


def _round_trip(channel: Channel) -> float:
    """Return the median seconds of a message from a to b and back; c waits."""
    channel.agree("go", b"")
    seconds = [0.0]
    for _ in range(PINGS):
        start = time.perf_counter()
        if channel.me == "a":
            channel.exchange("b", "b", "ping", b"12345678")
            seconds.append(time.perf_counter() - start)
        elif channel.me == "b":
            channel.send("a", "ping", channel.recv("a", "ping"))
    channel.agree("stop", b"")
    return median(seconds)


def _party(rank: int, args: argparse.Namespace) -> None:
    """Run one party; addresses, certificates and tokens go over stdin and stdout."""
    identity = Identity.create(NAMES[rank])
    listeners = {mode: Listener() for mode in MODES}
    mine = {mode: listener.address for mode, listener in listeners.items()}
    print(json.dumps({"addresses": mine, "certificate": identity.certificate.hex()}), flush=True)
    setting = json.loads(sys.stdin.readline())
    known = {name: bytes.fromhex(text) for name, text in setting["certificates"].items()}
    channels, connecting = {}, {}
    for mode, listener in listeners.items():
        addresses = {name: (host, port) for name, (host, port) in setting["addresses"][mode].items()}
        tls = TlsSettings(identity, known) if mode == "tls" else None
        start, token = time.perf_counter(), bytes.fromhex(setting["token"])
        channels[mode] = TcpChannel(NAMES[rank], listener, addresses=addresses, token=token, timeout=TIMEOUT, tls=tls)
        connecting[mode] = time.perf_counter() - start
    runs: dict[str, list[dict[str, Any]]] = {mode: [] for mode in MODES}
    payloads = [os.urandom(size) for size in SIZES]
    for _ in range(args.repeat + 1):
        for mode, channel in channels.items():
            rings = [_ring(channel, payload, (args.megabytes << 20) // len(payload)) for payload in payloads]
            runs[mode].append({"rings": rings, "round_trip": _round_trip(channel)})
    for channel in channels.values():
        channel.close()
    print(json.dumps({"runs": {mode: run[1:] for mode, run in runs.items()}, "connect": connecting}), flush=True)


def _row(mode: str, outputs: list[dict[str, Any]], args: argparse.Namespace) -> Row:
    gigabytes: float = (args.megabytes << 20) / 1e9

    def rate(size: int) -> float:
        slowest: list[float] = [max(o["runs"][mode][k]["rings"][size][0] for o in outputs) for k in range(args.repeat)]
        return float(round(gigabytes / median(slowest), 3))

    def cpu(size: int) -> float:
        spent: list[float] = [sum(o["runs"][mode][k]["rings"][size][1] for o in outputs) for k in range(args.repeat)]
        return float(round(median(spent) / gigabytes, 2))

    trips = [run["round_trip"] for run in outputs[0]["runs"][mode]]
    connecting = max(o["connect"][mode] for o in outputs)
    return Row(mode, round(connecting * 1e3, 1), round(median(trips) * 1e6, 1), rate(0), rate(1), cpu(0), cpu(1))


def _bench(args: argparse.Namespace) -> list[Row]:
    command = [sys.executable, __file__, *sys.argv[1:]]
    parties = [
        subprocess.Popen([*command, "--party", str(r)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for r in range(3)
    ]
    told = [json.loads(p.stdout.readline()) for p in parties if p.stdout]
    named = dict(zip(NAMES, told, strict=True))
    setting = {
        "addresses": {mode: {name: given["addresses"][mode] for name, given in named.items()} for mode in MODES},
        "certificates": {name: given["certificate"] for name, given in named.items()},
        "token": new_token().hex(),
    }
    for p in parties:
        assert p.stdin
        p.stdin.write(json.dumps(setting) + "\n")
        p.stdin.flush()
    outputs = [json.loads(p.communicate(timeout=300)[0]) for p in parties]
    return [_row(mode, outputs, args) for mode in MODES]


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--megabytes", type=int, default=128, help="sent by each party for one measurement")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--party", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.party is not None:
        _party(args.party, args)
        return
    rows = _bench(args)
    print(f"{'':8}{'connect':>10}{'round trip':>12}{'1 MiB':>11}{'64 MiB':>11}{'cpu 1 MiB':>12}{'cpu 64 MiB':>12}")
    for row in rows:
        print(
            f"{row.link:8}{row.connect_ms:7.1f} ms{row.round_trip_us:9.1f} us{row.small_gb_s:6.2f} GB/s"
            f"{row.large_gb_s:6.2f} GB/s{row.small_cpu_s:7.2f} s/GB{row.large_cpu_s:7.2f} s/GB"
        )
    if args.json:
        print(json.dumps({"links": [asdict(row) for row in rows], "cores": os.cpu_count(), "cpu": platform.machine()}))


if __name__ == "__main__":
    main()
