"""One file, whole or not at all, checked on load."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import stat
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from udt import model_file
from udt.errors import (
    CorruptModel,
    ModelFileError,
    ModelWriteError,
    NewerVersion,
    NotAModel,
    SettingsError,
    UDTError,
)
from udt.model_file import (
    ModelContent,
    check_writable,
    content_sha256,
    read_model,
    write_model,
)

DTYPES = ("f4", "f8", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?")


@pytest.fixture
def content() -> ModelContent:
    return ModelContent(
        header={
            "settings": {"width": 4, "lr": 0.1},
            "labels": ["no", "ja", "네", "\ud800", 3, True],
        },
        arrays={
            "w_in": np.arange(12, dtype=np.float32).reshape(3, 4),
            "hashes": np.array([2**64 - 1, 0], np.uint64),
            "empty": np.zeros((0, 4), np.float32),
            "scalar": np.array(2.5),
        },
        run={"time": {"wall_s": 1.5}},
    )


@pytest.fixture
def path(tmp_path: Path, content: ModelContent) -> Path:
    write_model(tmp_path / "m.udt", content)
    return tmp_path / "m.udt"


def assert_same(a: ModelContent, b: ModelContent) -> None:
    assert a.header == b.header
    assert a.run == b.run
    assert a.arrays.keys() == b.arrays.keys()
    for name, array in a.arrays.items():
        other = b.arrays[name]
        assert (array.dtype, array.shape) == (other.dtype, other.shape)
        assert array.tobytes() == other.tobytes()  # NaN payloads too


def test_reads_what_was_written(path: Path, content: ModelContent) -> None:
    assert_same(read_model(path), content)
    assert read_model(str(path)).header["labels"][4:] == [3, True]


def test_returns_the_size_of_the_file(tmp_path: Path, content: ModelContent) -> None:
    assert write_model(tmp_path / "m.udt", content) == (tmp_path / "m.udt").stat().st_size


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
json_objects = st.dictionaries(st.text(), json_values, max_size=4)
any_arrays = st.dictionaries(
    st.text(st.characters(codec="utf-8"), min_size=1),
    st.sampled_from(DTYPES).flatmap(
        lambda d: hnp.arrays(d, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    ),
    max_size=4,
).filter(lambda arrays: "__metadata__" not in arrays)
contents = st.builds(ModelContent, json_objects, any_arrays, json_objects)


@given(contents)
def test_any_content_survives(tmp_path_factory: pytest.TempPathFactory, any_content: Any) -> None:
    path = tmp_path_factory.mktemp("any") / "m.udt"
    write_model(path, any_content)
    back = read_model(path)
    assert_same(back, any_content)
    assert content_sha256(back) == content_sha256(any_content)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12, dtype=np.float32).reshape(3, 4).T,
        np.arange(12, dtype=np.int32)[::-2],
        np.arange(3, dtype=">f4"),
    ],
    ids=["transposed", "strided", "big-endian"],
)
def test_any_memory_layout_is_stored_by_value(tmp_path: Path, array: np.ndarray) -> None:
    content = ModelContent({}, {"a": array})
    write_model(tmp_path / "m.udt", content)
    back = read_model(tmp_path / "m.udt")
    np.testing.assert_array_equal(back.arrays["a"], array)
    assert content_sha256(back) == content_sha256(content)


def test_arrays_load_as_the_kernels_were_compiled_for(path: Path) -> None:
    # A read-only or unaligned array is another numba type: a second compilation.
    for array in read_model(path).arrays.values():
        assert array.flags.c_contiguous
        assert array.flags.aligned
        assert array.flags.writeable


def test_numpy_scalars_are_written_as_numbers(tmp_path: Path) -> None:
    write_model(tmp_path / "m.udt", ModelContent({"n": np.int64(3)}, {}, {"s": np.float32(0.5)}))
    back = read_model(tmp_path / "m.udt")
    assert (back.header, back.run) == ({"n": 3}, {"s": 0.5})


# --- content_sha256 ---------------------------------------------------------------------------


def test_digest_ignores_order_and_run(content: ModelContent) -> None:
    turned = ModelContent(
        dict(reversed(content.header.items())),
        dict(reversed(content.arrays.items())),
        {"time": {"wall_s": 99.0}},
    )
    assert content_sha256(turned) == content_sha256(content)


def test_digest_sees_every_change_of_content(content: ModelContent) -> None:
    w = content.arrays["w_in"]
    others = [
        dataclasses.replace(content, header={**content.header, "new": None}),
        *(
            dataclasses.replace(content, arrays={**content.arrays, "w_in": changed})
            for changed in (w + 1, w.reshape(4, 3), w.view(np.int32), w.astype(np.float64))
        ),
        dataclasses.replace(
            content, arrays={("W" if k == "w_in" else k): v for k, v in content.arrays.items()}
        ),
    ]
    digests = {content_sha256(c) for c in (content, *others)}
    assert len(digests) == 1 + len(others)


def test_digest_is_the_same_with_keys_that_json_turns_into_strings() -> None:
    assert content_sha256(ModelContent({"m": {2: 0, 10: 1}}, {})) == content_sha256(
        ModelContent({"m": {"2": 0, "10": 1}}, {})
    )


# --- damage -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    path = tmp_path_factory.mktemp("small") / "m.udt"
    write_model(path, ModelContent({"labels": ["a", "b"]}, {"w": np.ones(5, "f4")}, {"t": 1}))
    return path, path.read_bytes()


@given(st.data())
def test_any_altered_byte_is_refused(small: tuple[Path, bytes], data: st.DataObject) -> None:
    path, whole = small
    at = data.draw(st.integers(0, len(whole) - 1))
    mask = data.draw(st.integers(1, 255))
    path.write_bytes(whole[:at] + bytes([whole[at] ^ mask]) + whole[at + 1 :])
    with pytest.raises(NotAModel if at < 4 else CorruptModel):
        read_model(path)


def test_every_altered_byte_and_every_truncation_is_refused(small: tuple[Path, bytes]) -> None:
    path, whole = small
    for at in range(len(whole)):
        for damaged in (whole[:at], whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :]):
            path.write_bytes(damaged)
            with pytest.raises(NotAModel if at < 4 else CorruptModel, match=r"m\.udt"):
                read_model(path)


@given(st.binary(min_size=1, max_size=40))
def test_appended_bytes_are_refused(small: tuple[Path, bytes], more: bytes) -> None:
    path, whole = small
    path.write_bytes(whole + more)
    with pytest.raises(CorruptModel, match=r"but .* were written"):
        read_model(path)


def preamble(body: list[bytes], version: int = 1, writer: bytes = b"9.8.7") -> bytes:
    """Build the first 80 bytes by the documented layout, not by the module's own code."""
    head = b"\x89UDT\r\n\x1a\n" + struct.pack("<I36s", version, writer)
    head += struct.pack("<QQQI", *map(len, body), zlib.crc32(b"".join(body)))
    return head + struct.pack("<I", zlib.crc32(head))


