"""Documents keep their word: commands run, flags exist, links lead somewhere."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import urllib.request
from pathlib import Path

import pytest
import typer

import udt
from tests.documents import (
    REASONS,
    ROOT,
    blocks,
    environment,
    make_folder,
    run_block,
    trains_the_default,
)
from udt.cli.app import app

DOCUMENTS = sorted(
    p
    for folder in (
        ".",
        "docs",
        "docs/design",
        "docs/guide",
        "docs/how",
        "docs/reference",
        "benchmarks",
    )
    for p in (ROOT / folder).glob("*.md")
)
RUN = [
    path
    for path in DOCUMENTS
    if path.parent.name != "benchmarks" and blocks(path, "bash", "python")
]


# --- the first two fences of the README -------------------------------------------------------


def test_the_first_two_fences_run_in_a_fresh_shell():
    first, second = blocks(ROOT / "README.md")[:2]
    assert (first.language, second.language) == ("bash", "bash")
    for block in (first, second):
        lines = block.body.splitlines()
        assert not any(line.startswith(("$", "#", "(")) or not line.strip() for line in lines)
        assert lines[:2] == ["python3 -m venv .venv", ". .venv/bin/activate"]
        assert re.match(r"pip install (\.|\"\.\[test\]\")$", lines[2])


def test_the_first_fence_trains_on_the_demo_table():
    last = shlex.split(blocks(ROOT / "README.md")[0].body.splitlines()[-1])
    assert last == ["udt", "train", "demos/reviews.csv", "--target", "label"]
    header, *rows = (ROOT / last[2]).read_text(encoding="utf-8").splitlines()
    assert last[4] in header.split(",")
    assert rows


def test_the_second_fence_runs_the_tests():
    assert blocks(ROOT / "README.md")[1].body.splitlines()[-1] == "python -m pytest"


# --- commands and snippets --------------------------------------------------------------------


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the tables that documents name, and a model of the first of them."""
    folder = tmp_path_factory.mktemp("documents") / "filled"
    make_folder(folder)
    model = udt.UDT(target="label", random_state=0).fit(str(folder / "reviews.csv"))
    model.save(folder / "reviews.udt")
    return folder


def names(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="blocks are written for bash")
@pytest.mark.parametrize("path", RUN, ids=names)
def test_blocks_run(path, filled, tmp_path):
    folder = tmp_path / "folder"
    shutil.copytree(filled, folder)
    if trains_the_default(path):
        (folder / "reviews.udt").unlink()
    variables = environment(tmp_path / "tools")
    for block in blocks(path, "bash", "python"):
        if not block.reason:
            run_block(block, folder, variables)


@pytest.mark.parametrize("path", DOCUMENTS, ids=names)
def test_blocks_that_are_not_run_say_why(path):
    text = path.read_text(encoding="utf-8")
    reasons = [block.reason for block in blocks(path) if block.reason]
    assert set(reasons) <= REASONS
    n_comments = len(re.findall(r"^<!-- not run", text, re.M))
    assert n_comments == len(reasons), "a comment that stands above no block"


def test_python_snippets_of_the_readme_run(filled, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "folder"
    shutil.copytree(filled, folder)
    shutil.copy(folder / "reviews.csv", folder / "demos/reviews.csv")  # a part of it will do
    monkeypatch.chdir(folder)
    snippets = blocks(ROOT / "README.md", "python")
    assert snippets
    for snippet in snippets:
        exec(compile(snippet.body, "README.md", "exec"), {})
    assert capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="ends by a signal")
def test_the_server_of_the_readme_answers(filled, tmp_path):
    pytest.importorskip("uvicorn")
    (block,) = [b for b in blocks(ROOT / "README.md") if b.reason == "starts a server"]
    command = shlex.split(block.body.split("&&")[-1])
    variables = environment(tmp_path / "tools")
    command[0] = str(tmp_path / "tools/udt")
    server = subprocess.Popen(
        [*command, "--port", "0"], cwd=filled, env=variables, stderr=subprocess.PIPE, text=True
    )
    try:
        assert server.stderr is not None
        address = re.search(r"http://\S+", server.stderr.readline())
        assert address is not None
        body = json.dumps({"rows": [{"text": "broke after a week"}]}).encode()
        ask = urllib.request.Request(
            f"{address[0]}/predict", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(ask, timeout=60) as answer:
            assert json.load(answer)["predictions"][0]["label"] in ("negative", "positive")
        with urllib.request.urlopen(address[0], timeout=60) as page:
            assert b"<html" in page.read()
    finally:
        server.terminate()
        server.communicate(timeout=60)
    assert server.returncode == 0


def test_a_block_that_fails_is_noticed(tmp_path):
    (tmp_path / "x.md").write_text("```bash\nudt predict none.udt none.csv\n```\n")
    (block,) = blocks(tmp_path / "x.md")
    with pytest.raises(AssertionError, match=r"none\.udt does not exist"):
        run_block(block, tmp_path, environment(tmp_path / "tools"))


COMMANDS = [
    pytest.param(line.strip(), id=f"{path.name}: {line.strip()[:50]}")
    for path in DOCUMENTS
    for block in blocks(path, "", "bash", "console")
    for line in block.body.splitlines()
    if re.match(r"(\$ )?udt [a-z]+ ", line)
]


def test_commands_were_found():
    assert len(COMMANDS) >= 40


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_and_their_flags_exist(line):
    group = typer.main.get_command(app)
    line = re.split(r" [|#] ", line.removeprefix("$ "))[0]
    name = line.split()[1]
    assert name in group.commands, f"there is no 'udt {name}'"
    known = {flag for p in group.commands[name].params for flag in p.opts} | {"--help"}
    assert set(re.findall(r"(?<![\w-])--[a-z0-9-]+", line)) <= known


# --- links, versions --------------------------------------------------------------------------


@pytest.mark.parametrize("path", DOCUMENTS, ids=names)
def test_links_lead_to_files(path):
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if not target.startswith(("http://", "https://")):
            assert (path.parent / target).exists(), target


def test_one_repository_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    address = project["urls"]["Repository"].removeprefix("https://")
    for path in [*DOCUMENTS, ROOT / "CITATION.cff", *(ROOT / "demos").glob("*.ipynb")]:
        text = path.read_text(encoding="utf-8")
        assert set(re.findall(r"github\.com/[\w.-]+/udt\b", text)) <= {address}, path


def test_one_version_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert project["version"] == udt.__version__
    assert f"\nversion: {udt.__version__}\n" in citation


def test_every_design_note_is_numbered_in_order():
    names = sorted(p.name for p in (ROOT / "docs/design").glob("*.md"))
    assert [name[:5] for name in names] == [f"{i:04d}-" for i in range(1, len(names) + 1)]
