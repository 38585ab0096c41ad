"""What a model costs over its life: training with its search, predictions, and who shares them.

Plain data from a run's report, for words (`udt.costs_text`), a page, or a script.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from udt.carbon import EQUIVALENCES, INFERENCE, INFERENCE_SHARES, equivalents, regions
from udt.errors import SettingsError

MILLION = 1_000_000
PREDICTIONS = (1_000, 1_000_000, 1_000_000_000)

_LEAST_SAVING = 0.2  # of the whole: less is not worth a sentence
_ADVICE = {
    "start": "start several runs from one Python",
    "compile": "keep the kernels' cache: the next run does not compile",
    "search": "--preset fast or --time-limit shorten it",
}

Dict = dict[str, Any]


def life_cycle(
    report: Mapping[str, Any],
    *,
    per_million: Mapping[str, float] | None = None,
    shared_by: int = 1,
    predictions: Sequence[int] = PREDICTIONS,
) -> Dict:
    """Return a model's life-cycle account.

    Parameters
    ----------
    report : mapping
        Of the run, as ``--json`` prints it (`udt.report.RunReport.to_dict`).
    per_million : mapping, optional
        ``kwh`` and ``total_g`` of a million predictions, as `udt.bench` measures them; by default
        what the run itself measured while testing.
    shared_by : int
        How many teams use the model: each bears its part of the training.
    predictions : sequence of int
        Numbers of predictions to give the totals for.

    Returns
    -------
    dict
        ``training`` (``kwh, operational_g, embodied_g, total_g, low_g, high_g``; ``lineage_kwh,
        lineage_g`` with the trainings that the model was updated from; ``shared_by, each_kwh,
        each_g`` of these), ``stages`` (list of ``stage, wall_s, kwh, total_g, share``),
        ``cheaper`` (of `cheaper`), ``basis`` (``energy_source, region, grid_g_per_kwh,
        grid_source, pue``), ``equivalences`` (list of ``name, count, source, year``); and where
        predictions were measured ``use`` (``kwh, total_g`` of a million, ``repaid_predictions``,
        ``search_repaid_predictions``), ``totals`` (list of ``n_predictions, training_g, use_g,
        total_g, use_share``), ``elsewhere`` (list of ``name, kwh, times, source, year``: published
        energy of a million predictions).
        ``use_shares`` (list of ``name, share, source, year``) is what operators publish. Empty
        where the report has no account.

    Raises
    ------
    SettingsError
        `shared_by` is no whole number of 1 or more.
    """
    if isinstance(shared_by, bool) or not isinstance(shared_by, int) or shared_by < 1:
        raise SettingsError(
            f"shared_by is {shared_by!r}. Expected how many teams share the model, a whole number"
            " of 1 or more; leave it out for one."
        )
    energy, carbon = report.get("energy", {}), report.get("carbon", {})
    if "kwh" not in energy or "total_g" not in carbon:
        return {}
    parts = ("operational_g", "embodied_g", "total_g", "low_g", "high_g")
    training = {"kwh": energy["kwh"], **{key: carbon[key] for key in parts}}
    whole = carbon.get("lineage", training)  # of an updated model, with the trainings before
    training |= {
        "lineage_kwh": whole["kwh"],
        "lineage_g": whole["total_g"],
        "shared_by": shared_by,
        "each_kwh": whole["kwh"] / shared_by,
        "each_g": whole["total_g"] / shared_by,
    }
    stages = _stages(carbon)
    told: Dict = {
        "training": training,
        "stages": stages,
        "cheaper": cheaper(energy, carbon),
        "basis": {
            "energy_source": energy.get("source", ""),
            **{key: carbon.get(key) for key in ("region", "grid_g_per_kwh", "grid_source", "pue")},
        },
        "equivalences": [
            {"name": name, "count": count, **_origin(EQUIVALENCES[name])}
            for name, count in equivalents(training["total_g"])
        ],
        "use_shares": [
            {"name": name, "share": figure.value, **_origin(figure)}
            for name, figure in INFERENCE_SHARES.items()
        ],
    }
    if per_million is None and "per_million_g" in carbon:
        per_million = {
            "kwh": carbon.get("per_million_kwh", math.nan),
            "total_g": carbon["per_million_g"],
        }
    if per_million is not None and per_million["total_g"] > 0:
        told |= _use(training["each_g"], _search_g(stages) / shared_by, per_million, predictions)
    return told


def cheaper(energy: Mapping[str, Any], carbon: Mapping[str, Any]) -> list[Dict]:
    """Return what would have made a run cheaper by a fifth or more, the most first.

    Parameters
    ----------
    energy, carbon : mapping
        Of a run's report, with ``phases`` for the advice on its stages.

    Returns
    -------
    list of dict
        ``what``, ``how``, and ``saved_share`` of the run's CO2e that it can save at most.
    """
    total_g = carbon["total_g"]
    if total_g <= 0:
        return []
    green = regions()[0]
    there_g = energy["kwh"] * green.pue * green.grid_g_per_kwh + carbon["embodied_g"]
    found = [
        {
            "what": f"in {green.region} ({green.country}, {green.grid_g_per_kwh:.0f} g/kWh)",
            "how": "run where the grid is cleaner",
            "saved_share": 1 - there_g / total_g,
        }
    ]
    for stage in _stages(carbon):
        if stage["stage"] in _ADVICE:
            what, how = f"without {stage['stage']}", _ADVICE[stage["stage"]]
            found.append({"what": what, "how": how, "saved_share": stage["share"]})
    worth = [one for one in found if one["saved_share"] >= _LEAST_SAVING]
    return sorted(worth, key=lambda one: -float(one["saved_share"]))


def payback(cost_g: float, each_g: float, other_each_g: float) -> float:
    """Return after how many predictions an extra cost is repaid; infinite if it never is.

    Parameters
    ----------
    cost_g : float
        What was spent in addition, g CO2e; none or less is repaid at once.
    each_g, other_each_g : float
        A prediction by the model that it was spent on, and by the other one, g CO2e.

    Examples
    --------
    >>> payback(2.0, 0.001, 0.003)
    1000.0
    >>> payback(2.0, 0.003, 0.001)
    inf
    """
    if cost_g <= 0:
        return 0.0
    return cost_g / (other_each_g - each_g) if other_each_g > each_g else math.inf


def _stages(carbon: Mapping[str, Any]) -> list[Dict]:
    """Return what each stage cost, in the order of the run."""
    total_g = carbon["total_g"]
    return [
        {"stage": name, **part, "share": part["total_g"] / total_g if total_g > 0 else 0.0}
        for name, part in carbon.get("phases", {}).items()
    ]


def _search_g(stages: Sequence[Mapping[str, Any]]) -> float:
    return sum(float(s["total_g"]) for s in stages if s["stage"] == "search")


def _use(
    training_g: float,
    search_g: float,
    per_million: Mapping[str, float],
    predictions: Sequence[int],
) -> Dict:
    """Return what predictions cost, alone and beside the training."""
    each_g = per_million["total_g"] / MILLION
    totals = [
        {
            "n_predictions": n,
            "training_g": training_g,
            "use_g": n * each_g,
            "total_g": training_g + n * each_g,
            "use_share": n * each_g / (training_g + n * each_g),
        }
        for n in predictions
    ]
    use = {
        **per_million,
        "repaid_predictions": training_g / each_g,
        "search_repaid_predictions": search_g / each_g,
    }
    told: Dict = {"use": use, "totals": totals}
    if (kwh := per_million["kwh"]) > 0:
        told["elsewhere"] = [
            {
                "name": name,
                "kwh": figure.value * 1000,
                "times": figure.value * 1000 / kwh,
                **_origin(figure),
            }
            for name, figure in INFERENCE.items()
        ]
    return told


def _origin(figure: Any) -> Dict:
    return {"source": figure.source, "year": figure.year}