EMPTY_ARRAYS = struct.pack("<Q", 2) + b"{}"


def test_layout_is_the_documented_one(tmp_path: Path) -> None:
    body = [b'{"labels":["a"]}', b"{}", EMPTY_ARRAYS]
    (tmp_path / "m.udt").write_bytes(preamble(body) + b"".join(body))
    assert_same(read_model(tmp_path / "m.udt"), ModelContent({"labels": ["a"]}, {}, {}))


@pytest.mark.parametrize(
    "body",
    [
        [b"{", b"{}", EMPTY_ARRAYS],
        [b"\xff", b"{}", EMPTY_ARRAYS],
        [b"[" * 100_000, b"{}", EMPTY_ARRAYS],
        [b"[]", b"{}", EMPTY_ARRAYS],
        [b"{}", b"3", EMPTY_ARRAYS],
        [b"{}", b"{}", b""],
        [b"{}", b"{}", struct.pack("<Q", 2**63)],
        [b"{}", b"{}", struct.pack("<Q", 2) + b"[]"],
    ],
    ids=["json", "utf-8", "nesting", "list", "number", "no arrays", "length", "not a dict"],
)
def test_rubbish_with_a_right_checksum_is_refused(tmp_path: Path, body: list[bytes]) -> None:
    (tmp_path / "m.udt").write_bytes(preamble(body) + b"".join(body))
    with pytest.raises(CorruptModel):
        read_model(tmp_path / "m.udt")


def test_an_array_type_unknown_to_numpy_is_refused(tmp_path: Path) -> None:
    table = json.dumps({"w": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}}).encode()
    body = [b"{}", b"{}", struct.pack("<Q", len(table)) + table + b"\0\0"]
    (tmp_path / "m.udt").write_bytes(preamble(body) + b"".join(body))
    with pytest.raises(CorruptModel, match="decoded"):
        read_model(tmp_path / "m.udt")


def test_a_newer_format_names_its_writer(tmp_path: Path) -> None:
    (tmp_path / "m.udt").write_bytes(preamble([b"?", b"", b""], version=2) + b"anything at all")
    with pytest.raises(NewerVersion, match=r"udt 9\.8\.7 in model format 2.*pip install"):
        read_model(tmp_path / "m.udt")


