"""What rows count: where weights come from, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_sample_weight

from udt import weights
from udt.csr import Targets, one_class
from udt.errors import DataError, SettingsError
from udt.table import as_table


def test_a_column_of_numbers():
    table = as_table({"text": ["a", "b", "c"], "w": [1, 0, 2.5]})
    assert weights.of_column(table, "w").tolist() == [1, 0, 2.5]
    table = as_table({"w": ["1", "0.5", "3"]})  # as files may have them
    assert weights.of_column(table, "w").tolist() == [1, 0.5, 3]


@pytest.mark.parametrize("cells", [[1.0, -1.0], [1.0, None], [0, 0], ["much", "1"]])
def test_a_column_of_something_else(cells):
    with pytest.raises(
        DataError, match=r"weight column 'w' .* Expected .* from 0 up|is zero in all"
    ):
        weights.of_column(as_table({"w": cells}), "w")


def test_no_such_column():
    with pytest.raises(SettingsError, match=r"'wieght' is not in .* Did you mean 'weight'"):
        weights.of_column(as_table({"weight": [1, 2]}), "wieght")


def test_weights_beside_the_rows():
    assert weights.of_values([1, 2], 2).tolist() == [1, 2]
    assert weights.of_values(3, 2).tolist() == [3, 3]
    for wrong in ([1, 2, 3], [[1], [2]], ["a", "b"], [1, np.nan], [1, -2]):
        with pytest.raises(DataError):
            weights.of_values(wrong, 2)


def test_balanced_is_scikit_learns(rng):
    y = rng.choice(3, 200, p=[0.7, 0.2, 0.1])
    targets = one_class(y)
    found = weights.of_classes(targets, np.array(["a", "b", "c"]), "balanced")
    expected = compute_sample_weight("balanced", y)
    assert np.allclose(found, expected / expected.mean())
    assert found.dtype == np.float32


def test_by_label_and_rows_own_weights():
    targets = one_class(np.array([0, 1, 1]))._replace(weights=np.array([1, 1, 3], np.float32))
    found = weights.of_classes(targets, np.array([10, 20]), {"20": 2.0})
    assert np.allclose(found / found[0], [1, 2, 6])
    several = Targets(np.array([0, 2, 3]), np.array([0, 1, 0], np.int32))
    found = weights.of_classes(several, np.array([10, 20]), {20: 3.0})
    assert np.allclose(found / found[1], [2, 1])  # the mean of 1 and 3; 1
    with pytest.raises(SettingsError, match="names the label 30, which no row has"):
        weights.of_classes(several, np.array([10, 20]), {30: 3.0})


def test_nothing_said_is_nothing_kept():
    targets = one_class(np.array([0, 1]))
    assert len(weights.of_classes(targets, np.array(["a", "b"]), None)) == 0
