"""Where results go: stdout, or a file that is written whole or not at all."""

from __future__ import annotations

import glob
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from udt.errors import SettingsError

_ENDINGS = re.compile(
    r"(\.(csv|tsv|json|jsonl|ndjson|parquet|arrow|feather))?(\.(gz|zst|zstd))?$", re.I
)
_MAX_WIDTH = 120  # characters; longer lines are hard to read


def default_model_path(source: str) -> Path:
    """Return where a model goes that the user has not named: reviews.csv gives reviews.udt.

    Examples
    --------
    >>> default_model_path("data/reviews.csv.gz").name, default_model_path("-").name
    ('reviews.udt', 'model.udt')
    >>> default_model_path("hf:owner/reviews:small@train").name
    'reviews.udt'
    """
    if source.startswith("hf:"):
        name = re.split("[:@]", source.removeprefix("hf:"))[0]
    elif source == "-" or (glob.has_magic(source) and not os.path.exists(source)):
        name = ""
    else:
        name = os.path.abspath(source)
    stem = _ENDINGS.sub("", os.path.basename(name))
    return Path(f"{stem or 'model'}.udt")


def check_output(path: Path, *, force: bool, inputs: list[str | None]) -> None:
    """Raise now what writing would raise at the end.

    Parameters
    ----------
    path : Path
        The file to be written.
    force : bool
        Whether it may replace another; never one of the inputs.
    inputs : list of str or None
        What is read.

    Raises
    ------
    SettingsError
        The file exists, is an input, or its folder does not exist.
    UDTError
        The folder cannot be written to.
    """
    from udt.model_file import check_writable

    for name in inputs:
        if name and path.exists() and os.path.exists(name) and os.path.samefile(path, name):
            raise SettingsError(
                f"{path} would be overwritten, but it is read as input. Expected another file: "
                "choose its name with -o."
            )
    check_writable(path, overwrite=force)


@contextmanager
def open_output(path: Path | None) -> Iterator[BinaryIO]:
    """Open stdout, or a file that takes its name only once it is complete.

    Parameters
    ----------
    path : Path or None
        The file; a symbolic link is followed. None = stdout.

    Raises
    ------
    OSError
        It cannot be written; what was there before stays.
    """
    if path is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    real = Path(os.path.realpath(path))
    temporary = real.with_name(f".udt-{os.urandom(8).hex()}.tmp")
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, real)
    except OSError as error:  # the user knows the path by the name that they gave it
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def print_text(text: str) -> None:
    """Print a result for people; a character that stdout cannot encode becomes a ``?``."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(f"{text}\n".encode(encoding, "replace").decode(encoding))
    sys.stdout.flush()  # a reader that has left is noticed here, not at the interpreter's end


def print_json(value: Any) -> None:
    """Print a result for machines: one JSON document in UTF-8, without NaN or Infinity."""
    text = json.dumps(_jsonable(value), ensure_ascii=False, allow_nan=False, indent=2)
    sys.stdout.flush()
    sys.stdout.buffer.write(f"{text}\n".encode("utf-8", "backslashreplace"))
    sys.stdout.buffer.flush()


def _jsonable(value: Any) -> Any:
    """Return the value in JSON's own types: arrays as lists, non-finite numbers as null."""
    if hasattr(value, "tolist"):  # NumPy's arrays and scalars
        value = value.tolist()
    if isinstance(value, dict):
        return {str(key): _jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_jsonable(item) for item in value]
    if isinstance(value, float):
        return value if value - value == 0 else None
    return value if isinstance(value, (str, int, type(None))) else str(value)


def page_width() -> int:
    """Return how many characters a line of a report may have."""
    from udt.report import WIDTH

    return min(shutil.get_terminal_size().columns, _MAX_WIDTH) if sys.stdout.isatty() else WIDTH
