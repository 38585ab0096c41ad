"""``udt report``: the account of the run that made a model, once more."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from udt.cli import options as opt
from udt.cli.options import option
from udt.cli.output import check_output, open_output, page_width, print_json, print_text

if TYPE_CHECKING:
    from udt.report import RunReport


def report(
    model: opt.Model,
    life_cycle: Annotated[
        bool,
        option("--life-cycle", "What the model costs over its life, predictions included."),
    ] = False,
    shared_by: Annotated[
        int, opt.whole("--shared-by", "For --life-cycle: teams that share the model.")
    ] = 1,
    html: Annotated[
        Path | None, option("--html", "Page with plots to write, as one file.", metavar="FILE")
    ] = None,
    as_json: opt.AsJson = False,
    force: opt.Force = False,
) -> None:
    """Show how a model was made.

    Prints the report of its training again: accuracy, time, energy, CO2e.

    Example: udt report reviews.udt --json
    """
    from udt.model_file import read_model  # not the classifier, which takes a second to import
    from udt.report import RunReport

    if html is not None:
        check_output(html, force=force, inputs=[str(model)])
    content = read_model(model)
    run = RunReport.from_dict(content.run.get("report", {}))
    run.size["model_bytes"] = model.stat().st_size
    if html is not None:
        with open_output(html) as sink:
            text = run.to_html(content.header.get("params"))
            sink.write(text.encode("utf-8", "backslashreplace"))
        if not (as_json or life_cycle):
            return
    if life_cycle:
        _show_life_cycle(str(model), run, shared_by, as_json=as_json)
    elif as_json:
        print_json({**run.to_dict(), "model": str(model)})
    else:
        print_text(run.to_text(page_width()))


def _show_life_cycle(name: str, run: RunReport, shared_by: int, *, as_json: bool) -> None:
    from udt.costs_text import life_cycle_text
    from udt.lifecycle import life_cycle

    told = life_cycle(run.to_dict(), shared_by=shared_by)
    if as_json:
        print_json(told)
    else:
        print_text(life_cycle_text(name, told, page_width()))
