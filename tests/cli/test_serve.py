"""``udt serve`` refuses what it cannot serve before it starts."""

from __future__ import annotations

import builtins
import socket

import pytest


def test_help_names_the_interface(run):
    done = run("serve", "--help")
    assert done.exit_code == 0
    assert "POST /predict" in done.stdout


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--port", "70000"], "Got --port 70000. Expected a whole number, 0 to 65535."),
        (["--port", "-1"], "Got --port -1"),
        (["--max-rows", "0"], "Got --max-rows 0. Expected a whole number, 1 or more."),
        (["--max-bytes", "many"], "'many' is not a whole number"),
        (["--token", "naïve"], "--token cannot be sent in a header"),
        (["--token", ""], "--token cannot be sent in a header"),
    ],
)
def test_flags_are_checked(run, flags, words):
    done = run("serve", "m.udt", *flags)
    assert done.exit_code == 2
    assert words in done.stderr


def test_without_the_extra_it_says_what_to_install(run, monkeypatch):
    real = builtins.__import__

    def without(name, *rest):
        if name == "udt.serving.server" or name.split(".")[0] == "fastapi":
            raise ModuleNotFoundError("No module named 'fastapi'", name="fastapi")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    done = run("serve", "m.udt")
    assert done.exit_code == 2
    assert "pip install 'openudt[serve]'" in done.stderr


@pytest.fixture
def _with_extra():
    for extra in ("fastapi", "uvicorn", "prometheus_client"):
        pytest.importorskip(extra)


@pytest.mark.usefixtures("_with_extra")
def test_a_model_that_is_not_there(run):
    done = run("serve", "nothing.udt", "--port", "0")
    assert done.exit_code == 3
    assert "nothing.udt does not exist" in done.stderr


@pytest.mark.usefixtures("_with_extra")
def test_a_port_that_is_taken(run):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run("serve", "m.udt", "--port", taken.getsockname()[1])
    assert done.exit_code == 2
    assert "is in use by another program" in done.stderr


@pytest.mark.usefixtures("_with_extra")
@pytest.mark.parametrize(
    ("flags", "words"),
    [(["--host", "no.such.host.invalid"], "cannot be listened on"), (["--region", "moon"], "moon")],
)
def test_an_address_or_a_place_that_is_none(run, flags, words):
    done = run("serve", "m.udt", "--port", "0", *flags)
    assert done.exit_code == 2
    assert words in done.stderr
