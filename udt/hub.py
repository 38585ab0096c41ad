"""Models on the Hugging Face hub: fetched by name, and pushed with their card."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, NamedTuple

from udt import __version__
from udt.errors import ModelFileError, ModelWriteError, SettingsError

_PREFIX = "hf:"
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
_EXPECTED = "hf:owner/name[/file.udt][@revision]"


class HubName(NamedTuple):
    """What ``hf:owner/name[/file.udt][@revision]`` names; None = not said."""

    repository: str
    file: str | None
    revision: str | None


def is_hub_name(path: str | os.PathLike[str]) -> bool:
    """Whether a model's name is one on the hub."""
    return os.fspath(path).startswith(_PREFIX)


def parse_hub_name(name: str) -> HubName:
    """Return the parts of a name on the hub.

    Raises
    ------
    SettingsError
        It is not such a name.

    Examples
    --------
    >>> parse_hub_name("hf:owner/reviews@v2")
    HubName(repository='owner/reviews', file=None, revision='v2')
    """
    place, _, revision = name.removeprefix(_PREFIX).partition("@")
    parts = place.split("/", 2)
    repository = "/".join(parts[:2])
    if not name.startswith(_PREFIX) or not _REPOSITORY.fullmatch(repository):
        raise SettingsError(
            f"{name!r} names no model on the Hugging Face hub. Expected {_EXPECTED}; check it."
        )
    return HubName(repository, parts[2] if len(parts) == 3 else None, revision or None)


def fetch(name: str) -> Path:
    """Return the local copy of a model on the hub, downloaded if it is new.

    Parameters
    ----------
    name : str
        ``hf:owner/name``, with ``/file.udt`` where the repository has several models, and
        ``@revision`` for a branch, tag or commit.

    Raises
    ------
    SettingsError
        The name is none on the hub.
    ModelFileError
        There is no such model, or it cannot be reached and was never downloaded before.
    """
    import huggingface_hub as hub

    repository, file, revision = parse_hub_name(name)
    try:
        folder = Path(
            hub.snapshot_download(repository, revision=revision, allow_patterns=file or "*.udt")
        )
    except _failures() as error:
        raise ModelFileError(
            f"{name} cannot be loaded: {_first_line(error)} Expected {_EXPECTED}; check the name "
            "and the network, and log in with 'hf auth login' if the model is private."
        ) from error
    found = [folder / file] if file else sorted(folder.rglob("*.udt"))
    if len(found) != 1 or not found[0].is_file():
        names = ", ".join(path.relative_to(folder).as_posix() for path in found)
        has = f"the models {names}" if len(found) > 1 else f"no {file or 'model (.udt)'}"
        raise ModelFileError(f"{repository} has {has}. Expected one; name it: {_EXPECTED}.")
    return found[0]


def push(
    model: str | os.PathLike[str], card: str, repository: str, *, private: bool = False
) -> str:
    """Put a model and its card onto the hub, in one commit; return the address.

    Parameters
    ----------
    model : path-like
        File of the model; it keeps its name.
    card : str
        Markdown, the repository's ``README.md``.
    repository : str
        ``owner/name``; made if it does not exist.
    private : bool
        Whether a new repository is to be seen by its owner only.

    Raises
    ------
    SettingsError
        The repository's name is none.
    ModelWriteError
        The hub refused, or cannot be reached.
    """
    import huggingface_hub as hub

    if not _REPOSITORY.fullmatch(repository):
        raise SettingsError(f"--push {repository!r} is no repository. Expected owner/name.")
    path = Path(model)
    files: dict[str, Any] = {"README.md": card.encode("utf-8", "backslashreplace"), path.name: path}
    api = hub.HfApi(library_name="udt", library_version=__version__)
    try:
        address = api.create_repo(repository, private=private or None, exist_ok=True)
        api.create_commit(
            repository,
            [hub.CommitOperationAdd(name, content) for name, content in files.items()],
            commit_message=f"{path.name}, with its card",
        )
    except _failures() as error:
        raise ModelWriteError(
            f"{path} cannot be pushed to {repository}: {_first_line(error)} Expected a repository "
            "that you may write to; log in with 'hf auth login', or set HF_TOKEN."
        ) from error
    return str(address)


def _failures() -> tuple[type[BaseException], ...]:
    """Return what the hub's client raises: no such thing, not allowed, no network, bad metadata."""
    from huggingface_hub.errors import HfHubHTTPError

    return (OSError, ValueError, *HfHubHTTPError.__bases__)  # those of the HTTP library it uses


def _first_line(error: Any) -> str:
    """Return what an exception says, as one sentence."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    return text if text.endswith(".") else f"{text}."
