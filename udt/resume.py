"""What a race has found so far, kept in one file, so that a killed one can go on."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from udt.errors import SettingsError

Arrays = Mapping[str, npt.NDArray[Any]]

_FORMAT = "udt search 1"


class TrialStore:
    """Results of trials by a key that says exactly what was tried on what.

    A folder that cannot be written to costs the chance to resume and nothing else.

    Parameters
    ----------
    path : Path
        The file; it is there from the first result on.
    seed : int
        Of the run: a resumed one has to take the same.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), ".model.udt.search")
    >>> TrialStore(path, seed=7).put("a trial", {"z": np.ones(2)})
    >>> store = TrialStore.resume(path)
    >>> store.seed, store.get("a trial")["z"].tolist(), store.get("another")
    (7, [1.0, 1.0], None)
    """

    def __init__(self, path: Path, seed: int) -> None:
        self.path, self.seed = path, seed
        self.n_found = 0
        self._kept: dict[str, Arrays] = {}
        self._lock = threading.Lock()

    @classmethod
    def resume(cls, path: Path) -> TrialStore:
        """Read what a killed run has left.

        Raises
        ------
        SettingsError
            There is nothing, or something else.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="numpy") as file:
                meta = file.metadata() or {}
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if meta.get("format") != _FORMAT:
                raise ValueError(meta.get("format"))
            store = cls(path, int(meta["seed"]))
        except (OSError, SafetensorError, LookupError, ValueError) as error:
            what = "is not there" if not path.exists() else "is not the state of a search"
            raise SettingsError(
                f"There is nothing to resume: {path} {what}. Expected the file that a killed "
                "'udt train' left beside its output; train without --resume."
            ) from error
        for name, array in arrays.items():
            key, part = name.split(".", 1)
            store._kept.setdefault(key, {})
            store._kept[key] = {**store._kept[key], part: array}
        return store

    def get(self, key: str) -> Arrays | None:
        """Return the arrays of a trial, or None."""
        found = self._kept.get(_digest(key))
        self.n_found += found is not None
        return found

    def put(self, key: str, arrays: Arrays) -> None:
        """Keep the arrays of a trial; threads may do so side by side."""
        from safetensors.numpy import save

        with self._lock:
            self._kept[_digest(key)] = arrays
            named = {
                f"{trial}.{part}": np.ascontiguousarray(array)
                for trial, parts in self._kept.items()
                for part, array in parts.items()
            }
            data = save(named, {"format": _FORMAT, "seed": json.dumps(self.seed)})
            being_written = self.path.with_name(f"{self.path.name}.{os.getpid()}")
            try:
                being_written.write_bytes(data)
                being_written.replace(self.path)
            except OSError:
                being_written.unlink(missing_ok=True)

    def remove(self) -> None:
        """Delete the file: the model is written."""
        self.path.unlink(missing_ok=True)


def state_path(output: Path) -> Path:
    """Return where the state of the search for a model lies.

    Examples
    --------
    >>> state_path(Path("models/m.udt")).as_posix()
    'models/.m.udt.search'
    """
    return output.with_name(f".{output.name}.search")


def fingerprint(*parts: Any) -> str:
    """Return a digest of arrays and of everything else by its text."""
    digest = blake2b(digest_size=16)
    for part in parts:
        digest.update(part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode())
        digest.update(b"\0")
    return digest.hexdigest()


def _digest(key: str) -> str:
    return blake2b(key.encode(), digest_size=16).hexdigest()
