"""The ``udt`` command: its sub-commands, and how they end.

Everything heavy is imported inside the commands, so that ``udt --help`` answers at once.
"""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from udt import __version__
from udt.cli.bench import bench
from udt.cli.carbon import carbon
from udt.cli.card import card
from udt.cli.compare import compare
from udt.cli.evaluate import evaluate
from udt.cli.explain import explain
from udt.cli.info import info
from udt.cli.inspect import inspect
from udt.cli.predict import predict
from udt.cli.report import report
from udt.cli.serve import serve
from udt.cli.text import exit_codes, plain_warnings
from udt.cli.train import train


class _Commands(TyperGroup):
    """The group of commands; whatever one raises ends as a sentence and an exit code."""

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        with exit_codes():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: Any) -> Any:
        with exit_codes(), plain_warnings():
            return super().invoke(ctx)


app = typer.Typer(
    name="udt",
    cls=_Commands,
    invoke_without_command=True,
    rich_markup_mode=None,  # plain help: twice as fast, and the same in a pipe
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"udt {__version__}")
        raise typer.Exit


@app.callback()
def commands(
    ctx: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Turn a table with a label into a classifier, on an ordinary CPU.

    Example: udt train reviews.csv --target label
    """
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())


_USING = (predict, evaluate, explain, serve)
_TELLING = (inspect, report, compare, bench, card, carbon, info)

for command in (train, *_USING, *_TELLING):
    app.command()(command)


def main() -> None:
    """Run the command line; the process ends with the exit code of `udt.cli.text`."""
    app(prog_name="udt")


if __name__ == "__main__":
    main()
