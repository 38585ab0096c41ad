"""``udt report``: the account of the run that made a model, once more."""

from __future__ import annotations

from udt.cli import options as opt
from udt.cli.output import page_width, print_json, print_text


def report(model: opt.Model, as_json: opt.AsJson = False) -> None:
    """Show how a model was made.

    Prints the report of its training again: accuracy, time, energy, CO2e.

    Example: udt report reviews.udt --json
    """
    from udt.model_file import read_model  # not the classifier, which takes a second to import
    from udt.report import RunReport

    run = RunReport.from_dict(read_model(model).run.get("report", {}))
    run.size["model_bytes"] = model.stat().st_size
    if as_json:
        print_json({**run.to_dict(), "model": str(model)})
    else:
        print_text(run.to_text(page_width()))
