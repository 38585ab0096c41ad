"""scikit-learn's own checks of the estimator's contract, on numeric input."""

from __future__ import annotations

from typing import Any

from sklearn.base import BaseEstimator
from sklearn.utils.estimator_checks import parametrize_with_checks

from udt import UDT

# Every other check applies as it is. Outside of these checks, by design: a frame whose columns are
# reordered, missing or surplus at prediction is accepted (with a warning for missing ones), where
# scikit-learn's own estimators raise.
NOT_APPLICABLE: dict[str, str] = {
    "check_sample_weight_equivalence_on_dense_data": (
        "a row of weight 2 is no two rows: rows are shuffled, and features dropped, one by one"
    ),
}


def not_applicable(estimator: BaseEstimator) -> dict[str, str]:
    return NOT_APPLICABLE


@parametrize_with_checks(
    [UDT(random_state=0, n_threads=1), UDT(random_state=0, n_threads=1, width=0)],
    expected_failed_checks=not_applicable,
)
def test_check(estimator: BaseEstimator, check: Any) -> None:
    check(estimator)
