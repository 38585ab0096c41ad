"""``udt compare``, ``bench``, ``card`` and ``report --life-cycle`` on a real model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Run, make_table


@pytest.fixture
def model(trained: Path, run: Run) -> Path:
    """Return the trained model, in the folder that commands run in."""
    return Path(shutil.copy(trained, "reviews.udt"))


class TestCompare:
    def test_rows(self, run: Run, model: Path) -> None:
        mine = "mine,p4d.24xlarge,40min,share=1/8,accuracy=0.93"
        result = run("compare", model, "--add", mine, "--region", "us-west-1", "--json")
        assert result.exit_code == 0, result.stderr
        found = json.loads(result.stdout)
        first, roberta, added = found["rows"]
        assert first["name"] == "reviews"
        assert roberta["total_g"] == pytest.approx(195.15, rel=0.005)
        assert (added["accuracy"], added["total_g"]) == (0.93, roberta["total_g"])
        assert found["grid"]["grid_g_per_kwh"] == 350.861

    def test_words(self, run: Run, model: Path) -> None:
        words = run("compare", model, model).stdout
        for part in ("fine-tuned RoBERTa", "1.0 ×", "accuracy", "×/÷ 2", "pre-training"):
            assert part in words

    @pytest.mark.parametrize(
        ("flags", "code", "part"),
        [
            (("--add", "BERT,p3.2xlarg,2h"), 2, "p3.2xlarge"),
            (("--add", "BERT"), 2, "NAME,INSTANCE,TIME"),
            (("--region", "us-west-9"), 2, "us-west-1"),
            (("--instance", "r6g.xlarg"), 2, "r6g.xlarge"),
            (("--country", "Germny"), 2, "Germany"),
            (("missing.udt",), 3, "missing.udt"),
        ],
    )
    def test_refused(
        self, run: Run, model: Path, flags: tuple[str, ...], code: int, part: str
    ) -> None:
        result = run("compare", model, *flags)
        assert (result.exit_code, result.stdout) == (code, "")
        assert part in result.stderr


class TestBench:
    @pytest.fixture(autouse=True)
    def _short(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("udt.bench._LEAST_S", 0.05)
        monkeypatch.setattr("udt.bench._MAX_CALLS", 20)

    def test_figures(self, run: Run, model: Path) -> None:
        make_table(Path("new.csv"), 60, seed=3)
        flags = ("--instance", "r6g.xlarge", "--region", "us-west-1", "--against", model)
        result = run("bench", model, "new.csv", *flags, "--shared-by", 4, "--json")
        assert result.exit_code == 0, result.stderr
        found = json.loads(result.stdout)
        through, latency = found["throughput"], found["latency"]
        assert through["rows_per_s"] == pytest.approx(through["n_predictions"] / through["seconds"])
        assert through["n_predictions"] % 60 == 0
        assert 0 < latency["p50_ms"] <= latency["p99_ms"]
        assert found["size"]["model_bytes"] == model.stat().st_size
        carbon, cycle = found["carbon"], found["life_cycle"]
        by_hand_g = found["energy"]["kwh"] * 1.2 * 350.861
        assert carbon["operational_g"] == pytest.approx(by_hand_g)
        assert found["sci"]["SCI_g_per_unit"] == pytest.approx(carbon["total_g"])
        assert cycle["training"]["each_g"] == pytest.approx(cycle["training"]["total_g"] / 4)
        assert cycle["use"]["repaid_predictions"] == pytest.approx(
            cycle["training"]["each_g"] / (carbon["total_g"] / 1e6)
        )
        assert found["against"]["extra_training_g"] == pytest.approx(0)
        assert found["against"]["more_right_per_million"] == 0
        assert found["accuracy"] == found["against"]["accuracy"]

    def test_words(self, run: Run, model: Path) -> None:
        make_table(Path("new.csv"), 60, seed=3)
        words = run("bench", model, "new.csv", "--against", model).stdout
        for part in ("rows/s", "99th percentile", "a million", "break-even", "against"):
            assert part in words

    @pytest.mark.parametrize(
        ("flags", "code", "part"),
        [
            (("--shared-by", "0"), 2, "--shared-by 0"),
            (("--threads", "0"), 2, "--threads 0"),
            (("--instance", "r6g.xlarg"), 2, "r6g.xlarge"),
            (("--against", "missing.udt"), 3, "missing.udt"),
        ],
    )
    def test_refused(
        self, run: Run, model: Path, flags: tuple[str, ...], code: int, part: str
    ) -> None:
        make_table(Path("new.csv"), 5, seed=3)
        result = run("bench", model, "new.csv", *flags)
        assert (result.exit_code, result.stdout) == (code, "")
        assert part in result.stderr

    def test_an_empty_table(self, run: Run, model: Path) -> None:
        Path("new.csv").write_text("text,shop,price\n")
        assert run("bench", model, "new.csv").exit_code == 3


class TestCard:
    def test_stdout_and_file_are_the_same(self, run: Run, model: Path) -> None:
        printed = run("card", model)
        assert printed.exit_code == 0, printed.stderr
        assert "co2_eq_emissions:" in printed.stdout
        assert run("card", model, "-o", "README.md").exit_code == 0
        assert Path("README.md").read_text("utf-8") == printed.stdout

    def test_nothing_is_replaced_unasked(self, run: Run, model: Path) -> None:
        Path("README.md").write_text("mine")
        assert run("card", model, "-o", "README.md").exit_code == 2
        assert Path("README.md").read_text() == "mine"
        assert run("card", model, "-o", "README.md", "--force").exit_code == 0
        assert Path("README.md").read_text() != "mine"


class TestLifeCycle:
    def test_stages_add_up_to_the_run(self, run: Run, model: Path) -> None:
        result = run("report", model, "--life-cycle", "--shared-by", 2, "--json")
        assert result.exit_code == 0, result.stderr
        told, report = json.loads(result.stdout), json.loads(run("report", model, "--json").stdout)
        stages = {s["stage"]: s for s in told["stages"]}
        assert {"read", "featurize", "search", "fit", "test"} <= stages.keys()
        for key, whole in (
            ("kwh", report["energy"]["kwh"]),
            ("total_g", report["carbon"]["total_g"]),
            ("wall_s", report["time"]["wall_s"]),
        ):
            assert sum(s[key] for s in stages.values()) == pytest.approx(whole)
        assert told["training"]["each_g"] == pytest.approx(report["carbon"]["total_g"] / 2)

    def test_words(self, run: Run, model: Path) -> None:
        words = run("report", model, "--life-cycle").stdout
        for part in ("search", "1,000,000,000", "break-even", "in a new car", "basis"):
            assert part in words

    def test_refused(self, run: Run, model: Path) -> None:
        assert run("report", model, "--life-cycle", "--shared-by", "0").exit_code == 2


def test_the_model_file_has_the_account_whole(run: Run, model: Path) -> None:
    carbon = json.loads(run("report", model, "--json").stdout)["carbon"]
    sci, basis = carbon["sci"], carbon["basis"]
    by_hand = (sci["E_kwh"] * sci["I_g_per_kwh"] + sci["M_g"]) / sci["R"]
    assert sci["SCI_g_per_unit"] == pytest.approx(by_hand) == pytest.approx(carbon["total_g"])
    assert {"standard", "functional_unit", "boundary"} <= sci.keys()
    for constant in basis["constants"].values():
        assert {"value", "unit", "source", "year"} == constant.keys()


class TestPredictAndEvaluate:
    def test_say_what_they_cost_if_asked(self, run: Run, model: Path) -> None:
        make_table(Path("new.csv"), 60, seed=3)
        quiet = run("predict", model, "new.csv")
        asked = run("predict", model, "new.csv", "--instance", "r6g.xlarge", "--country", "SWE")
        assert (quiet.stderr, asked.stdout) == ("", quiet.stdout)
        for part in ("60 rows in ", "Wh, CO2e ", "(estimate, ×/÷ 2; SWE 40.695 g/kWh)"):
            assert part in asked.stderr

    def test_json_has_the_blocks(self, run: Run, model: Path) -> None:
        make_table(Path("test.csv"), 60, seed=3)
        flags = ("--instance", "r6g.xlarge", "--region", "us-west-1", "--json")
        found = json.loads(run("evaluate", model, "test.csv", *flags).stdout)
        assert found["energy"]["kwh"] > 0
        by_hand_g = found["energy"]["kwh"] * 1.2 * 350.861
        assert found["carbon"]["operational_g"] == pytest.approx(by_hand_g)

    @pytest.mark.parametrize("command", ["predict", "evaluate"])
    def test_unknown_names(self, run: Run, model: Path, command: str) -> None:
        make_table(Path("new.csv"), 5, seed=3)
        result = run(command, model, "new.csv", "--region", "us-west-9")
        assert (result.exit_code, result.stdout) == (2, "")
        assert "us-west-1" in result.stderr


class TestSecondOpinion:
    def test_stands_beside_ours(self, run: Run) -> None:
        pytest.importorskip("codecarbon")
        make_table(Path("reviews.csv"), 120, seed=1)
        flags = ("--codecarbon", "--country", "SWE", "--seed", 0)
        result = run("train", "reviews.csv", "--target", "label", *flags)
        assert result.exit_code == 0, result.stderr
        assert "codecarbon 3." in result.stdout
        carbon = json.loads(run("report", "reviews.udt", "--json").stdout)["carbon"]
        other = carbon["second_opinion"]
        assert other["total_g"] == pytest.approx(other["kwh"] * carbon["grid_g_per_kwh"], rel=0.01)

    def test_is_not_shown_unasked(self, run: Run, model: Path) -> None:
        assert "codecarbon" not in run("report", model).stdout
        assert "second_opinion" not in json.loads(run("report", model, "--json").stdout)["carbon"]

    def test_not_with_an_update(self, run: Run, model: Path) -> None:
        make_table(Path("more.csv"), 20, seed=1)
        result = run("train", "more.csv", "--update-from", model, "-o", "x.udt", "--codecarbon")
        assert result.exit_code == 2
        assert "--update-from" in result.stderr
