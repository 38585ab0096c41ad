"""``udt report --html``."""

from __future__ import annotations

import json


def test_a_page_is_written_once(run, trained, tmp_path):
    done = run("report", trained, "--html", "report.html")
    assert (done.exit_code, done.stdout) == (0, "")
    page = (tmp_path / "report.html").read_text("utf-8")
    assert page.startswith("<!doctype html>")
    assert "udt train" in page
    assert "--seed 0" in page
    assert run("report", trained, "--html", "report.html").exit_code == 2
    assert run("report", trained, "--html", "report.html", "--force").exit_code == 0


def test_json_beside_a_page(run, trained, tmp_path):
    done = run("report", trained, "--html", "report.html", "--json")
    assert "metrics" in json.loads(done.stdout)
    assert (tmp_path / "report.html").exists()


def test_the_model_is_not_overwritten(run, trained):
    before = trained.read_bytes()
    done = run("report", trained, "--html", trained, "--force")
    assert done.exit_code == 2
    assert trained.read_bytes() == before
