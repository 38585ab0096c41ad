"""Steps of the documentation's build that need the code: mkdocs calls the ``on_`` functions.

- ``reference/cli.md`` is written from the commands themselves, so that it cannot lag behind.
- ``benchmarks.md`` is ``benchmarks/RESULTS.md``, which is made from ``benchmarks/results``.
- Links to files outside ``docs`` lead to the repository, whose name stands in pyproject.toml.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = PurePosixPath("benchmarks/RESULTS.md")
MOVED = {str(BENCHMARKS): "benchmarks.md", "README.md": "index.md"}
_LINK = re.compile(r"(\]\()([^)#\s]+)(#[^)\s]*)?\)")


def repository() -> str:
    """Return the repository's address, the one constant of pyproject.toml that names it."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["urls"]["Repository"])


# --- the command line -------------------------------------------------------------------------


def cli_reference() -> str:
    """Return the reference of all commands as Markdown."""
    import typer

    from udt.cli.app import app

    group: Any = typer.main.get_command(app)
    parts = [
        "# Command line\n\nMade from the code of the commands. A flag may also stand in the "
        "environment, `UDT_TIME_LIMIT=5m` for `--time-limit 5m`, and those of `udt train` in a "
        "TOML file for `--config`; a flag comes before the environment, and that before the file."
    ]
    parts += [_command(name, command) for name, command in group.commands.items()]
    return "\n\n".join(parts) + "\n"


def _command(name: str, command: Any) -> str:
    context = command.make_context(f"udt {name}", [], resilient_parsing=True)
    usage = " ".join([f"udt {name}", *command.collect_usage_pieces(context)])
    text, n_examples = re.subn(
        r"\n*Example: (.+)", r"\n\n```console\n$ \1\n```", command.help or ""
    )
    if n_examples != 1:
        raise ValueError(f"The help of udt {name} has {n_examples} examples; expected was one.")
    is_flag = {param.name: param.opts[0].startswith("-") for param in command.params}
    rows = [(p.metavar, p.help) for p in command.params if not is_flag[p.name]]
    rows += [
        record
        for param in command.params
        if is_flag[param.name] and (record := param.get_help_record(context))
    ]
    table = "\n".join(f"| `{_cell(left)}` | {_cell(right, r'[]<>')} |" for left, right in rows)
    return f"## udt {name}\n\n{text}\n\n`{usage}`\n\n| | |\n|---|---|\n{table}"


def _cell(text: str, marks: str = "") -> str:
    """Return one line with the signs escaped that would end the cell or mean something."""
    return "".join(f"\\{c}" if c in f"|{marks}" else c for c in " ".join(text.split()))


# --- pages and links --------------------------------------------------------------------------


def on_config(config: Any) -> Any:
    """Name the repository, and put every guide and design note into the navigation."""
    config.repo_url, config.repo_name = repository(), "udt"
    config.edit_uri = ""
    for section in config.nav:
        (title,) = section
        folder = {"Guide": "guide", "Design notes": "design"}.get(title)
        if folder:
            section[title] += [page for page in _pages(folder) if page not in section[title]]
    return config


def _pages(folder: str) -> Iterator[str]:
    for path in sorted((ROOT / "docs" / folder).glob("*.md")):
        yield f"{folder}/{path.name}"


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are made from code and results."""
    from mkdocs.structure.files import File

    results = (ROOT / BENCHMARKS).read_text(encoding="utf-8")
    made = {"reference/cli.md": cli_reference(), "benchmarks.md": relink(results, BENCHMARKS)}
    for plot in sorted((ROOT / BENCHMARKS).parent.glob("**/*.svg")):
        made[plot.relative_to(ROOT / "benchmarks").as_posix()] = plot.read_text(encoding="utf-8")
    for name, content in made.items():
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Lead links that leave the folder of the documents to where their target is."""
    if page.file.generated_by:
        return markdown
    return relink(markdown, PurePosixPath("docs") / page.file.src_uri)


def relink(markdown: str, source: PurePosixPath) -> str:
    """Return the text with links that are right on the site.

    Parameters
    ----------
    markdown : str
        Text whose relative links are right in the repository.
    source : PurePosixPath
        Where it stands in the repository; a page under ``docs`` keeps its place on the site, any
        other is a page of the site's first level.

    Examples
    --------
    >>> relink("[x](../CHANGELOG.md)", PurePosixPath("docs/index.md")).endswith("CHANGELOG.md)")
    True
    """
    depth = len(source.parts) - 2 if source.parts[0] == "docs" else 0

    def lead(found: re.Match[str]) -> str:
        opening, target, anchor = found[1], found[2], found[3] or ""
        if re.match(r"[a-z]+:", target):
            return found[0]
        path = PurePosixPath(os.path.normpath(source.parent / target))
        if str(path) in MOVED:
            return f"{opening}{'../' * depth}{MOVED[str(path)]}{anchor})"
        if path.parts[0] == "docs":
            inside = path.relative_to("docs")
            return f"{opening}{'../' * depth}{inside}{anchor})"
        if path.suffix == ".svg":
            return f"{opening}{path.relative_to('benchmarks')})"
        return f"{opening}{repository()}/blob/main/{path}{anchor})"

    return _LINK.sub(lead, markdown)
