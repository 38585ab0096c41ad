"""``udt evaluate``: how good a model is on a table with known labels."""

from __future__ import annotations

from udt.cli import options as opt
from udt.cli.cost import Cost
from udt.cli.output import page_width, print_json, print_text


def evaluate(
    model: opt.Model,
    file: opt.File,
    instance: opt.Instance = None,
    region: opt.Region = None,
    country: opt.Country = None,
    as_json: opt.AsJson = False,
) -> None:
    """Measure a model on labelled rows.

    FILE must have the target column that the model was trained on.

    Example: udt evaluate reviews.udt test.csv
    """
    cost = Cost(instance, region, country)

    from udt.model import load_model
    from udt.report import evaluation_text

    result = {**load_model(model).evaluate(file), "model": str(model)}
    if as_json:
        print_json({**result, **cost.blocks()})
    else:
        print_text(evaluation_text(result, page_width()))
        cost.tell(result["metrics"]["n_rows"])
