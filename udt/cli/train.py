"""``udt train``: from a table to a saved model and its report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from udt.cli import options as opt
from udt.cli.options import option
from udt.cli.output import check_output, default_model_path, page_width, print_json, print_text
from udt.cli.progress import show_progress
from udt.cli.text import INTERRUPTED, say
from udt.errors import SettingsError

if TYPE_CHECKING:
    from udt.model import Model


def train(
    file: opt.File,
    target: Annotated[
        str, option("--target", "Column to predict.", metavar="COL", show_default=False)
    ],
    output: Annotated[
        Path | None,
        option("--output -o", "Model to write; reviews.csv gives ./reviews.udt.", metavar="FILE"),
    ] = None,
    force: opt.Force = False,
    test: Annotated[
        str | None, option("--test", "Table to measure the finished model on.", metavar="FILE")
    ] = None,
    valid: Annotated[
        str | None,
        option("--valid", "Table to make choices on, in place of held-out rows.", metavar="FILE"),
    ] = None,
    time_limit: Annotated[
        str | None, option("--time-limit", "At most so long: 90, 90s, 5m, 1h.", metavar="TIME")
    ] = None,
    sparsity: Annotated[
        Any,
        option(
            "--sparsity",
            "Fraction of the hidden neurons to compute for a row, 0.05 to 1.0; or auto.",
            metavar="SHARE",
            parser=opt.parse_sparsity,
        ),
    ] = None,
    text: opt.Text = None,
    categorical: opt.Categorical = None,
    numeric: opt.Numeric = None,
    date: opt.Date = None,
    multi: opt.Multi = None,
    ignore: opt.Ignore = None,
    multi_label: opt.MultiLabel = None,
    bad_rows: opt.OnBadRows = opt.BadRows.refuse,
    width: Annotated[int | None, opt.whole("--width", "Hidden neurons of the deep path.")] = None,
    selector: Annotated[
        opt.Selector | None, option("--selector", "How the neurons to compute are chosen.")
    ] = None,
    instance: opt.Instance = None,
    region: opt.Region = None,
    country: opt.Country = None,
    seed: Annotated[
        int | None, opt.whole("--seed", "Same seed, same model; without one, faster.")
    ] = None,
    threads: Annotated[
        int | None, opt.whole("--threads", "CPU threads; all that may be used by default.")
    ] = None,
    config: Annotated[
        Path | None,
        option(
            "--config",
            'TOML file with flags as keys, e.g. time-limit = "5m".',
            is_eager=True,
            callback=opt.read_config,
            metavar="FILE",
        ),
    ] = None,
    as_json: opt.AsJson = False,
    quiet: Annotated[bool, option("--quiet", "Print only errors and --json.")] = False,
) -> None:
    """Train a model, save it, print its report.

    What is not said is decided from the data. Flags may also stand in the environment, e.g.
    UDT_TIME_LIMIT=5m, or in a file for --config.

    Example: udt train reviews.csv --target label --time-limit 5m
    """
    output = output or default_model_path(file)
    if [file, test, valid].count("-") > 1:
        raise SettingsError("'-' stands for stdin, which can be read once. Give files instead.")
    check_output(output, force=force, inputs=[file, test, valid])

    from udt import run

    given = dict(
        target=target,
        time_limit=time_limit,
        sparsity=sparsity,
        width=width,
        selector=selector and selector.value,
        **opt.column_kinds(text, categorical, numeric, date, multi, ignore),
        multi_label=opt.parse_multi_label(multi_label),
        bad_rows=bad_rows.value,
        instance=instance,
        region=region,
        country=country,
        random_state=seed,
        n_threads=threads,
    )
    with show_progress(quiet) as on_progress:
        model = run.train(given, file, valid=valid, test=test, on_progress=on_progress)
    model.save(output, overwrite=force)
    _tell(model, output, as_json=as_json, quiet=quiet)
    if model.interrupted:
        say(f"Interrupted; the best model so far is in {output}.")
        raise typer.Exit(INTERRUPTED)


def _tell(model: Model, output: Path, *, as_json: bool, quiet: bool) -> None:
    if as_json:
        print_json({**model.report.to_dict(), "model": str(output)})
    elif not quiet:
        print_text(model.report.to_text(page_width()))
        say(f"Saved {output}. Next: udt predict {output} FILE")
