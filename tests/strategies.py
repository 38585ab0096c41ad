"""Hypothesis strategies: texts in every script, rows of keys, rows of features."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import strategies as st

from udt.csr import CSR

PIECES = (
    *("a", "I", "the", "don't", "O’Neill", "ʼtis", "naïve", "İstanbul", "ΣΑΣ", "x1", "42", "３ｘ"),
    *(" ", "  ", "\n", "\t", "\x00", "\u00a0", "\u2028", "\u3000", "\x7f"),
    *("!", "!!", "!!!!", "...", "…", "’", "''", "'", "-", "！", "！！", "，", "(", "€", "Ⓐ"),
    *(
        "中",
        "文字",
        "々",
        "日本語",
        "ひらがな",
        "カタカナー",
        "ﾊﾞ",
        "・",
        "\U00020000",
        "\U0003134f",
    ),
    *("한국어", "ภาษาไทย", "ქართული", "שלום", "مرحبا", "हिन्दी", "e\u0301", "\u0301"),
    *(
        "😂",
        "😂😂",
        "❤️",
        "👩‍👩‍👧",
        "🏴\U000e0067\U000e007f",
        "\u200b",
        "\u00ad",
        "\ufeff",
        "\ufe0f",
    ),
    *("<b>", "</p>", "<br />", "<a href='x'>", "<", "<<", "<3", "<x", "<b<i>", "<B\n>", "<é>"),
    *("\ue000", "\U00050000", "\U0010ffff", "\ufffd"),
)
"""What tokenizers trip over."""

texts = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=12).map("".join)


@st.composite
def key_rows(draw: st.DrawFn) -> list[list[int]]:
    """Rows of 64-bit keys, never 0, with repeats within and between rows."""
    pool = draw(st.lists(st.integers(1, 2**64 - 1), min_size=1, max_size=30))
    return draw(st.lists(st.lists(st.sampled_from(pool), max_size=12), max_size=12))


def flat(rows: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Return rows of keys as the kernels take them: (keys, indptr)."""
    indptr = np.cumsum([0, *map(len, rows)]).astype(np.int64)
    return np.array([*itertools.chain(*rows)], np.uint64), indptr


@st.composite
def csr_rows(draw: st.DrawFn, max_rows: int = 8, max_features: int = 10) -> CSR:
    """Rows of distinct features with positive values; some of them empty."""
    n_features = draw(st.integers(1, max_features))
    feature_sets = draw(st.lists(st.sets(st.integers(0, n_features - 1)), max_size=max_rows))
    indices = [*itertools.chain(*feature_sets)]
    values = draw(
        st.lists(st.floats(0.125, 8, width=32), min_size=len(indices), max_size=len(indices))
    )
    return CSR(
        np.cumsum([0, *map(len, feature_sets)]).astype(np.int64),
        np.array(indices, np.int32),
        np.array(values, np.float32),
        n_features,
    )
