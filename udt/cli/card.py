"""``udt card``: what a model is, for whoever is given it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from udt.cli import options as opt
from udt.cli.options import option
from udt.cli.output import check_output, open_output, print_text


def card(
    model: opt.Model,
    output: Annotated[
        Path | None,
        option("--output -o", "Markdown to write, in place of stdout.", metavar="FILE"),
    ] = None,
    push: Annotated[
        str | None,
        option("--push", "Put model and card onto the Hugging Face hub.", metavar="OWNER/NAME"),
    ] = None,
    private: Annotated[
        bool, option("--private", "For --push: a new repository is not to be public.")
    ] = False,
    force: opt.Force = False,
) -> None:
    """Write a model card.

    Markdown with the metadata that the Hugging Face hub reads, grams of CO2e among them. With
    --push, model and card go there, and the address is printed.

    Example: udt card reviews.udt -o README.md
    """
    if output is not None:
        check_output(output, force=force, inputs=[str(model)])
    from udt.card import card_text

    text = card_text(model)
    if output is not None or push is None:
        with open_output(output) as sink:
            sink.write(text.encode("utf-8", "backslashreplace"))
    if push is not None:
        from udt import hub

        print_text(hub.push(model, text, push, private=private))
