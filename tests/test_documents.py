"""Documents keep their word: commands run, flags exist, links lead somewhere."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import typer

import udt
from udt.cli.app import app

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    p for folder in (".", "docs", "docs/design", "benchmarks") for p in (ROOT / folder).glob("*.md")
)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def fences(path: Path, language: str | None = None) -> list[tuple[str, str]]:
    found = FENCE.findall(path.read_text(encoding="utf-8"))
    return [(lang, body) for lang, body in found if language in (None, lang)]


# --- the first two fences of the README -------------------------------------------------------


def test_the_first_two_fences_run_in_a_fresh_shell():
    (first, install), (second, tests) = fences(ROOT / "README.md")[:2]
    assert (first, second) == ("bash", "bash")
    for body in (install, tests):
        lines = body.splitlines()
        assert not any(line.startswith(("$", "#", "(")) or not line.strip() for line in lines)
        assert lines[:2] == ["python3 -m venv .venv", ". .venv/bin/activate"]
        assert re.match(r"pip install (\.|\"\.\[test\]\")$", lines[2])


def test_the_first_fence_trains_on_the_demo_table():
    last = shlex.split(fences(ROOT / "README.md")[0][1].splitlines()[-1])
    assert last == ["udt", "train", "demos/reviews.csv", "--target", "label"]
    header, *rows = (ROOT / last[2]).read_text(encoding="utf-8").splitlines()
    assert last[4] in header.split(",")
    assert rows


def test_the_second_fence_runs_the_tests():
    assert fences(ROOT / "README.md")[1][1].splitlines()[-1] == "python -m pytest"


# --- snippets ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["README.md", "docs/index.md"])
def test_python_snippets_run(name, tmp_path, monkeypatch, capsys):
    lines = (ROOT / "demos/reviews.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    (tmp_path / "demos").mkdir()
    (tmp_path / "demos/reviews.csv").write_text("".join(lines[:300]), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    snippets = fences(ROOT / name, "python")
    assert snippets
    for _, body in snippets:
        exec(compile(body, name, "exec"), {})
    assert capsys.readouterr().out


COMMANDS = [
    pytest.param(line, id=f"{path.name}: {line[:50]}")
    for path in DOCUMENTS
    for language, body in fences(path)
    if language in ("", "bash")
    for line in body.splitlines()
    if re.match(r"udt [a-z]+ ", line)
]


def test_commands_were_found():
    assert len(COMMANDS) >= 8


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_and_their_flags_exist(line):
    group = typer.main.get_command(app)
    name = line.split()[1]
    assert name in group.commands, f"there is no 'udt {name}'"
    known = {flag for p in group.commands[name].params for flag in p.opts} | {"--help"}
    assert set(re.findall(r"(?<![\w-])--[a-z-]+", line)) <= known


# --- links, versions --------------------------------------------------------------------------


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_to_files(path):
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if not target.startswith(("http://", "https://")):
            assert (path.parent / target).exists(), target


def test_one_version_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert project["version"] == udt.__version__
    assert f"\nversion: {udt.__version__}\n" in citation


def test_every_design_note_is_numbered_in_order():
    names = sorted(p.name for p in (ROOT / "docs/design").glob("*.md"))
    assert [name[:5] for name in names] == [f"{i:04d}-" for i in range(1, len(names) + 1)]
