"""Socket, signals and uvicorn: from a model file to a server that runs until it is told to end."""

from __future__ import annotations

import contextlib
import errno
import gc
import ipaddress
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import prometheus_client
import uvicorn

from udt.carbon import find_machine, find_place
from udt.errors import SettingsError
from udt.serving.account import Account
from udt.serving.app import PATHS, Access, Limits, Service, create_app
from udt.serving.store import ModelStore, Say

_BACKLOG = _MAX_CONNECTIONS = 1024  # each may hold a body in memory
_FINISH_WITHIN_S = 10  # requests that are under way when the server is told to end
_LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "[::1]"})


class Charge(NamedTuple):
    """What the CPU time is charged as; see `udt.carbon`."""

    instance: str | None = None
    region: str | None = None
    country: str | None = None


def serve(
    path: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token: str | None = None,
    limits: Limits | None = None,
    charge: Charge | None = None,
    say: Say,
) -> None:
    """Serve a model until SIGINT or SIGTERM, then finish what is under way.

    Parameters
    ----------
    path : Path
        The model file; when it is replaced, so is the model.
    host : str
        Address or name to listen on.
    port : int
        Port; 0 = any that is free.
    token : str, optional
        What requests have to bring along.
    limits : Limits, optional
        What one request may hold.
    charge : Charge, optional
        What energy and CO2e are estimated for.
    say : callable
        Told, in sentences, what people should know.

    Raises
    ------
    ModelFileError
        The file cannot be used.
    SettingsError
        The address, the port, the instance or the place cannot be used.
    """
    charge = charge or Charge()
    machine = find_machine(charge.instance)
    place = find_place(charge.region, charge.country, on_aws=machine.on_aws)
    with contextlib.closing(_listen(host, port)) as listener:
        store = ModelStore(path, say)
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        account = Account(store, machine, place, PATHS)
        service = Service(store, account, limits or Limits())
        is_local = _is_loopback(listener)
        hosts = _LOOPBACK_NAMES | {host.lower()} if is_local and token is None else frozenset()
        app = create_app(service, Access(token, hosts))
        if not is_local and token is None:
            say(f"warning: whoever reaches {host} can use the model; --token keeps others out.")
        gc.collect()
        gc.freeze()  # the model stays: collections need not look through it
        url = _url(listener)
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            server_header=False,
            backlog=_BACKLOG,
            limit_concurrency=_MAX_CONNECTIONS,
            ws="none",
            timeout_graceful_shutdown=_FINISH_WITHIN_S,
        )
        with _ended_by_signals():
            server = _Server(config, lambda: say(f"serving {path} at {url} (Ctrl-C ends it)."))
            server.run(sockets=[listener])
        say("stopped.")


class _Server(uvicorn.Server):
    """Tells when it is there to answer, and to take signals."""

    def __init__(self, config: uvicorn.Config, tell: Callable[[], None]) -> None:
        super().__init__(config)
        self._tell = tell

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._tell()


def _listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens, or say why there is none."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, *_, address = found[0]
        return socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        why = "is in use by another program" if taken else f"cannot be listened on: {error}"
        raise SettingsError(
            f"Port {port} of {host} {why}. Expected a free port of this machine: choose "
            "another with --port (0 = any)."
        ) from error


def _is_loopback(listener: socket.socket) -> bool:
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback


def _url(listener: socket.socket) -> str:
    address, port = listener.getsockname()[:2]
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Take SIGINT and SIGTERM as the usual way to end a server.

    uvicorn finishes what is under way and then raises the signal again, for whoever was there
    before it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            yield
    finally:
        signal.signal(signal.SIGTERM, previous)
