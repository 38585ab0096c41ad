"""The pages of the documentation that are made: nothing is left out, and links lead somewhere."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path, PurePosixPath
from types import ModuleType, SimpleNamespace

import pytest
import typer

from udt.cli.app import app

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_site", ROOT / "scripts/docs_site.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_reference_has_every_command_and_flag(site):
    text = site.cli_reference()
    for name, command in typer.main.get_command(app).commands.items():
        start = text.index(f"\n## udt {name}\n")
        section = (
            text[start : text.find("\n## ", start + 1)] if "\n## " in text[start + 1 :] else text
        )
        for param in command.params:
            for flag in param.opts:
                if flag.startswith("--"):
                    assert flag in section, f"udt {name} {flag}"


@pytest.mark.parametrize(
    ("source", "link", "led"),
    [
        ("docs/guide/train.md", "../design/0006-race.md#rows", "../design/0006-race.md#rows"),
        ("docs/guide/labels.md", "../../benchmarks/RESULTS.md", "../benchmarks.md"),
        ("docs/faq.md", "../benchmarks/RESULTS.md#speed", "benchmarks.md#speed"),
        ("docs/index.md", "../README.md", "index.md"),
        ("docs/how/carbon.md", "../../NOTICE", "{repository}/blob/main/NOTICE"),
        ("benchmarks/RESULTS.md", "README.md", "{repository}/blob/main/benchmarks/README.md"),
        ("benchmarks/RESULTS.md", "results/a.svg", "results/a.svg"),
        ("benchmarks/RESULTS.md", "../docs/faq.md", "faq.md"),
        ("docs/index.md", "https://example.org/x.md", "https://example.org/x.md"),
    ],
)
def test_links_lead_where_the_target_is_on_the_site(site, source, link, led):
    expected = led.format(repository=site.repository())
    assert site.relink(f"[a]({link})", PurePosixPath(source)) == f"[a]({expected})"


def test_the_navigation_takes_up_every_guide_and_design_note(site):
    sections = [{"Home": "index.md"}, {"Guide": ["guide/train.md"]}, {"Design notes": []}]
    nav = site.on_config(SimpleNamespace(nav=sections)).nav
    guides = {path.name for path in (ROOT / "docs/guide").glob("*.md")}
    assert {page.removeprefix("guide/") for page in nav[1]["Guide"]} == guides
    assert len(nav[1]["Guide"]) == len(guides)
    notes = sorted(path.name for path in (ROOT / "docs/design").glob("*.md"))
    assert nav[2]["Design notes"] == [f"design/{name}" for name in notes]
