"""``udt explain``."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import make_table


def test_a_text_is_explained(run, trained):
    done = run("explain", trained, "a lovely thing, works fine")
    assert done.exit_code == 0, done.output
    assert "good" in done.stdout
    assert "lovely" in done.stdout
    assert "\x1b[" not in done.stdout


def test_a_row_of_a_table_is_explained(run, trained, tmp_path):
    make_table(tmp_path / "new.csv", 3, seed=2)
    done = run("explain", trained, "--row", "new.csv:3", "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    last = (tmp_path / "new.csv").read_text("utf-8").splitlines()[-1]
    assert told["texts"]["text"] == last.split(",")[0]
    assert {c["column"] for c in told["classes"][0]["columns"]} == {"shop", "price"}


def test_only_the_label_that_is_asked_for(run, trained):
    told = json.loads(run("explain", trained, "fine", "--label", "bad", "--json").stdout)
    assert [c["label"] for c in told["classes"]] == ["bad"]


def test_a_page_is_written_once(run, trained, tmp_path):
    done = run("explain", trained, "lovely <b>", "--html", "why.html")
    assert (done.exit_code, done.stdout) == (0, "")
    page = (tmp_path / "why.html").read_text("utf-8")
    assert page.startswith("<!doctype html>")
    assert "lovely" in page
    assert "http" not in page
    again = run("explain", trained, "fine", "--html", "why.html")
    assert again.exit_code == 2
    assert (tmp_path / "why.html").read_text("utf-8") == page
    assert run("explain", trained, "fine", "--html", "why.html", "--force").exit_code == 0
    assert (tmp_path / "why.html").read_text("utf-8") != page


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ([], 2, "neither"),
        (["fine", "--row", "new.csv:1"], 2, "both"),
        (["--row", "new.csv"], 2, "FILE:N"),
        (["--row", "new.csv:0"], 2, "FILE:N"),
        (["--row", "new.csv:x"], 2, "FILE:N"),
        (["--row", "new.csv:4"], 3, "3 rows"),
        (["--row", "none.csv:1"], 3, "none.csv"),
        (["fine", "--label", "god"], 2, "Did you mean 'good'?"),
    ],
)
def test_what_cannot_be_explained(run, trained, tmp_path, arguments, code, words):
    make_table(tmp_path / "new.csv", 3, seed=2)
    done = run("explain", trained, *arguments)
    assert (done.exit_code, done.stdout) == (code, "")
    assert words in done.stderr
