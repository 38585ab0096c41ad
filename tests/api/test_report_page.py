"""The page of a run: what the model keeps for it, and what it shows."""

from __future__ import annotations

import dataclasses
import json
import random
import re
import sys

import pytest

import udt
from tests.api.conftest import make_rows, quick
from tests.pages import read
from tests.serving.test_page import browser  # noqa: F401
from udt import UDT
from udt.errors import SettingsError
from udt.report_page import command

MOST_BYTES = 1_500_000
WORDS = {"good": ("good", "fine", "lovely", "works"), "bad": ("bad", "poor", "broken", "late")}


@pytest.fixture(scope="module")
def unsure() -> UDT:
    """Return a model of rows of which a tenth have the wrong label, with rows to measure on."""
    rng, rows = random.Random(2), make_rows(400, seed=2)
    other = {"good": "bad", "bad": "good"}
    rows["label"] = [other[y] if rng.random() < 0.1 else y for y in rows["label"]]
    train, test = ({k: v[at] for k, v in rows.items()} for at in (slice(250), slice(250, None)))
    model = quick(target="label").fit(train, test=test)
    model.test = test
    return model


# -- what is kept ------------------------------------------------------------------------------


def test_counts_are_those_of_the_rows_that_were_measured(unsure):
    kept, m = unsure.report_.details, unsure.report_.metrics
    assert kept["n_rows"] == m["n_rows"] == 150
    assert sum(map(sum, kept["confusion"])) == 150
    right = sum(kept["confusion"][i][i] for i in range(2))
    assert right / 150 == pytest.approx(m["accuracy"])
    assert sum(b["n_rows"] for b in kept["reliability"]) == 150
    gap = sum(b["n_rows"] * abs(b["accuracy"] - b["confidence"]) for b in kept["reliability"])
    assert gap / 150 == pytest.approx(m["ece"], abs=1e-6)


def test_mistakes_are_rows_of_the_table_that_were_wrong(unsure):
    kept = unsure.report_.details["mistakes"]
    predicted = unsure.predict(unsure.test)
    assert 0 < len(kept) <= 20
    for m in kept:
        at = m["row"] - 1
        assert m["true"] == [unsure.test["label"][at]] != m["predicted"]
        assert m["predicted"] == [predicted[at]]
        assert m["cells"]["text"] == unsure.test["text"][at]
    surest = [m["confidence"] for m in kept]
    assert surest == sorted(surest, reverse=True)


def test_words_are_told_of_the_class_that_they_speak_for(unsure):
    kept = unsure.report_.details
    told = {c["label"]: [w["text"] for w in c["words"]][:3] for c in kept["telling"]}
    for label, words in told.items():
        assert set(words) <= set(WORDS[label]), told
    weights = {e["column"]: e["weight"] for e in kept["importance"]}
    assert max(weights, key=weights.__getitem__) == "text"
    assert kept["n_explained"] > 10


def test_what_is_kept_stays_small_and_apart(tmp_path):
    """Long cells and many labels are cut; neither --json nor the model's hash knows of them."""
    rng = random.Random(0)
    labels = [f"label {i % 60} " + "x" * 80 for i in range(600)]
    texts = [f"word{i % 60} " + "long " * 3_000 + str(rng.random()) for i in range(600)]
    model = quick().fit(texts, labels)
    kept = model.report_.details
    assert "confusion" not in kept
    assert len(json.dumps(kept)) < 100_000
    assert "details" not in model.report_.to_dict()
    before = model.content_sha256_
    model.report_.details.clear()
    assert model.content_sha256_ == before


def test_it_is_kept_in_the_file(unsure, tmp_path):
    unsure.save(tmp_path / "m.udt")
    again = udt.load(tmp_path / "m.udt")
    assert again.report_.details == json.loads(json.dumps(unsure.report_.details))
    assert read(again.report_.to_html()) == read(unsure.report_.to_html())


# -- what is shown -----------------------------------------------------------------------------


