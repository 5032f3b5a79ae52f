"""The store: what comes back, and what every kind of stop or damage leaves behind."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import resource
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import fresh_process
from workzone.errors import StoreError
from workzone.features import store as store_module
from workzone.features.spec import FeatureSpec
from workzone.features.store import FeatureStore, StoreWriter, row_arrays, row_bytes
from workzone.views import ViewLayout

LAYOUT = ViewLayout(size=32, tiles=0, squares=("centre",))
SPEC = FeatureSpec(
    backbone="fake",
    weight_hash="0" * 32,
    width=5,
    mean=(0.5,),
    std=(0.5,),
    pooling="mean",
    layout=LAYOUT,
)
GRID_SPEC = dataclasses.replace(SPEC, grid_views=(1,), grid_size=(2, 3), grid_width=4)
FILES = ("pooled.bin", "boxes.bin", "journal.txt", "spec.json")
BATCHES = ((0, 1, 2), (3,), (4, 5, 6, 7))


def key(number: int) -> tuple[str, int]:
    return (f"image{number // 2}", number % 2)


def arrays(numbers, spec: FeatureSpec = SPEC) -> dict[str, np.ndarray]:
    """Rows that tell their number: every value of row n lies in n..n+1."""
    result = {}
    for array in row_arrays(spec):
        part = np.linspace(0, 0.5, int(np.prod(array.shape)), dtype=np.float32)
        rows = np.stack([(number + part).reshape(array.shape) for number in numbers])
        if array.name == "boxes":
            result[array.name] = rows
        elif spec.stored_type == "bfloat16":
            bits = torch.from_numpy(rows).to(torch.bfloat16).view(torch.uint16)
            result[array.name] = bits.numpy()
        else:
            result[array.name] = rows.astype(spec.stored_type)
    return result


def append(writer: StoreWriter, numbers, spec: FeatureSpec = SPEC) -> None:
    writer.append([key(number) for number in numbers], arrays(numbers, spec))


def filled(folder, batches=BATCHES, spec: FeatureSpec = SPEC):
    with StoreWriter(folder, spec) as writer:
        for batch in batches:
            append(writer, batch, spec)
    return folder


def contents(folder) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in FILES}


def check_rows(store: FeatureStore, numbers) -> None:
    assert store.rows == {key(number): number for number in numbers}
    for name, values in arrays(list(numbers) or [0]).items():
        got = store.read(name, slice(0, len(store))).numpy()
        np.testing.assert_array_equal(got, values.astype(np.float32)[: len(store)])


def go_on(folder, expected_done) -> None:
    """Open, see that exactly the whole batches are there, finish, and compare with no stop."""
    check_rows(FeatureStore(folder), range(expected_done))
    with StoreWriter(folder, SPEC) as writer:
        assert len(writer.rows) == expected_done
        for batch in BATCHES:
            if key(batch[0]) not in writer.rows:
                append(writer, batch)
    check_rows(FeatureStore(folder), range(8))


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    return contents(filled(tmp_path_factory.mktemp("whole") / "store"))


@pytest.mark.parametrize("stored", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("grid", [False, True])
def test_rows_come_back_as_they_went_in(tmp_path, stored, grid):
    spec = dataclasses.replace(GRID_SPEC if grid else SPEC, stored_type=stored)
    filled(tmp_path, spec=spec)
    store = FeatureStore(tmp_path)
    assert len(store) == 8
    assert store.spec == spec
    exact = getattr(torch, stored)
    shapes = {"pooled": (2, 5), "boxes": (2, 4)} | ({"grid": (1, 6, 4)} if grid else {})
    rows = [store.row(*key(number)) for number in (6, 0, 3)]
    for name, shape in shapes.items():
        got = store.read(name, rows)
        assert got.dtype == torch.float32
        part = torch.from_numpy(np.linspace(0, 0.5, int(np.prod(shape)), dtype=np.float32))
        for row, number in zip(got, (6, 0, 3), strict=True):
            expected = (number + part).reshape(shape)
            if name != "boxes":
                expected = expected.to(exact).float()
            torch.testing.assert_close(row, expected, rtol=0, atol=0)
    size = sum((tmp_path / f"{name}.bin").stat().st_size for name in shapes)
    assert size == 8 * row_bytes(spec)


def test_bytes_of_a_row_in_closed_form():
    assert row_bytes(SPEC) == 2 * 5 * 2 + 2 * 4 * 4
    assert row_bytes(GRID_SPEC) == row_bytes(SPEC) + 1 * 6 * 4 * 2


def test_failures_are_kept_with_their_reasons(tmp_path):
    with StoreWriter(tmp_path, SPEC) as writer:
        writer.append([key(0)], arrays([0]), [(("bad", 0), "cut short")])
        writer.append([], {name: a[:0] for name, a in arrays([0]).items()}, [(("bad", 1), "empty")])
    store = FeatureStore(tmp_path)
    assert store.failed == {("bad", 0): "cut short", ("bad", 1): "empty"}
    check_rows(store, range(1))
    with pytest.raises(StoreError, match=r"image bad, copy 0, could not be read: cut short"):
        store.row("bad")


def test_an_empty_store_has_no_rows(tmp_path):
    with StoreWriter(tmp_path, SPEC):
        pass
    store = FeatureStore(tmp_path)
    assert len(store) == 0
    assert tuple(store.read("pooled", slice(None)).shape) == (0, 2, 5)


def test_what_is_not_there_is_named(tmp_path):
    store = FeatureStore(filled(tmp_path))
    with pytest.raises(StoreError, match=r"image other, copy 3, is not in .*workzone extract"):
        store.row("other", 3)
    with pytest.raises(StoreError, match=r"has no 'pool'; did you mean 'pooled'\?"):
        store.read("pool", [0])


def test_a_folder_without_store_is_named(tmp_path):
    with pytest.raises(StoreError, match=r"no feature store at .*; make one with `workzone ext"):
        FeatureStore(tmp_path / "none")


@pytest.mark.parametrize("text", ["{", "[]", '{"backbone": 1}'])
@pytest.mark.parametrize("opened", [FeatureStore, lambda folder: StoreWriter(folder, SPEC)])
def test_a_damaged_spec_is_named(tmp_path, text, opened):
    filled(tmp_path)
    (tmp_path / "spec.json").write_text(text)
    with pytest.raises(StoreError, match=r"spec\.json cannot be read \((?s:.*)extract again"):
        opened(tmp_path)


def test_another_spec_is_refused_and_the_store_left_alone(tmp_path, uninterrupted):
    filled(tmp_path)
    with pytest.raises(StoreError, match="holds features of another spec; name another folder"):
        StoreWriter(tmp_path, dataclasses.replace(SPEC, pooling="max"))
    assert contents(tmp_path) == uninterrupted


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot write to .*file/store: Not a directory"):
        StoreWriter(tmp_path / "file" / "store", SPEC)


def test_rows_survive_every_length_of_a_torn_journal(tmp_path, uninterrupted):
    journal = uninterrupted["journal.txt"]
    ends = [0, *(at + 1 for at, byte in enumerate(journal) if byte == ord("\n"))]
    rows_at_end = dict(zip(ends, [0, 3, 4, 8], strict=True))
    lengths = {*range(0, len(journal), 40), *ends, *(end - 1 for end in ends[1:])}
    for length in sorted(lengths):
        folder = filled(tmp_path / "store")
        (folder / "journal.txt").write_bytes(journal[:length])
        go_on(folder, rows_at_end[max(end for end in ends if end <= length)])
        assert contents(folder) == uninterrupted
        shutil.rmtree(folder)


@pytest.mark.parametrize("name", ["pooled.bin", "boxes.bin", "journal.txt"])
def test_half_written_bytes_after_the_end_are_cut_off(tmp_path, uninterrupted, name):
    folder = filled(tmp_path, BATCHES[:2])
    with (folder / name).open("ab") as handle:
        handle.write(b"\x07garbage\xff" * 9)
    go_on(folder, 4)
    assert contents(folder) == uninterrupted


def test_a_changed_byte_in_the_journal_is_not_believed(tmp_path, uninterrupted):
    folder = filled(tmp_path)
    journal = bytearray(uninterrupted["journal.txt"])
    journal[journal.index(b"image1")] ^= 1  # in the first line
    (folder / "journal.txt").write_bytes(journal)
    go_on(folder, 0)
    assert contents(folder) == uninterrupted


@pytest.mark.parametrize("name", ["pooled", "boxes"])
@pytest.mark.parametrize("failure_last", [False, True])
def test_a_changed_byte_in_the_last_batch_is_found(tmp_path, name, failure_last):
    folder = filled(tmp_path)
    if failure_last:
        with StoreWriter(folder, SPEC) as writer:
            none = {name: values[:0] for name, values in arrays([0]).items()}
            writer.append([], none, [(("bad", 0), "empty")])
    path = folder / f"{name}.bin"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(StoreError, match=rf"{name}\.bin does not match its journal .*delete"):
        StoreWriter(folder, SPEC)


@pytest.mark.parametrize("name", ["pooled", "boxes"])
def test_missing_data_are_found_by_readers_and_writers(tmp_path, name):
    folder = filled(tmp_path)
    path = folder / f"{name}.bin"
    size = path.stat().st_size
    os.truncate(path, size - 1)
    with pytest.raises(StoreError, match=rf"{name}\.bin holds {size - 1} bytes, .* {size}; del"):
        FeatureStore(folder)
    with pytest.raises(StoreError, match=rf"{name}\.bin is shorter than its journal says; delete"):
        StoreWriter(folder, SPEC)


def test_rows_that_do_not_fit_are_never_written(tmp_path, uninterrupted):
    with StoreWriter(tmp_path, SPEC) as writer:
        for batch in BATCHES:
            append(writer, batch)
        for keys, values in (
            ([key(8)], arrays([8, 9])),  # more rows than keys
            ([key(8), key(8)], arrays([8, 9])),  # a key twice
            ([key(0)], arrays([0])),  # a key that is there
            ([key(8)], {name: a.astype(np.float64) for name, a in arrays([8]).items()}),
        ):
            with pytest.raises(AssertionError):
                writer.append(keys, values)
    assert contents(tmp_path) == uninterrupted


def test_one_writer_at_a_time_in_one_process(tmp_path):
    with (
        StoreWriter(tmp_path, SPEC),
        pytest.raises(StoreError, match=r"another process is writing to .*; wait for it"),
    ):
        StoreWriter(tmp_path, SPEC)
    with StoreWriter(tmp_path, SPEC) as writer:
        append(writer, [0])


def write_until_told(folder, stop) -> None:
    """In a process of its own: append batches of two rows."""
    number = 0
    with StoreWriter(folder, SPEC) as writer:
        while not stop.is_set():
            append(writer, [number, number + 1])
            number += 2


def test_readers_see_whole_batches_while_another_process_writes(tmp_path):
    seen = []
    stop = fresh_process.event()
    process = fresh_process.start(write_until_told, tmp_path, stop)
    try:
        while len(set(seen)) < 12:
            if (tmp_path / "spec.json").exists():
                store = FeatureStore(tmp_path)
                check_rows(store, range(len(store)))
                seen.append(len(store))
            assert process.is_alive()
        with pytest.raises(StoreError, match="another process is writing to"):
            StoreWriter(tmp_path, SPEC)
    finally:
        stop.set()
        process.join()
    assert seen == sorted(seen)
    assert all(count % 2 == 0 for count in seen)
    with StoreWriter(tmp_path, SPEC):  # the lock goes with the process
        pass


class FullDisk:
    """A file that takes ``room`` more bytes."""

    def __init__(self, handle, room: int) -> None:
        self.handle, self.room = handle, room

    def write(self, data: bytes) -> int:
        self.handle.write(data[: self.room])
        if len(data) > self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return len(data)

    def __getattr__(self, name):
        return getattr(self.handle, name)


@pytest.mark.parametrize("name", ["pooled", "boxes", "journal"])
@pytest.mark.parametrize("room", [0, 17])
def test_a_full_disk_costs_the_batch_in_flight_only(tmp_path, uninterrupted, name, room):
    folder = filled(tmp_path, BATCHES[:2])
    with StoreWriter(folder, SPEC) as writer:
        writer._files[name] = FullDisk(writer._files[name], room)
        with pytest.raises(StoreError, match=r"No space left on device.*so far is safe: free som"):
            append(writer, BATCHES[2])
        assert len(writer.rows) == 4
        with pytest.raises(ValueError, match="closed file"):  # no second batch after half a one
            append(writer, BATCHES[2])
    go_on(folder, 4)
    assert contents(folder) == uninterrupted


def test_a_limit_of_the_system_is_met_like_a_full_disk(tmp_path, uninterrupted):
    folder = filled(tmp_path, BATCHES[:2])
    size = (folder / "pooled.bin").stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with StoreWriter(folder, SPEC) as writer:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 13, hard))
        try:
            with pytest.raises(StoreError, match="File too large"):
                append(writer, BATCHES[2])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert (folder / "pooled.bin").stat().st_size == size + 13  # half a row is really there
    go_on(folder, 4)
    assert contents(folder) == uninterrupted


def test_data_are_on_disk_before_the_journal_vouches_for_them(tmp_path, monkeypatch):
    flushed = []
    flush = store_module._flush

    def spy(handle):
        flush(handle)
        flushed.append((Path(handle.name).name, (tmp_path / "journal.txt").stat().st_size))

    with StoreWriter(tmp_path, SPEC) as writer:
        monkeypatch.setattr(store_module, "_flush", spy)
        append(writer, [0])
    journal = (tmp_path / "journal.txt").stat().st_size
    assert flushed == [("pooled.bin", 0), ("boxes.bin", 0), ("journal.txt", journal)]


def test_flushing_reaches_the_disk(tmp_path, monkeypatch):
    synced = []
    with StoreWriter(tmp_path, SPEC) as writer:
        monkeypatch.setattr(store_module.os, "fsync", synced.append)
        append(writer, [0])
        assert synced == [writer._files[n].fileno() for n in ("pooled", "boxes", "journal")]


def test_the_journal_is_plain_text(tmp_path):
    filled(tmp_path, [(0, 1)])
    checksum, _, text = (tmp_path / "journal.txt").read_text().partition(" ")
    assert len(checksum) == 8
    assert json.loads(text)["rows"] == [["image0", 0], ["image0", 1]]
