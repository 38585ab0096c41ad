"""Where a flag's value comes from, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cli.conftest import FakeModel, Run
from udt.cli.options import parse_multi
from udt.errors import SettingsError

TRAIN = ("train", "reviews.csv", "--target", "label")


@given(st.text(min_size=1), st.text(min_size=1).filter(lambda s: ":" not in s))
def test_multi_keeps_colons_in_the_column(column: str, separator: str) -> None:
    assert parse_multi([f"{column}:{separator}"]) == {column: separator}


@pytest.mark.parametrize("item", ["tags", "tags:", ":|", ":", ""])
def test_multi_refuses_half_a_pair(item: str) -> None:
    with pytest.raises(SettingsError, match="COL:SEP"):
        parse_multi([item])


def test_flag_beats_environment_beats_config_beats_default(
    run: Run, fake: type[FakeModel], tmp_path: Path
) -> None:
    (tmp_path / "run.toml").write_text('seed = 1\nwidth = 32\nthreads = 1\ntime-limit = "1m"\n')
    env = {"UDT_SEED": "2", "UDT_WIDTH": "64"}
    result = run(*TRAIN, "--config", "run.toml", "--seed", 3, env=env)
    assert result.exit_code == 0, result.stderr
    params = fake.made.params
    assert (params["random_state"], params["width"], params["n_threads"]) == (3, 64, 1)
    assert params["time_limit"] == "1m"
    assert params["region"] is None


def test_config_may_hold_everything(run: Run, fake: type[FakeModel], tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(
        'target = "label"\ntext = ["title", "body text"]\nignore = "id"\nmulti = "tags:|"\n'
        'bad_rows = "skip"\ntime_limit = 90\njson = true\nsparsity = 0.1\nselector = "lsh"\n'
        'multi-label = "none"\n'
    )
    result = run("train", "reviews.csv", "--config", "run.toml")
    assert result.exit_code == 0, result.stderr
    params = fake.made.params
    assert params["target"] == "label"
    assert params["text"] == ["title", "body text"]
    assert params["ignore"] == ["id"]
    assert params["multi"] == {"tags": "|"}
    assert params["bad_rows"] == "skip"
    assert params["time_limit"] == "90"
    assert (params["sparsity"], params["selector"]) == (0.1, "lsh")
    assert params["multi_label"] is False
    assert result.stdout.startswith("{")


@pytest.mark.parametrize(
    ("flag", "value"), [("none", False), (";", ";"), ("None", "None"), ("|", "|")]
)
def test_multi_label_of_the_command_line(
    run: Run, fake: type[FakeModel], flag: str, value: object
) -> None:
    result = run(*TRAIN, "--multi-label", flag, "--sparsity", "auto")
    assert result.exit_code == 0, result.stderr
    assert fake.made.params["multi_label"] == value
    assert fake.made.params["sparsity"] == "auto"


@pytest.mark.parametrize(
    ("toml", "part"),
    [
        ("widht = 3", "Did you mean 'width'?"),
        ("width = 3.7", "'3.7'"),
        ("width = true", "width"),
        ('bad-rows = "keep"', "'keep'"),
        ('selector = "best"', "'best'"),
        ("width", "not TOML"),
    ],
)
def test_config_is_checked_as_if_typed(
    run: Run, fake: type[FakeModel], tmp_path: Path, toml: str, part: str
) -> None:
    (tmp_path / "run.toml").write_text(toml)
    result = run(*TRAIN, "--config", "run.toml")
    assert result.exit_code == 2
    (line,) = result.stderr.splitlines()
    assert part in line


def test_config_that_is_not_there(run: Run, fake: type[FakeModel]) -> None:
    result = run(*TRAIN, "--config", "nowhere.toml")
    assert result.exit_code == 2
    assert "nowhere.toml cannot be read" in result.stderr
