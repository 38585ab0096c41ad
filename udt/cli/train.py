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
        str | None, option("--target", "Column to predict.", metavar="COL", show_default=False)
    ] = None,
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
    max_memory: Annotated[
        str | None, option("--max-memory", "At most so much memory: 500M, 4G.", metavar="SIZE")
    ] = None,
    max_model_size: Annotated[
        str | None, option("--max-model-size", "Model file at most so large: 5MB.", metavar="SIZE")
    ] = None,
    max_co2: Annotated[
        str | None,
        option("--max-co2", "At most so much CO2e, as estimated: 0.5g, 500mg.", metavar="MASS"),
    ] = None,
    preset: Annotated[
        opt.Preset | None, option("--preset", "How much to try; balanced by default.")
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
    class_weight: Annotated[
        opt.ClassWeight | None,
        option("--class-weight", "Let all classes count the same, however many rows they have."),
    ] = None,
    weight: Annotated[
        str | None, option("--weight", "Column that says what each row counts.", metavar="COL")
    ] = None,
    metric: Annotated[
        opt.Metric | None,
        option("--metric", "What the search chooses by; the calibrated loss by default."),
    ] = None,
    bad_rows: opt.OnBadRows = opt.BadRows.refuse,
    width: Annotated[int | None, opt.whole("--width", "Hidden neurons of the deep path.")] = None,
    selector: Annotated[
        opt.Selector | None, option("--selector", "How the neurons to compute are chosen.")
    ] = None,
    update_from: Annotated[
        Path | None,
        option(
            "--update-from",
            "Model that is to learn these rows, too; all choices stay as they were.",
            metavar="MODEL",
        ),
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
    resume: Annotated[
        bool, option("--resume", "Go on with a search for this output that was killed.")
    ] = False,
    codecarbon: Annotated[
        bool,
        option("--codecarbon", "Show codecarbon's estimate too: pip install openudt[codecarbon]."),
    ] = False,
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
    if target is None and update_from is None:
        raise SettingsError(
            "Missing option '--target'. Expected the column to predict, e.g. --target label; only "
            "--update-from knows it already. See: udt train --help"
        )
    if codecarbon and update_from is not None:
        raise SettingsError(
            "Got --codecarbon with --update-from, but it follows whole trainings only. Leave one "
            "of them out."
        )

    from udt import run
    from udt.resume import state_path

    given = dict(
        target=target,
        preset=preset and preset.value,
        time_limit=time_limit,
        max_memory=max_memory,
        max_model_size=max_model_size,
        max_co2=max_co2,
        sparsity=sparsity,
        width=width,
        selector=selector and selector.value,
        **opt.column_kinds(text, categorical, numeric, date, multi, ignore),
        multi_label=opt.parse_multi_label(multi_label),
        class_weight=class_weight and class_weight.value,
        weight=weight,
        metric=metric and metric.value,
        bad_rows=bad_rows.value,
        instance=instance,
        region=region,
        country=country,
        random_state=seed,
        n_threads=threads,
    )
    with show_progress(quiet) as on_progress:
        if update_from is not None:
            model = _update(update_from, given, file, valid, test, on_progress)
        else:
            model = run.train(
                given,
                file,
                valid=valid,
                test=test,
                on_progress=on_progress,
                second_opinion=codecarbon,
                state=state_path(output),
                resume=resume,
            )
    model.save(output, overwrite=force)
    state_path(output).unlink(missing_ok=True)
    _tell(model, output, as_json=as_json, quiet=quiet)
    if model.interrupted:
        say(f"Interrupted; the best model so far is in {output}.")
        raise typer.Exit(INTERRUPTED)


def _update(
    path: Path, given: dict[str, Any], file: str, valid: str | None, test: str | None, note: Any
) -> Model:
    """Return a saved model that has learned the file; flags that would change it are refused."""
    from udt import run
    from udt.model import load_model
    from udt.params import UPDATE_NAMES

    model = load_model(path)
    asked = {"valid": valid, **given, "bad_rows": None}
    if asked.pop("target") not in (None, model.target):
        raise SettingsError(
            f"--target {given['target']} is not what {path} predicts. Expected "
            f"'{model.target}'; leave the flag out."
        )
    fixed = [n for n, value in asked.items() if value is not None and n not in UPDATE_NAMES]
    if fixed:
        flag = "seed" if fixed[0] == "random_state" else fixed[0].replace("_", "-")
        raise SettingsError(
            f"--{flag} cannot be changed by --update-from: the choices of {path} stay as they "
            "are. Leave it out, or train a new model on all rows."
        )
    kept = {n: given[n] for n in UPDATE_NAMES if given[n] is not None}
    return run.update(model, file, given=kept, test=test, on_progress=note)


def _tell(model: Model, output: Path, *, as_json: bool, quiet: bool) -> None:
    if as_json:
        print_json({**model.report.to_dict(), "model": str(output)})
    elif not quiet:
        print_text(model.report.to_text(page_width()))
        say(f"Saved {output}. Next: udt predict {output} FILE")
