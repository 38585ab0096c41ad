"""A model on disk: one file, written whole or not at all, checked on load; never a pickle.

::

    offset  bytes  content (integers little-endian, unsigned)
    0       8      magic: 89 55 44 54 0D 0A 1A 0A
    8       4      format version
    12      36     version of the udt that wrote it: ASCII, padded with NUL
    48      8      length of the header
    56      8      length of the run block
    64      8      length of the arrays
    72      4      CRC-32 of all that follows byte 80
    76      4      CRC-32 of bytes 0 to 76
    80             header (JSON) · run block (JSON) · arrays (safetensors)

The first 80 bytes keep this layout in every format version, so that any udt can tell a newer
file from a damaged one. The header says what the model is (settings, schema, labels); the run
block says how it came to be (times, energy, report), and is no part of `content_sha256`.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors import numpy as safetensors_numpy

from udt import __version__
from udt.errors import (
    CorruptModel,
    ModelFileError,
    ModelWriteError,
    NewerVersion,
    NotAModel,
    SettingsError,
    did_you_mean,
)

# As in PNG: the high bit and both line ends show a transfer in text mode, 1A stops `type`.
MAGIC = b"\x89UDT\r\n\x1a\n"
FORMAT_VERSION = 1

_FIELDS = struct.Struct("<8sI36sQQQI")
_CRC = struct.Struct("<I")
_PREAMBLE_BYTES = _FIELDS.size + _CRC.size


@dataclass(frozen=True)
class ModelContent:
    """All that a model file holds.

    Attributes
    ----------
    header : dict
        JSON-able: settings, schema, labels, versions. Keys are strings.
    arrays : dict of str to ndarray
        Numbers of any shape; as loaded they are writable copies in C order, so that a kernel
        sees the same array type as after training.
    run : dict
        JSON-able: times, energy, report; no part of `content_sha256`.
    """

    header: dict[str, Any]
    arrays: dict[str, npt.NDArray[Any]]
    run: dict[str, Any] = field(default_factory=dict)


def content_sha256(content: ModelContent) -> str:
    """Return a digest of header and arrays, the same for the same model.

    It depends neither on the order of dictionaries, nor on memory layout, nor on how, when and
    where the model was trained.

    Parameters
    ----------
    content : ModelContent
        As trained or as loaded.

    Returns
    -------
    str
        64 hexadecimal digits.
    """
    # Through JSON once before sorting, because JSON turns other keys into strings.
    header = json.loads(_to_json(content.header))
    digest = hashlib.sha256(_to_json(header, sort_keys=True))
    for name in sorted(content.arrays):
        array = _plain_array(content.arrays[name])
        digest.update(_to_json([name, array.dtype.str, array.shape]))
        digest.update(array.data if array.size else b"")
    return digest.hexdigest()


def check_writable(path: str | os.PathLike[str], *, overwrite: bool) -> None:
    """Raise now what `write_model` would raise after an hour of training.

    Parameters
    ----------
    path : path-like
        Where the model is to go.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    SettingsError
        The file exists and may not be replaced, or is no file, or its folder does not exist.
    ModelWriteError
        No file can be made in the folder.
    """
    shown = Path(path)
    try:
        real = _real_path(path)
        _check_target(shown, real, overwrite)
        with _temporary_beside(real):
            pass  # only a real attempt is sure: permission bits say nothing of mounts and quotas
    except OSError as error:
        raise _unwritable(shown, error) from error


def write_model(
    path: str | os.PathLike[str], content: ModelContent, *, overwrite: bool = False
) -> int:
    """Write a model file whole, or leave everything as it was.

    Written under a temporary name in the same folder, forced to disk, then renamed; if anything
    fails (a full disk, Ctrl-C), the temporary file goes and what was there before stays.

    Parameters
    ----------
    path : path-like
        Where to write; a symbolic link is followed.
    content : ModelContent
    overwrite : bool
        Whether an existing file may be replaced.

    Returns
    -------
    int
        Size of the file in bytes.

    Raises
    ------
    SettingsError, ModelWriteError
        As in `check_writable`; the latter also where the disk is full.
    """
    check_writable(path, overwrite=overwrite)
    real = _real_path(path)
    sections = _to_sections(content)
    try:
        with _temporary_beside(real) as (temporary, file):
            file.writelines(sections)
            file.flush()
            os.fsync(file.fileno())
            file.close()  # Windows renames closed files only
            os.replace(temporary, real)
    except OSError as error:
        raise _unwritable(Path(path), error) from error
    _sync_folder(real.parent)
    return sum(map(len, sections))


def read_model(path: str | os.PathLike[str]) -> ModelContent:
    """Read a model file and check every byte of it.

    The file is read once rather than mapped: a mapped file can change after it was checked.

    Parameters
    ----------
    path : path-like
        A file written by `write_model`.

    Returns
    -------
    ModelContent
        What was written.

    Raises
    ------
    NotAModel
        The file is something else.
    NewerVersion
        The file's format is newer than this udt.
    CorruptModel
        The file is truncated or altered.
    ModelFileError
        There is no such file, or it cannot be read.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise NotAModel(f"{path} is a folder. Expected a file written by 'udt train'.")
        with path.open("rb") as file:
            return _read(file, path)
    except FileNotFoundError:
        raise _missing(path) from None
    except OSError as error:
        raise ModelFileError(
            f"{path} cannot be read: {error.strerror}. "
            "Check that it is a file and that you may read it."
        ) from error


