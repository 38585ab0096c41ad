"""The file beside the output from which a killed search goes on."""

import numpy as np
import pytest

from udt import run
from udt.errors import SettingsError
from udt.resume import TrialStore, fingerprint, state_path

TEXTS = [f"{a} {b}" for a in ("good", "bad") for b in "abcdefghijklmnop"] * 4
LABELS = [text.split()[0] for text in TEXTS]
TABLE = {"text": TEXTS, "label": LABELS}


def given(**more):
    from udt import UDT

    return UDT(target="label", **more).get_params(deep=False)


def test_what_is_put_is_found_again(tmp_path):
    path = tmp_path / ".m.udt.search"
    store = TrialStore(path, 3)
    store.put("a", {"z": np.arange(6.0).reshape(2, 3), "n": np.array([1, 2])})
    store.put("b.c", {"z": np.zeros(0, np.float32)})
    again = TrialStore.resume(path)
    assert again.seed == 3
    np.testing.assert_array_equal(again.get("a")["z"], np.arange(6.0).reshape(2, 3))
    assert again.get("b.c")["z"].dtype == np.float32
    assert again.get("c") is None
    assert again.n_found == 2


@pytest.mark.parametrize("content", [None, b"", b"not a search", b"\0" * 100])
def test_nothing_to_resume_is_said(tmp_path, content):
    path = state_path(tmp_path / "m.udt")
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SettingsError, match=r"nothing to resume: .*\.m\.udt\.search is not"):
        TrialStore.resume(path)


def test_a_folder_that_cannot_be_written_to_costs_nothing_else(tmp_path):
    store = TrialStore(tmp_path / "missing" / ".m.udt.search", 0)
    store.put("a", {"z": np.ones(2)})
    assert store.get("a")["z"].tolist() == [1, 1]


def test_a_fingerprint_tells_arrays_and_settings_apart():
    a, b = np.arange(4), np.arange(4)[::-1]
    assert fingerprint(a, "x") == fingerprint(np.arange(4), "x")
    assert len({fingerprint(a, "x"), fingerprint(b, "x"), fingerprint(a, "y")}) == 3


def test_a_killed_search_goes_on_and_leads_to_the_same_model(tmp_path, monkeypatch):
    path, whole = tmp_path / ".m.udt.search", run.train(given(random_state=5), TABLE)

    class Killed(Exception):
        pass

    def kill(*_, **__):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("udt.automl.finish", kill)
        with pytest.raises(Killed):
            run.train(given(random_state=5), TABLE, state=path)
    n_trained = []
    from udt.race import Arena

    anew = Arena._train_anew
    monkeypatch.setattr(Arena, "_train_anew", lambda *args: n_trained.append(1) or anew(*args))
    resumed = run.train(given(), TABLE, state=path, resume=True)
    assert not n_trained
    assert resumed.seed == 5
    assert [t["name"] for t in resumed.report.search["leaderboard"]] == [
        t["name"] for t in whole.report.search["leaderboard"]
    ]
    with pytest.raises(SettingsError, match="has seed 5, not 6"):
        run.train(given(random_state=6), TABLE, state=path, resume=True)


def test_other_data_is_tried_anew(tmp_path):
    path = tmp_path / ".m.udt.search"
    run.train(given(random_state=5), TABLE, state=path)
    other = {"text": [t + " z" for t in TEXTS], "label": LABELS}
    model = run.train(given(), other, state=path, resume=True)
    assert model.report.search["n_trials"] >= 1
    assert TrialStore.resume(path).n_found == 0
