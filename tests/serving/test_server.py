"""Starting, ending, and taking up a new model while requests come in."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import threading
import time

import pytest

from tests.serving.conftest import ROW

WITHIN_S = 20


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_signal_ends_it_after_what_is_under_way(serve, model_file, signum):
    server = serve(model_file)
    body = json.dumps({"rows": [ROW]}).encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=WITHIN_S) as connection:
        head = (
            "POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nexpect: 100-continue\r\n\r\n"
        )
        connection.sendall(head.encode())
        assert connection.recv(1_000).startswith(b"HTTP/1.1 100")  # it is under way
        server.process.send_signal(signum)
        wait_until_refused(server.port)
        connection.sendall(body)
        answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert b'"label":"good"' in answer
    assert server.wait() == 0
    server.wait_for("stopped")
    assert server.printed == ""


def wait_until_refused(port: int) -> None:
    """Wait until nobody listens any more."""
    end = time.monotonic() + WITHIN_S
    while time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            return
        time.sleep(0.05)
    raise AssertionError("the server still listens")


def test_a_model_is_replaced_while_requests_come_in(serve, model_file, other_model_file, tmp_path):
    path = tmp_path / "m.udt"
    shutil.copy(model_file, path)
    server = serve(path)
    statuses, labels, is_over = set(), set(), threading.Event()

    def ask() -> None:
        while not is_over.is_set():
            reply = server.predict({"text": "lovely, works"})
            statuses.add(reply.status)
            labels.add(reply.json["predictions"][0]["label"])

    askers = [threading.Thread(target=ask) for _ in range(3)]
    for asker in askers:
        asker.start()
    try:
        path.write_bytes(b"broken")
        server.wait_for("is not a udt model")
        assert "still served" in server.said[-1]
        assert "is not a udt model" in server.ask("GET", "/health").json["problem"]
        shutil.copy(other_model_file, tmp_path / "new")
        os.replace(tmp_path / "new", path)
        server.wait_for("was replaced")
        told = server.predict({"text": "long yellow banana"}).json["predictions"]
        assert told[0]["label"] == "banana"
    finally:
        is_over.set()
        for asker in askers:
            asker.join()
    assert statuses == {200}
    assert labels & {"good", "bad"}
    told = server.ask("GET", "/health").json
    assert (told["problem"], told["replaced"]) == (None, 1)
    assert "fruit" in server.ask("GET", "/openapi.json").json["info"]["summary"]


def test_beyond_loopback_without_a_token_it_warns(serve, model_file):
    server = serve(model_file, "--host", "0.0.0.0")
    assert any("--token keeps others out" in line for line in server.said)
    assert server.ask("GET", "/health", host="any.example").status == 200