def _check_target(shown: Path, real: Path, overwrite: bool) -> None:
    if real.exists() and not real.is_file():
        raise SettingsError(
            f"{shown} is not a file. The model is written as one file: "
            f"name one, e.g. {shown / 'model.udt' if real.is_dir() else 'model.udt'}."
        )
    if real.exists() and not overwrite:
        raise SettingsError(
            f"{shown} exists already, and is left as it is. "
            "Replace it with --force (overwrite=True), or choose another name with -o."
        )
    if not real.parent.is_dir():
        raise SettingsError(
            f"The folder {shown.parent} does not exist, so {shown.name} cannot be written there. "
            "Make the folder first, or choose another path with -o."
        )


def _to_sections(content: ModelContent) -> list[bytes]:
    arrays = {name: _plain_array(array) for name, array in content.arrays.items()}
    body = [_to_json(content.header), _to_json(content.run), safetensors_numpy.save(arrays)]
    crc = 0
    for section in body:
        crc = zlib.crc32(section, crc)
    writer = __version__.encode("ascii")[:36]
    fields = _FIELDS.pack(MAGIC, FORMAT_VERSION, writer, *map(len, body), crc)
    return [fields, _CRC.pack(zlib.crc32(fields)), *body]


def _read(file: BinaryIO, path: Path) -> ModelContent:
    lengths, crc = _read_preamble(file, path)
    expected, found = _PREAMBLE_BYTES + sum(lengths), os.fstat(file.fileno()).st_size
    if found != expected:
        raise _corrupt(path, f"it has {found:,} bytes, but {expected:,} were written")
    body = [file.read(length) for length in lengths]
    actual = 0
    for section in body:
        actual = zlib.crc32(section, actual)
    if actual != crc:
        raise _corrupt(path, "its checksum does not match its content")
    try:
        header, run = json.loads(body[0]), json.loads(body[1])
        arrays = safetensors_numpy.load(body[2])
    except (ValueError, KeyError, RecursionError, SafetensorError) as error:
        raise _corrupt(path, f"its content cannot be decoded ({error})") from error
    if not (isinstance(header, dict) and isinstance(run, dict)):
        raise _corrupt(path, "its header is not a JSON object")
    return ModelContent(header, arrays, run)


def _read_preamble(file: BinaryIO, path: Path) -> tuple[tuple[int, int, int], int]:
    """Return the lengths of the three sections and their CRC."""
    start = file.read(_PREAMBLE_BYTES)
    if start[:4] != MAGIC[:4]:
        what = f"starts with {start[:8]!r}" if start else "is empty"
        raise NotAModel(
            f"{path} is not a udt model: it {what}. Expected a file written by 'udt train'. "
            "Check the path, and the order of the arguments: the model comes first."
        )
    if len(start) < _PREAMBLE_BYTES:
        raise _corrupt(path, f"it has {len(start)} bytes, fewer than any model")
    fields = start[: _FIELDS.size]
    if start[: len(MAGIC)] != MAGIC or _CRC.unpack_from(start, _FIELDS.size)[0] != zlib.crc32(
        fields
    ):
        raise _corrupt(path, "its first bytes are damaged")
    _, version, writer, *lengths, crc = _FIELDS.unpack(fields)
    if version > FORMAT_VERSION:
        raise NewerVersion(
            f"{path} was written by udt {writer.rstrip(bytes(1)).decode('ascii', 'replace')} in "
            f"model format {version}; this is udt {__version__}, which reads formats up to "
            f"{FORMAT_VERSION}. Upgrade with: pip install --upgrade openudt"
        )
    return (lengths[0], lengths[1], lengths[2]), crc


@contextlib.contextmanager
def _temporary_beside(path: Path) -> Iterator[tuple[Path, BinaryIO]]:
    """Open a new file in the path's folder; on leaving it is gone, unless it was renamed."""
    # Not tempfile: its files are readable by their owner alone, a model follows the umask.
    temporary = path.parent / f".udt-{os.urandom(8).hex()}.tmp"
    try:
        with temporary.open("xb") as file:
            yield temporary, file
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make the rename durable where the system can; the file itself is complete already."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _real_path(path: str | os.PathLike[str]) -> Path:
    return Path(os.path.realpath(path))


def _plain_array(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the array in C order and little-endian, as it is stored; a copy only if need be."""
    return np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")


def _to_json(value: Any, *, sort_keys: bool = False) -> bytes:
    text = json.dumps(value, default=_plain_scalar, separators=(",", ":"), sort_keys=sort_keys)
    return text.encode("ascii")


def _plain_scalar(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{value!r} of type {type(value).__name__} is not JSON.")


def _unwritable(path: Path, error: OSError) -> ModelWriteError:
    return ModelWriteError(
        f"{path} cannot be written: {error.strerror or error}. A folder that you may write to, "
        "with room for the model, was expected. Free some space or choose another path with -o."
    )


def _corrupt(path: Path, how: str) -> CorruptModel:
    return CorruptModel(
        f"{path} is damaged: {how}. Copy it again from where it came from, or train again."
    )


def _missing(path: Path) -> ModelFileError:
    folder = path.parent
    if not folder.is_dir():
        return ModelFileError(f"{path} does not exist: there is no folder {folder}.")
    names: list[str] = []
    with contextlib.suppress(OSError):  # a folder may be closed to listing
        names = sorted(os.listdir(folder))
    models = [name for name in names if name.endswith(".udt")]
    hint = did_you_mean(path.name, models) or did_you_mean(path.name, names)
    listed = ", ".join(models[:5]) + (", ..." if len(models) > 5 else "")
    if not hint:
        hint = f" Models in {folder}: {listed}." if models else f" {folder} holds no .udt file."
    return ModelFileError(f"{path} does not exist.{hint}")
