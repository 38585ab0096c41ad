"""``udt serve``: a model behind HTTP, and a page to try it on."""

from __future__ import annotations

from typing import Annotated

from udt.cli import options as opt
from udt.cli.options import option
from udt.errors import SettingsError

_HIGHEST_PORT = 65_535


def serve(
    model: opt.Model,
    host: Annotated[
        str, option("--host", "Address to listen on; others than this machine's are public.")
    ] = "127.0.0.1",
    port: Annotated[int, opt.whole("--port", "Port to listen on; 0 = any that is free.")] = 8000,
    token: Annotated[
        str | None,
        option("--token", "What requests must bring along; better given as UDT_TOKEN."),
    ] = None,
    max_rows: Annotated[int, opt.whole("--max-rows", "Most rows of one request.")] = 1_000,
    max_bytes: Annotated[int, opt.whole("--max-bytes", "Most bytes of one request's body.")] = 1
    << 20,
    instance: opt.Instance = None,
    region: opt.Region = None,
    country: opt.Country = None,
) -> None:
    """Serve a model over HTTP, with a page to try it on.

    POST /predict, POST /explain, /schema, /health, /metrics, /openapi.json, and a page at /. A
    model file that is replaced is taken up while the server runs.

    Example: udt serve reviews.udt --port 8000
    """
    for flag, value, least in (
        ("--port", port, 0), ("--max-rows", max_rows, 1), ("--max-bytes", max_bytes, 1)
    ):  # fmt: skip
        if value < least or (flag == "--port" and value > _HIGHEST_PORT):
            most = f" to {_HIGHEST_PORT}" if flag == "--port" else " or more"
            raise SettingsError(f"Got {flag} {value}. Expected a whole number, {least}{most}.")
    if token is not None and (not token.isascii() or not token.isprintable() or not token.strip()):
        raise SettingsError(
            "The --token cannot be sent in a header. Expected letters, digits and signs of "
            "ASCII; make one with: python -c 'import secrets; print(secrets.token_urlsafe())'"
        )
    try:
        from udt.serving.app import Limits
        from udt.serving.server import Charge
        from udt.serving.server import serve as run
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"udt serve needs {error.name}, which is not installed. Install what serving takes "
            "with: pip install 'openudt[serve]'"
        ) from error

    from udt.cli.text import say

    run(
        model,
        host=host,
        port=port,
        token=token,
        limits=Limits(max_rows, max_bytes),
        charge=Charge(instance, region, country),
        say=say,
    )