# --- not a model ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"", "is empty"), (b"text,label\na,b\n", "text,lab"), (b"PK\x03\x04" * 50, "PK")],
    ids=["empty", "csv", "zip"],
)
def test_another_file_is_not_a_model(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "x.csv").write_bytes(data)
    with pytest.raises(NotAModel, match=said):
        read_model(tmp_path / "x.csv")


def test_a_folder_is_not_a_model(tmp_path: Path) -> None:
    with pytest.raises(NotAModel, match="is a folder"):
        read_model(tmp_path)


def test_a_missing_file_names_near_ones(path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"Did you mean 'm\.udt'"):
        read_model(path.with_name("n.udt"))
    with pytest.raises(ModelFileError, match=r"Models in .*: m\.udt\."):
        read_model(path.with_name("nothing-like-it"))
    with pytest.raises(ModelFileError, match="no folder"):
        read_model(path.parent / "absent" / "m.udt")


def test_a_path_below_a_file_is_a_model_file_error(path: Path) -> None:
    with pytest.raises(ModelFileError, match="cannot be read: Not a directory"):
        read_model(path / "m.udt")


# --- writing ----------------------------------------------------------------------------------


def test_an_existing_file_is_kept_unless_told(path: Path, content: ModelContent) -> None:
    before = path.read_bytes()
    for attempt in (
        lambda: write_model(path, content),
        lambda: check_writable(path, overwrite=False),
    ):
        with pytest.raises(SettingsError, match=r"exists already.*--force"):
            attempt()
    assert path.read_bytes() == before
    check_writable(path, overwrite=True)
    assert path.read_bytes() == before
    write_model(path, ModelContent({"new": 1}, {}), overwrite=True)
    assert read_model(path).header == {"new": 1}


def test_a_missing_folder_or_a_folder_as_target_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"does not exist.*Make the folder"):
        check_writable(tmp_path / "absent" / "m.udt", overwrite=False)
    with pytest.raises(SettingsError, match=r"is not a file.*model\.udt"):
        check_writable(tmp_path, overwrite=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="devices in the file system are POSIX")
def test_a_device_is_never_replaced(content: ModelContent) -> None:
    with pytest.raises(SettingsError, match="is not a file"):
        write_model(os.devnull, content, overwrite=True)


def test_checking_leaves_nothing_behind(tmp_path: Path) -> None:
    check_writable(tmp_path / "m.udt", overwrite=False)
    assert list(tmp_path.iterdir()) == []


def fail(error: BaseException) -> Any:
    def failing(*_: object, **__: object) -> None:
        raise error

    return failing


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_full_disk_leaves_all_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    before = path.read_bytes()
    full = OSError(errno.ENOSPC, "No space left on device")
    monkeypatch.setattr(model_file.os, step, fail(full))
    with pytest.raises(ModelWriteError, match=r"m\.udt cannot be written: No space left") as caught:
        write_model(path, ModelContent({"new": 1}, {}), overwrite=True)
    assert isinstance(caught.value, UDTError)
    assert caught.value.__cause__ is full
    assert [p.name for p in path.parent.iterdir()] == ["m.udt"]
    assert path.read_bytes() == before


def test_an_interrupt_leaves_all_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()
    monkeypatch.setattr(model_file.os, "fsync", fail(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        write_model(path, ModelContent({"new": 1}, {}), overwrite=True)
    assert [p.name for p in path.parent.iterdir()] == ["m.udt"]
    assert path.read_bytes() == before


def test_a_read_only_folder_is_found_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # By patching, because permission bits do not bind the superuser.
    monkeypatch.setattr(Path, "open", fail(PermissionError(errno.EACCES, "Permission denied")))
    with pytest.raises(ModelWriteError, match=r"Permission denied.*another path"):
        check_writable(tmp_path / "m.udt", overwrite=False)


def test_a_name_that_is_too_long_is_a_write_error(tmp_path: Path, content: ModelContent) -> None:
    with pytest.raises(ModelWriteError):
        write_model(tmp_path / ("x" * 300), content)
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_json_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="is not JSON"):
        write_model(tmp_path / "m.udt", ModelContent({"x": object()}, {}))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="umask and links are POSIX")
def test_umask_and_links_are_obeyed(tmp_path: Path, content: ModelContent) -> None:
    (tmp_path / "real").mkdir()
    link = tmp_path / "link.udt"
    link.symlink_to(tmp_path / "real" / "m.udt")
    before = os.umask(0o027)
    try:
        write_model(link, content)
    finally:
        os.umask(before)
    assert link.is_symlink()
    assert stat.S_IMODE((tmp_path / "real" / "m.udt").stat().st_mode) == 0o640
    assert_same(read_model(link), content)


def test_importing_it_is_light() -> None:
    code = "import sys, udt.model_file; print(*{'torch', 'numba', 'sklearn'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
