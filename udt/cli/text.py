"""Exceptions to one sentence and an exit code; warnings to one line.

====  =============================================================================
code  meaning
====  =============================================================================
0     done
1     training diverged, output not writable, disk full, anything unforeseen
2     a flag, its value, the target's name or the output's name cannot be used
3     the data or the model file cannot be used
130   interrupted
====  =============================================================================
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer

from udt.errors import DataError, ModelFileError, SettingsError, TargetNotFound, UDTError

DONE, FAILED, USAGE, BAD_INPUT, INTERRUPTED = 0, 1, 2, 3, 130

# Newer versions of typer carry click inside, so click's own name for it may not be importable.
_UsageError: Any = typer.BadParameter.__mro__[1]


def say(message: str) -> None:
    """Print one line for people, on stderr."""
    print(f"udt: {one_line(message)}", file=sys.stderr)


def one_line(message: str) -> str:
    """Return the message without anything that breaks a line or commands a terminal."""
    words = " ".join(message.splitlines())
    if words.isprintable():
        return words
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in words)


def explain(error: BaseException) -> tuple[str, int]:
    """Return the sentence and the exit code for an exception."""
    if isinstance(error, KeyboardInterrupt):
        return "Interrupted; nothing was written.", INTERRUPTED
    if isinstance(error, _UsageError):
        path = error.ctx.command_path if error.ctx else "udt"
        message = error.format_message().replace("Value error, ", "")  # pydantic's, within typer's
        return f"{message.rstrip('.')}. See: {path} --help", USAGE
    if isinstance(error, (SettingsError, TargetNotFound)):
        return str(error), USAGE
    if isinstance(error, (DataError, ModelFileError)):
        return str(error), BAD_INPUT
    if isinstance(error, UDTError):
        return str(error), FAILED
    if isinstance(error, MemoryError):
        return "Out of memory. Use fewer rows, or a machine with more memory.", FAILED
    if isinstance(error, OSError) and error.strerror:
        return _explain_os(error), FAILED
    return (
        f"Unexpected {type(error).__name__}: {error}. This is a fault of udt; "
        "run again with UDT_DEBUG=1 to see where, and report it.",
        FAILED,
    )


def _explain_os(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    what_next = "Free some space" if full else "Check the path and its permissions"
    return f"{where}{error.strerror}. {what_next}, or write elsewhere."


@contextmanager
def exit_codes() -> Iterator[None]:
    """Turn whatever is raised inside into a sentence on stderr and an exit code.

    Raises
    ------
    typer.Exit
        With the code. Under ``UDT_DEBUG=1`` the traceback has been printed before.
    """
    try:
        yield
    except (typer.Exit, typer.Abort):
        raise
    except BrokenPipeError:
        _forget_stdout()
        raise typer.Exit(DONE) from None
    except (Exception, KeyboardInterrupt) as error:
        if os.environ.get("UDT_DEBUG", "0") not in ("", "0"):
            traceback.print_exc()
        sentence, code = explain(error)
        say(sentence)
        raise typer.Exit(code) from None


def _forget_stdout() -> None:
    """Send the rest to nowhere: who read it has left, and Python flushes once more at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Print what udt warns of as one line, once; keep other libraries' warnings for UDT_DEBUG."""
    said: set[str] = set()

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        if category is UserWarning and str(message) not in said:
            said.add(str(message))
            say(f"warning: {message}")

    with warnings.catch_warnings():
        warnings.filterwarnings("always", category=UserWarning)
        if os.environ.get("UDT_DEBUG", "0") in ("", "0"):
            warnings.showwarning = show
        yield