def test_the_page_has_all_parts_and_needs_nothing_else(unsure):
    page = unsure.report_.to_html(unsure.get_params())
    words = read(page)
    assert len(page.encode()) < MOST_BYTES
    assert not re.search(
        r"https?:|//[a-z]|<script|<link(?! rel='icon' href='data:,')|url\((?!#)", page
    )
    for part in (
        "Right and wrong", "How sure", "The race", "Columns", "What tells the classes apart",
        "Worst mistakes", "Energy and CO2", "Where it went", "Training against use",
        "The same run elsewhere", "Choices", "Do it again",
    ):  # fmt: skip
        assert part in words
    assert page.count("<svg") == 3
    assert f"{100 * unsure.report_.metrics['accuracy']:.1f} %" in words
    assert "UDT(n_threads=1, random_state=0, target='label').fit(TABLE)" in words


def test_identifiers_are_each_used_once(unsure):
    page = unsure.report_.to_html()
    found = re.findall(r' id="([^"]+)"', page)
    assert len(found) == len(set(found))
    assert set(re.findall(r'(?:href="#|url\(#)([^")]+)', page)) <= set(found)


def test_words_of_the_table_are_never_markup(rows):
    evil = "<img src=x onerror=alert(1)>"
    rows["label"] = [f"{evil}{y}" for y in rows["label"]]
    rows["text"] = [f"{t} <script>alert(1)</script>" for t in rows["text"]]
    rows[f"a{evil}"] = list(rows.pop("shop"))
    model = quick(target="label").fit(rows)
    for html in (
        model.report_.to_html(),
        model._repr_html_(),
        model.explain(rows["text"][0]).to_html(),
    ):
        assert "<img" not in html
        assert "<script" not in html
    read(model.report_.to_html())


def test_several_labels_a_row(rows):
    several = [f"{y};{s}" for y, s in zip(rows["label"], rows["shop"], strict=True)]
    model = quick(multi_label=";").fit(rows["text"], several)
    words = read(model.report_.to_html())
    assert "micro-F1" in words
    assert "true \\ predicted" not in words


def test_a_report_without_details_has_a_page(unsure):
    """As one of an older model has none."""
    d = unsure.report_.to_dict()
    page = type(unsure.report_).from_dict(d).to_html()
    assert "Energy and CO2" in read(page)
    assert "Worst mistakes" not in page


def test_the_command_says_what_was_set(unsure):
    given = {"random_state": 3, "multi": {"tags": "|"}, "text": ["a b"], "multi_label": False}
    given |= {"bad_rows": "refuse", "width": None, "target": "label", "n_threads": 2}
    report = dataclasses.replace(unsure.report_, source="my reviews.csv")
    assert command(report, given) == (
        "udt train 'my reviews.csv' --target label --seed 3 --multi 'tags:|' --text 'a b' "
        "--multi-label none --threads 2"
    )


def test_without_matplotlib_it_says_what_to_install(unsure, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(SettingsError, match=r"openudt\[plots\]"):
        unsure.report_.to_html()


def test_notebooks_show_figures(unsure):
    for html in (unsure._repr_html_(), unsure.report_._repr_html_()):
        assert "accuracy" in read(html)
        assert "<svg" not in html
    assert unsure._repr_mimebundle_()["text/html"] == unsure._repr_html_()
    assert "UDT" in UDT()._repr_mimebundle_()["text/html"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1_200])
def test_in_a_browser(unsure, tmp_path, browser, scheme, width):  # noqa: F811
    """No complaint, no request, nothing that is wider than the screen."""
    (tmp_path / "report.html").write_text(unsure.report_.to_html(), "utf-8")
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    problems, asked = [], []
    page.on("console", lambda m: problems.append(m.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto((tmp_path / "report.html").as_uri())
    assert problems == []
    assert asked == [(tmp_path / "report.html").as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == ("rgb(255, 255, 255)" if scheme == "light" else "rgb(13, 17, 23)")
    assert page.locator("svg").first.bounding_box()["height"] > 100
    page.close()
