"""TCP channels between threads of one process, plain or in TLS."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from mpc_engine.runtime.channel import Channel
from mpc_engine.runtime.tcp import Listener, TcpChannel, new_token
from mpc_engine.runtime.tls import Identity, TlsSettings


def connect(
    names: tuple[str, ...], *, timeout: float = 5.0, tls: Mapping[str, TlsSettings] | None = None
) -> list[Channel]:
    """Channels of all `names`."""
    token = new_token()
    with ExitStack() as stack:
        listeners = {name: Listener() for name in names}
        for listener in listeners.values():
            stack.callback(listener.close)
        addresses = {name: listener.address for name, listener in listeners.items()}

        def open_one(name: str) -> Channel:
            secured = tls[name] if tls else None
            return TcpChannel(name, listeners[name], addresses=addresses, token=token, timeout=timeout, tls=secured)

        with ThreadPoolExecutor(len(names)) as pool:
            return list(pool.map(open_one, names))


def settings(names: tuple[str, ...]) -> dict[str, TlsSettings]:
    """Fresh identities that know each other."""
    identities = {name: Identity.create(name) for name in names}
    certificates = {name: identity.certificate for name, identity in identities.items()}
    return {name: TlsSettings(identity, certificates) for name, identity in identities.items()}


def connect_tls(names: tuple[str, ...], *, timeout: float = 5.0) -> list[Channel]:
    """Channels of all `names` in TLS, with fresh identities."""
    return connect(names, timeout=timeout, tls=settings(names))
