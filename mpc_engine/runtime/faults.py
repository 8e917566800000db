"""Errors that cross a process border as plain bytes.

An error of ours keeps its class (from a fixed table), message, code, hint and place. Any other exception crosses
only as its class name and the line of our own code that it left: its text may quote an owner's rows (pandas and
DuckDB do that), so it stays in the log of the party that raised it.

Setting ``MPC_ENGINE_DEBUG=1`` in a party's environment adds the full traceback to the hint; for development with
public data only.
"""

from __future__ import annotations

import os
import traceback
from pathlib import Path

import msgspec

from mpc_engine.errors import ERRORS, MpcError, PeerError

__all__ = ["blamed_party", "decode_error", "encode_error", "peer_error", "typed"]

MAX_ERROR_BYTES = 1 << 20
_PLACE = "party "


class _Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    kind: str
    message: str
    code: str
    hint: str = ""
    where: str = ""


def peer_error(party: str, message: str, *, code: str, hint: str = "") -> PeerError:
    """Return a :class:`PeerError` that names `party` as the one to blame."""
    return PeerError(message, code=code, hint=hint, where=_PLACE + party)


def blamed_party(error: BaseException) -> str:
    """Return the party that a :class:`PeerError` names, or the empty string.

    Examples
    --------
    >>> blamed_party(peer_error("bank_b", "bank_b closed the connection", code="MPC-0602"))
    'bank_b'
    """
    if isinstance(error, PeerError) and error.where.startswith(_PLACE):
        return error.where.removeprefix(_PLACE)
    return ""


def typed(error: BaseException, *, party: str) -> MpcError:
    """Return `error` if it is ours, else an :class:`MpcError` that tells its class and place but not its text.

    Parameters
    ----------
    error : BaseException
    party : str
        The party in which it was raised.

    Returns
    -------
    MpcError
        Code MPC-0614 for an exception that is not ours.
    """
    if isinstance(error, MpcError):
        return error
    hint = "the text is in that party's own log, since it may quote private rows"
    if os.environ.get("MPC_ENGINE_DEBUG") == "1":
        hint = "".join(traceback.format_exception(error))
    message = f"party '{party}' failed with {type(error).__name__} at {_our_line(error)}"
    return MpcError(message, code="MPC-0614", hint=hint, where=_PLACE + party)


def encode_error(error: MpcError) -> bytes:
    """Return the canonical bytes of `error`; an unknown subclass crosses as its nearest known base."""
    kind = next(base.__name__ for base in type(error).__mro__ if ERRORS.get(base.__name__) is base)
    return msgspec.json.encode(_Fault(kind, error.message, error.code, error.hint, error.where))


def decode_error(data: bytes) -> MpcError:
    """Return the error in `data`; anything malformed gives an :class:`MpcError` that says so.

    Examples
    --------
    >>> decode_error(encode_error(PeerError("bank_b does not answer", code="MPC-0611")))
    PeerError('bank_b does not answer')
    >>> decode_error(b'{"kind": "OSError", "message": "", "code": ""}').message
    'a party sent an error that cannot be read'
    """
    try:
        if len(data) > MAX_ERROR_BYTES:
            raise msgspec.ValidationError("too long")
        fault = msgspec.json.decode(data, type=_Fault)
        kind = ERRORS[fault.kind]
    except (msgspec.MsgspecError, KeyError, UnicodeDecodeError):
        return MpcError("a party sent an error that cannot be read", code="MPC-0614")
    return kind(fault.message, code=fault.code, hint=fault.hint, where=fault.where)


def _our_line(error: BaseException) -> str:
    """Return file:line of the innermost frame of the traceback that lies in one of our packages."""
    ours = ("mpc_engine", "mpc_compiler", "mpc_kernels")
    frames = traceback.extract_tb(error.__traceback__)
    for frame in reversed(frames):
        parts = Path(frame.filename).parts
        for package in ours:
            if package in parts:
                return "/".join(parts[parts.index(package) :]) + f":{frame.lineno}"
    return "an unknown place"
