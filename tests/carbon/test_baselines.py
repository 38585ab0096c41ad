import pytest

from udt.carbon import ROBERTA, find_place, parse_baseline
from udt.errors import SettingsError

CALIFORNIA = find_place("us-west-1", environ={})


def test_the_published_run() -> None:
    footprint = ROBERTA.footprint(CALIFORNIA)
    assert footprint.total_g == pytest.approx(195.15, rel=0.005)
    assert footprint.embodied_g == pytest.approx(11.12, rel=0.005)


@pytest.mark.parametrize("time", ["40min", "40 m", "2400s", "0.66666667h", ".66666667h"])
def test_a_run_of_the_users_is_charged_alike(time: str) -> None:
    text = f"fine-tuned RoBERTa, P4D.24xlarge ,{time}, share = 1/8 , accuracy=0.93"
    mine = parse_baseline(text)
    assert mine.footprint(CALIFORNIA).total_g == pytest.approx(
        ROBERTA.footprint(CALIFORNIA).total_g
    )
    assert (mine.name, mine.instance, mine.accuracy) == (ROBERTA.name, ROBERTA.instance, 0.93)


def test_load() -> None:
    half = parse_baseline("x,p4d.24xlarge,40min,share=0.125,utilisation=0.5")
    assert half.footprint(CALIFORNIA).total_g == pytest.approx(143.81, rel=0.005)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "NAME,INSTANCE,TIME"),
        ("BERT", "NAME,INSTANCE,TIME"),
        ("BERT,p3.2xlarge", "NAME,INSTANCE,TIME"),
        ("BERT,p3.2xlarge,40", "has a unit"),
        ("BERT,p3.2xlarge,-2h", "has a unit"),
        ("BERT,p3.2xlarg,2h", r"p3\.2xlarge"),
        ("BERT,p3.2xlarge,2h,share=9/8", "9/8"),
        ("BERT,p3.2xlarge,2h,acuracy=0.9", "Did you mean 'accuracy'"),
        ("BERT,p3.2xlarge,2h,accuracy=93", "at most 1"),
        ("BERT,p3.2xlarge,2h,accuracy=high", "'high', which is no number"),
        ("BERT,p3.2xlarge,2h,utilisation=nan", "utilisation"),
    ],
)
def test_refused(text: str, says: str) -> None:
    with pytest.raises(SettingsError, match=says):
        parse_baseline(text)
