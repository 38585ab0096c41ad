"""Everything that udt raises on purpose.

::

    UDTError
    ├── DataError (ValueError)        the table cannot be used as it is
    │   ├── TargetNotFound
    │   ├── EmptyTable
    │   ├── OneClassOnly
    │   └── BadRow                    .line: 1-based line number in the file
    ├── SettingsError (ValueError)    a parameter's value cannot be used
    ├── ModelFileError
    │   ├── NotAModel
    │   ├── NewerVersion
    │   └── CorruptModel
    ├── ModelWriteError (OSError)     the model cannot be written where it should go
    └── DivergedError                 training lost its numbers and could not recover

Every message says what is wrong (with the value), what was expected, and what to do next.
A model that is not fitted raises scikit-learn's ``NotFittedError``.
"""

from __future__ import annotations

from collections.abc import Iterable


class UDTError(Exception):
    """Base of all errors that udt raises on purpose."""


class DataError(UDTError, ValueError):
    """The table cannot be used as it is."""


class TargetNotFound(DataError):
    """The target column is not among the table's columns."""


class EmptyTable(DataError):
    """The table has no rows, or no column that can be learned from."""


class OneClassOnly(DataError):
    """The target holds fewer than two distinct labels."""


class BadRow(DataError):
    """A row of a file is malformed.

    Parameters
    ----------
    message : str
        The whole sentence.
    line : int
        1-based line number in the file.
    """

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


class SettingsError(UDTError, ValueError):
    """A parameter's value cannot be used."""


class ModelFileError(UDTError):
    """A model file cannot be read."""


class NotAModel(ModelFileError):
    """The file is not a udt model."""


class NewerVersion(ModelFileError):
    """The file was written by a newer udt than this one."""


class CorruptModel(ModelFileError):
    """The file is a udt model, but truncated or altered."""


class ModelWriteError(UDTError, OSError):
    """The model cannot be written where it should go: no permission, no space."""


class DivergedError(UDTError):
    """Training produced non-finite numbers and could not recover."""


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` for the nearest candidate, or an empty string.

    Examples
    --------
    >>> did_you_mean("lable", ["text", "label"])
    " Did you mean 'label'?"
    """
    import difflib  # two milliseconds, for failures only

    near = difflib.get_close_matches(name, list(candidates), n=1, cutoff=0.6)
    return f" Did you mean '{near[0]}'?" if near else ""
