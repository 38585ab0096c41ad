"""Where n-grams lie in a text."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given

from tests import reference
from tests.strategies import texts
from udt.featurizers.spans import Spans, locate
from udt.featurizers.text import MAX_CELL_BYTES, TextEncoder
from udt.featurizers.tokens import KIND_NAMES, WORD_1

ALL_KINDS = (1 << len(KIND_NAMES)) - 1


def located(text: str, known: str | None = None, kinds: int = ALL_KINDS) -> Spans:
    """Return where the n-grams of a text lie that another one has, or the text itself."""
    column = pa.array([known if known is not None else text] * 2, pa.large_string())
    encoder = TextEncoder.fit(column, name="text", kinds=kinds)
    return locate(encoder, pa.array([text], pa.large_string()))


def named(text: str, spans: Spans, kind: str) -> list[str]:
    """Return the n-grams of one kind as they are written."""
    of_kind = spans.kinds == KIND_NAMES.index(kind)
    return [text[a:b] for a, b in zip(spans.starts[of_kind], spans.ends[of_kind], strict=True)]


TEXT = "  Größe 太棒!!! <br/>Don't so\u00adft\n"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("word 1", ["Größe", "太", "棒", "!!!", "Don't", "so\u00adft"]),
        ("word 2", ["Größe", "Größe 太", "太棒", "棒!!!", "!!! <br/>Don't", "Don't so\u00adft",
                    "so\u00adft"]),
        ("char 3", ["Gr", "Grö", "röß", "öße", "ße", "Do", "Don", "on'", "n't", "'t",
                    "so", "so\u00adf", "o\u00adft", "ft"]),
    ],
)  # fmt: skip
def test_ngrams_as_they_are_written(kind, expected):
    assert named(TEXT, located(TEXT), kind) == expected


@given(texts)
def test_words_of_the_oracle_lie_where_they_are_said_to(text):
    spans = located(text)
    words = [token for _, token in reference.tokens(text)]
    assert len(spans.words) == len(words)
    assert (spans.words[:, 0] < spans.words[:, 1]).all()
    assert (np.diff(spans.words.ravel()) >= 0).all()
    for (start, end), word in zip(spans.words.tolist(), words, strict=True):
        there = [token for _, token in reference.tokens(text[start:end])]
        assert there == [word], (text, text[start:end])


@given(texts)
def test_every_known_ngram_is_found_on_words(text):
    column = pa.array([text, text], pa.large_string())
    encoder = TextEncoder.fit(column, name="text", kinds=ALL_KINDS)
    spans = locate(encoder, column.slice(1))
    assert set(spans.features.tolist()) == set(encoder.transform(column.slice(1)).indices.tolist())
    assert (spans.first < spans.last).all()
    assert (spans.starts < spans.ends).all()
    assert (spans.ends <= len(text)).all()
    assert (spans.words[spans.first, 0] <= spans.starts).all()
    assert (spans.words[spans.last - 1, 1] >= spans.ends).all()
    assert (spans.kinds == encoder.feature_kinds()[spans.features]).all()


def test_only_what_is_known_is_found():
    text = "good day good night"
    spans = located(text, "good", kinds=1 << WORD_1)
    assert spans.starts.tolist() == [0, 9]
    assert len(set(spans.features.tolist())) == 1
    assert len(spans.words) == 4


@pytest.mark.parametrize("text", ["", " ", "<br/>", None])
def test_a_text_without_words(text):
    encoder = TextEncoder.fit(pa.array(["a b"] * 2), name="text", kinds=ALL_KINDS)
    spans = locate(encoder, pa.array([text], pa.large_string()))
    assert len(spans.features) == len(spans.words) == 0


def test_what_is_not_read_of_a_long_text_is_not_found():
    text = "é " * (MAX_CELL_BYTES // 3 + 100)
    spans = located(text, kinds=1 << WORD_1)
    assert spans.ends.max() <= MAX_CELL_BYTES // 3 * 2 + 1
