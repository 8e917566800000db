"""Sessions that tests share: bringing up three processes takes seconds, running a plan in them does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

import pytest
from hypothesis import HealthCheck, settings

import mpc_engine as mpc
from tests.tables import tables

if TYPE_CHECKING:
    from mpc_engine.runtime.cluster import LocalCluster

# One stored choice of examples: a failure here is a change of the engine, not luck. `make test-slow` looks further.
settings.register_profile(
    "repository",
    derandomize=True,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)
settings.load_profile("repository")


class SessionFor(Protocol):
    """Makes or reuses a session."""

    def __call__(self, protocol: str, executor: str, **options: Any) -> mpc.Session: ...


@pytest.fixture(scope="session")
def ray_held() -> Iterator[Callable[[], None]]:
    """Return what keeps one Ray for all tests: without a holder it would stop and start with each session."""
    held: list[LocalCluster] = []

    def hold() -> None:
        if not held:
            from mpc_engine.runtime.cluster import LocalCluster

            held.append(LocalCluster.acquire())

    yield hold
    for cluster in held:
        cluster.release()


@pytest.fixture(scope="session")
def session_for(ray_held: Callable[[], None]) -> Iterator[SessionFor]:
    """Return a function that gives the session over :data:`tests.tables.TABLES` for these settings."""
    found: dict[tuple[Any, ...], mpc.Session] = {}

    def make(protocol: str, executor: str, **options: Any) -> mpc.Session:
        if executor == "ray":
            ray_held()
        key = (protocol, executor, *sorted(options.items()))
        if key not in found:
            found[key] = mpc.Session.local(tables(), protocol=protocol, executor=executor, **options)  # type: ignore[arg-type]
        return found[key]

    yield make
    for session in found.values():
        session.close()
