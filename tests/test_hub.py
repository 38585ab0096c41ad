"""Pushing a model with its card and loading it by name, against a stub of the hub on loopback."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import udt
from tests.api.conftest import make_rows
from tests.hub_stub import TOKEN, Hub, running_hub
from udt.errors import SettingsError
from udt.hub import HubName, is_hub_name, parse_hub_name


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "shops.udt"
    udt.UDT("label", width=0, random_state=0, n_threads=1).fit(make_rows(120, seed=1)).save(path)
    return path


@pytest.fixture
def hub() -> Iterator[Hub]:
    with running_hub() as hub:
        yield hub


def run(hub: Hub | str, home: Path, *command: str, token: str = TOKEN):
    """Run Python with these arguments; the hub's client reads its settings when it is imported."""
    address = hub if isinstance(hub, str) else hub.address
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "UDT_"))}
    variables = {
        "HF_ENDPOINT": address,
        "HF_HOME": str(home),
        "HF_TOKEN": token,
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_XET": "1",
        "PYTHONPATH": str(Path(udt.__file__).parents[1]),
    }
    return subprocess.run(
        [sys.executable, *command],
        env=kept | variables,
        capture_output=True,
        text=True,
        timeout=120,
    )


LOAD = """
import udt
print(udt.load("hf:owner/shops").predict(["good fine it", "bad poor it"]).tolist())
"""


def test_a_pushed_model_is_loaded_by_its_name(hub, model, tmp_path):
    done = run(hub, tmp_path, "-m", "udt", "card", str(model), "--push", "owner/shops", "--private")
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"{hub.address}/owner/shops"
    files = hub.repositories["owner/shops"]
    assert set(files) == {"README.md", "shops.udt"}
    assert files["shops.udt"] == model.read_bytes()
    assert files["README.md"].startswith(b"---\n")
    assert b"co2_eq_emissions" in files["README.md"]
    assert hub.private == {"owner/shops"}
    assert hub.n_commits == 1

    loaded = run(hub, tmp_path, "-c", LOAD)
    assert loaded.returncode == 0, loaded.stderr
    assert loaded.stdout.strip() == str(
        udt.load(model).predict(["good fine it", "bad poor it"]).tolist()
    )
    assert hub.n_downloads == 1

    hub.shutdown()  # what was downloaded is used without a network
    hub.server_close()
    again = run("http://127.0.0.1:9", tmp_path, "-c", LOAD)
    assert again.stdout == loaded.stdout, again.stderr


def test_predict_takes_a_name(hub, model, tmp_path):
    hub.repositories["owner/shops"] = {"README.md": b"", "shops.udt": model.read_bytes()}
    table = tmp_path / "new.csv"
    table.write_text("text\ngood fine lovely\n")
    name = "hf:owner/shops/shops.udt@main"
    done = run(hub, tmp_path, "-m", "udt", "predict", name, str(table))
    assert done.stdout == "prediction\ngood\n", done.stderr


@pytest.mark.parametrize(
    ("files", "name", "said"),
    [
        (None, "hf:owner/none", "cannot be loaded"),
        ({"README.md": b""}, "hf:owner/shops", "has no model (.udt)"),
        ({"a.udt": b"", "b.udt": b""}, "hf:owner/shops", "has the models a.udt, b.udt"),
        ({"a.udt": b""}, "hf:owner/shops/b.udt", "has no b.udt"),
    ],
)
def test_what_is_not_there_is_said(hub, tmp_path, files, name, said):
    if files is not None:
        hub.repositories["owner/shops"] = files
    done = run(hub, tmp_path, "-m", "udt", "predict", name, "-")
    assert done.returncode == 3, done.stderr
    assert said in done.stderr
    assert "Expected" in done.stderr


def test_a_push_that_is_refused_is_said(hub, model, tmp_path):
    push = ("-m", "udt", "card", str(model), "--push", "owner/shops")
    done = run(hub, tmp_path, *push, token="hf_another")
    assert done.returncode == 1
    assert "cannot be pushed to owner/shops" in done.stderr
    assert "hf auth login" in done.stderr
    assert not hub.repositories
    away = run("http://127.0.0.1:9", tmp_path, *push)
    assert away.returncode == 1
    assert "cannot be pushed" in away.stderr


def test_names_are_told_from_paths():
    assert is_hub_name("hf:owner/name")
    assert not is_hub_name(Path("hf/owner/name.udt"))
    assert parse_hub_name("hf:a/b/c/d.udt@x") == HubName("a/b", "c/d.udt", "x")


@pytest.mark.parametrize("name", ["hf:", "hf:name", "hf:own er/name", "owner/name", "hf:/name"])
def test_names_that_are_none_are_refused(name):
    with pytest.raises(SettingsError, match=r"Expected hf:owner/name"):
        parse_hub_name(name)
