"""Streams of our kernels and of the library's cipher agree, and the protocol runs on either."""

import numpy as np
import pytest

import mpc_kernels
from mpc_engine.runtime.replicated import core
from mpc_engine.runtime.replicated.arithmetic import multiply, open_all
from mpc_engine.runtime.replicated.core import Replicated
from tests.parties import run


class Fixed:
    """Links of a party alone, whose peer always sends the same seed."""

    def send(self, to: int, payload: bytes | memoryview) -> None:
        pass

    def recv(self, frm: int) -> bytes:
        return bytes(range(32))


def _taken() -> list[np.ndarray]:
    party = Replicated(1, Fixed())
    party.setup()
    return [
        party.words(1, 3),
        party.zero(77),
        party.stream(2, 301),
        party.zero_bits(5),
        party.words(2, 1),
        party.zero(2000),
        party.zero_bits(0),
        party.stream(1, 9),
    ]


@pytest.mark.skipif(not mpc_kernels.has_aes(), reason="only the library's cipher runs here")
def test_our_kernels_and_the_library_make_the_same_streams(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core.os, "urandom", lambda size: b"\x07" * size)
    ours = _taken()
    monkeypatch.setattr(core, "_NATIVE_STREAMS", False)
    for mine, library in zip(ours, _taken(), strict=True):
        np.testing.assert_array_equal(mine, library)


def test_the_protocol_runs_without_aes_instructions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core, "_NATIVE_STREAMS", False)

    def body(party: Replicated) -> tuple[np.ndarray, ...]:
        x = np.stack([party.stream(c, 1000) for c in (party.rank, (party.rank + 1) % 3)], axis=-1)
        return open_all(party, x), open_all(party, multiply(party, x, x))

    for x, squared in run(body).results:
        np.testing.assert_array_equal(squared, x * x)
