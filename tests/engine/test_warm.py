"""Going on from a finished network."""

from __future__ import annotations

import numpy as np

from tests.conftest import WITHOUT_JIT
from tests.engine.test_train import SETTINGS, SHAPE, make_task
from udt.csr import one_class
from udt.engine.mix import Mix
from udt.engine.network import slim
from udt.engine.train import logits, train
from udt.engine.warm import accumulators, resume

N_ROWS = 160 if WITHOUT_JIT else 600
BOTH = Mix(np.float32(0.5), np.float32(1), np.float32(1))
WIDE = Mix(np.float32(0), np.float32(1), np.float32(1))


def test_new_features_and_classes_leave_old_logits_as_they_were(rng):
    rows, y = make_task(rng, N_ROWS)
    trained = train(rows, one_class(y), 3, SHAPE, SETTINGS).network
    finished, kept = slim(trained, BOTH), accumulators(trained)
    features, classes = np.arange(40) * 2, np.array([0, 2, 3])
    more = resume(
        finished, kept, n_features=81, n_classes=4, feature_ids=features, class_ids=classes,
        init_scale=0.1, rng=rng,
    )  # fmt: skip
    moved = rows._replace(indices=features[rows.indices].astype(np.int32), n_features=81)
    for old, new in zip(logits(finished, rows), logits(more, moved), strict=True):
        assert np.allclose(new[:, classes], old, atol=1e-5)
    assert more.b_wide[1] == finished.b_wide.min()
    assert np.allclose(more.w_wide[features, -1], trained.w_wide[:, -1], rtol=2e-3, atol=1e-6)
    assert not more.w_wide[1::2].any()


def test_a_path_that_is_not_there_stays_away(rng):
    rows, y = make_task(rng, N_ROWS)
    trained = train(rows, one_class(y), 3, SHAPE, SETTINGS).network
    more = resume(
        slim(trained, WIDE), accumulators(trained), n_features=40, n_classes=3,
        feature_ids=np.arange(40), class_ids=np.arange(3), init_scale=0.1, rng=rng,
    )  # fmt: skip
    assert more.width == 0
    again = train(rows, one_class(y), 3, SHAPE, SETTINGS, start=more)
    assert again.network.width == 0


def test_training_goes_on_where_it_was_and_leaves_the_start_alone(rng):
    rows, y = make_task(rng, N_ROWS)
    first = train(rows, one_class(y), 3, SHAPE, SETTINGS)
    before = first.network.w_wide.copy()
    again = train(rows, one_class(y), 3, SHAPE, SETTINGS, start=first.network)
    assert np.array_equal(first.network.w_wide, before)
    assert again.history[0]["loss_wide"] < 0.7 * first.history[0]["loss_wide"]
