"""Bring the notebooks of ``demos`` into the form in which they are kept.

::

    python scripts/notebooks.py            # rewrite them
    python scripts/notebooks.py --check    # change nothing; exit code 1 if one would change

Outputs, execution counts and what editors leave in the metadata go; the badge "Open in Colab" and
the cell that installs udt are made anew from the repository's address in pyproject.toml. Every
notebook has both, as its first two cells.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import nbformat
from docs_site import ROOT, repository

NOTEBOOKS = ROOT / "demos"
BADGE, INSTALL = "badge", "install"

_INSTALL = """\
# Installs udt where it is missing, as in Colab, and fetches the demo table.
import importlib.util
import pathlib
import urllib.request

if importlib.util.find_spec("udt") is None:
    %pip install --quiet "openudt[serve] @ git+{repository}"
if not pathlib.Path("reviews.csv").exists():
    url = "{raw}/main/demos/reviews.csv"
    urllib.request.urlretrieve(url, "reviews.csv")"""


def badge(path: Path) -> str:
    """Return the Markdown of the badge that opens a notebook in Colab."""
    owner_and_name = urlsplit(repository()).path.strip("/")
    page = f"https://colab.research.google.com/github/{owner_and_name}/blob/main/demos/{path.name}"
    return f"[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]({page})"


def install() -> str:
    """Return the code of the cell that installs udt and fetches the table."""
    raw = repository().replace("github.com", "raw.githubusercontent.com")
    return _INSTALL.format(repository=repository(), raw=raw)


def clean(notebook: Any, path: Path) -> Any:
    """Return the notebook as it is kept; its first two cells are the badge and the installation."""
    cells = [c for c in notebook.cells if c.id not in (BADGE, INSTALL)]
    first = [
        nbformat.v4.new_markdown_cell(badge(path), id=BADGE),
        nbformat.v4.new_code_cell(install(), id=INSTALL),
    ]
    kept = nbformat.v4.new_notebook(cells=first)
    for i, cell in enumerate(cells, start=1):
        make = {"code": nbformat.v4.new_code_cell, "markdown": nbformat.v4.new_markdown_cell}
        kept.cells.append(make[cell.cell_type](cell.source.rstrip(), id=f"cell-{i}"))
    kept.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    nbformat.validate(kept)
    return kept


def main(arguments: list[str]) -> int:
    """Rewrite the notebooks, or say which ones would change."""
    stale = []
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        before = path.read_text(encoding="utf-8")
        after = nbformat.writes(clean(nbformat.reads(before, as_version=4), path)) + "\n"
        if before != after:
            stale.append(path)
            if "--check" not in arguments:
                path.write_text(after, encoding="utf-8")
    for path in stale:
        print(f"{path.relative_to(ROOT)} {'is stale' if '--check' in arguments else 'rewritten'}")
    return int(bool(stale) and "--check" in arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
