"""Extraction: every row is right, whatever stops it and however often."""

from __future__ import annotations

import dataclasses
import io
import os
import shutil
import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import fresh_process
from workzone.backbones.base import Backbone, pool, run
from workzone.backbones.registry import load_backbone
from workzone.data.augmentation import RECIPES, Augmentation
from workzone.data.images import content_hash
from workzone.data.manifest import Manifest
from workzone.errors import BackboneError, ManifestError, StoreError, UsageError
from workzone.features import extract as extract_module
from workzone.features import store as store_module
from workzone.features.extract import Extraction, choose_precision, jobs, make_spec
from workzone.features.reading import halved, read_views
from workzone.features.store import FeatureStore, row_bytes
from workzone.types import ImageRef, Sample
from workzone.views import ViewLayout, sample_bytes, sample_views

LAYOUT = ViewLayout(size=32, tiles=0, squares=("centre",))
BATCH = 2
KILLS = 10


class FakeBackbone(Backbone):
    """Four numbers per view: the means of its quarters, of one channel, times ``gain``.

    In bfloat16 they are off by ``error``, which turns their direction.
    """

    def __init__(self, gain: float = 1.0, error: float = 0.0) -> None:
        weight = nn.Linear(1, 1, bias=False)
        nn.init.ones_(weight.weight)  # never used, but hashed
        super().__init__(
            weight,
            name="fake",
            width=2,
            multiple=16,
            mean=(0.5, 0.5, 0.5),
            std=(0.5, 0.5, 0.5),
            default_size=32,
            licence="none",
            has_cls=False,
        )
        self.gain, self.error, self.seen = gain, error, 0

    def tokens(self, normalised):
        self.seen += len(normalised)
        cells = nn.functional.avg_pool2d(normalised[:, :1], 16).flatten(2).transpose(1, 2)
        second = self.error * torch.is_autocast_enabled("cpu")
        return None, self.gain * torch.cat([cells, cells * second], 2).float()


def image(seed: int, size: tuple[int, int] = (64, 48)) -> bytes:
    random = np.random.default_rng(seed)
    small = random.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(small).resize(size, Image.Resampling.BICUBIC).save(file, "PNG")
    return file.getvalue()


def make_manifest(folder: Path, files: dict[str, bytes]) -> Manifest:
    samples = []
    for name, data in files.items():
        (folder / name).write_bytes(data)
        samples.append(Sample(name, ImageRef(name), content_hash=content_hash(data)))
    return Manifest(samples, folder)


@pytest.fixture
def manifest(tmp_path):
    return make_manifest(tmp_path, {f"{seed}.png": image(seed) for seed in range(5)})


@pytest.fixture(autouse=True)
def small_batches(monkeypatch):
    monkeypatch.setattr(extract_module, "BATCH_IMAGES", BATCH)


def extraction(manifest, backbone=None, copies=0, **settings) -> Extraction:
    backbone = backbone or FakeBackbone()
    spec = make_spec(backbone, **{"layout": LAYOUT} | settings)
    return Extraction(manifest, backbone, spec, manifest.root / "features", copies=copies)


def directly(work: Extraction, sample: Sample, copy: int = 0) -> torch.Tensor:
    """The row as a user would compute it, without batches, threads or store."""
    data = sample_bytes(sample, work.manifest.root)
    views = sample_views(
        sample, data, work.spec.layout, augmentation=work.spec.augmentation, copy=copy
    )
    pixels = torch.from_numpy(views.pixels)
    output = run(work.backbone, pixels, precision=work.spec.precision)
    return pool(output, work.spec.pooling).half().float()


def check_rows(work: Extraction, store: FeatureStore, copies: int = 0) -> None:
    pooled = store.read("pooled", slice(None))
    for sample in work.manifest:
        for copy in range(copies + 1):
            row = store.row(sample.content_hash, copy)
            # a wrong row is off by far more than another thread count's last bits
            torch.testing.assert_close(
                pooled[row], directly(work, sample, copy), atol=2e-3, rtol=2e-3
            )


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# Kill and go on


def kill_manifest(folder: Path) -> Manifest:
    """Sixty images, two of them broken."""
    names = {f"{seed:02d}.png": image(seed) for seed in range(60)}
    names |= {"07.png": b"broken", "30.png": image(30)[:200]}
    return make_manifest(folder, names)


def extract_in_process(folder: Path, store: Path, die_at: int, torn: float, began) -> None:
    """Extract with the real backbone; at flush number ``die_at`` die as by a power cut.

    Of what the flush would have brought to disk only the share ``torn`` is there.
    """
    torch.set_num_threads(1)
    extract_module.BATCH_IMAGES = BATCH
    whole_flush, flushes = store_module._flush, 0

    def flush(handle):
        nonlocal flushes
        flushes += 1
        began.set()
        before = os.fstat(handle.fileno()).st_size
        whole_flush(handle)
        if flushes == die_at:
            after = os.fstat(handle.fileno()).st_size
            os.ftruncate(handle.fileno(), before + round(torn * (after - before)))
            os.kill(os.getpid(), signal.SIGKILL)

    store_module._flush = flush
    backbone = load_backbone("lite0")
    spec = make_spec(backbone, layout=LAYOUT)
    manifest = make_manifest_again(folder)
    Extraction(manifest, backbone, spec, store, copies=0).run()


def make_manifest_again(folder: Path) -> Manifest:
    samples = [
        Sample(path.name, ImageRef(path.name), content_hash=content_hash(path.read_bytes()))
        for path in sorted(folder.glob("*.png"))
    ]
    return Manifest(samples, folder)


def test_ten_kills_leave_the_store_of_an_uninterrupted_run(tmp_path):
    random = np.random.default_rng(0)
    kill_manifest(tmp_path)
    stopped, whole = tmp_path / "stopped", tmp_path / "whole"
    promised = []
    for kill in range(KILLS):
        began = fresh_process.event()
        inside = kill % 2 == 0  # else at any moment, from outside
        die_at = int(random.integers(1, 12)) if inside else 0
        process = fresh_process.start(
            extract_in_process, tmp_path, stopped, die_at, float(random.random()), began
        )
        if not inside:
            assert began.wait(300)
            time.sleep(random.uniform(0, 0.05))
            process.kill()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        (folder,) = stopped.iterdir()
        promised.append(len(FeatureStore(folder)))
    assert promised == sorted(promised)
    assert 0 < promised[-1] < 58  # it was stopped in the middle indeed
    for store in (stopped, whole):
        process = fresh_process.start(extract_in_process, tmp_path, store, 0, 0.0, began)
        process.join()
        assert process.exitcode == 0
    (stopped,), (whole,) = stopped.iterdir(), whole.iterdir()
    assert files_of(stopped) == files_of(whole)

    store = FeatureStore(stopped)
    assert len(store) == 58
    backbone = load_backbone("lite0")
    manifest = make_manifest_again(tmp_path)
    good = manifest.with_samples([s for s in manifest if s.id not in ("07.png", "30.png")])
    work = Extraction(good, backbone, make_spec(backbone, layout=LAYOUT), tmp_path)
    check_rows(work, store)
    again = Extraction(manifest, backbone, work.spec, tmp_path / "stopped")
    assert again.pending() == []
    assert set(again.failed(store)) == {"07.png", "30.png"}


def test_rows_of_a_stopped_run_are_not_computed_again(manifest, monkeypatch):
    first = extraction(manifest)
    count = 0
    stack = first._stacked

    def stop_later(batch):
        nonlocal count
        count += 1
        if count == 2:
            raise KeyboardInterrupt
        return stack(batch)

    monkeypatch.setattr(first, "_stacked", stop_later)
    with pytest.raises(KeyboardInterrupt):
        first.run()
    second = extraction(manifest)
    assert [job.sample.id for job in second.pending()] == ["2.png", "3.png", "4.png"]
    store = second.run()
    assert second.backbone.seen == 3 * LAYOUT.count
    check_rows(second, store)


def test_no_thread_works_on_after_a_stop(manifest, monkeypatch):
    work = extraction(manifest)
    full = StoreError("the disk is full")
    monkeypatch.setattr(work, "_stacked", lambda batch: (_ for _ in ()).throw(full))
    before = threading.active_count()
    with pytest.raises(StoreError, match="the disk is full"):
        work.run()
    assert threading.active_count() == before


@pytest.mark.parametrize("cores", [1, 3])
def test_rows_are_the_same_however_many_cores_there_are(manifest, monkeypatch, cores):
    monkeypatch.setattr(extract_module, "core_count", lambda: cores)
    work = extraction(manifest, copies=1, grid_views=(0,))
    store = work.run()
    check_rows(work, store, copies=1)
    assert [name for name, _ in store.rows] == [s.content_hash for s in manifest for _ in "ab"]


class OnGpu(FakeBackbone):
    """Says that it is on a GPU."""

    device = torch.device("cuda")


def test_on_a_gpu_one_thread_computes_and_others_prepare(manifest, monkeypatch):
    computing, preparing, plain = set(), set(), FakeBackbone()

    def read(backbone, pixels, spec):
        computing.add(threading.get_ident())
        return read_views(plain, pixels, spec)

    def views(*arguments, **options):
        preparing.add(threading.get_ident())
        return sample_views(*arguments, **options)

    monkeypatch.setattr(extract_module, "read_views", read)
    monkeypatch.setattr(extract_module, "sample_views", views)
    work = extraction(manifest, OnGpu(), copies=1)
    store = work.run()
    check_rows(extraction(manifest, plain), store)
    assert len(store) == 10
    assert len(computing) == 1
    assert not computing & preparing
    assert threading.get_ident() not in computing | preparing


# What is stored


@pytest.mark.parametrize("pooling", ["mean", "max", "mean+max"])
def test_rows_equal_direct_computation(manifest, pooling):
    work = extraction(manifest, pooling=pooling)
    store = work.run()
    assert len(store) == 5
    check_rows(work, store)
    boxes = sample_views(
        manifest.samples[0], sample_bytes(manifest.samples[0], manifest.root), LAYOUT
    ).boxes
    np.testing.assert_array_equal(store.read("boxes", [0])[0].numpy(), boxes)


def test_grids_of_the_views_asked_for_are_stored(manifest):
    work = extraction(manifest, grid_views=(1, 0))
    store = work.run()
    assert work.spec.grid_size == (2, 2)
    for sample in manifest:
        pixels = sample_views(sample, sample_bytes(sample, manifest.root), LAYOUT).pixels
        expected = run(work.backbone, torch.from_numpy(pixels)).grid[[1, 0]].half().float()
        got = store.read("grid", [store.row(sample.content_hash)])[0]
        torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("wanted", [(), (0,), (0, 1)])
def test_a_store_with_more_grids_serves_too(manifest, wanted):
    whole = extraction(manifest, grid_views=(1, 0))
    whole.run()
    less = extraction(manifest, grid_views=wanted)
    assert less.path == whole.path
    assert less.pending() == []
    other = extraction(manifest, grid_views=wanted, pooling="max")
    assert other.path != whole.path  # another pooling is another feature


def test_a_store_of_another_layout_does_not_serve(manifest):
    few = dataclasses.replace(LAYOUT, tiles=0, squares=(), boxes=())
    extraction(manifest, layout=few, grid_views=(0,)).run()
    more = extraction(manifest, grid_views=(1, 0))  # views that the other one has not
    assert more.spec.grid_views == (1, 0)
    check_rows(more, more.run())


def test_a_store_without_the_grid_does_not_serve(manifest):
    plain = extraction(manifest)
    plain.run()
    assert extraction(manifest, grid_views=(0,)).path != plain.path
    whole = extraction(manifest, grid_views=(0,))
    whole.run()
    assert extraction(manifest).path == plain.path  # its own comes first


def test_a_damaged_neighbour_is_passed_over(manifest):
    whole = extraction(manifest, grid_views=(0,))
    whole.run()
    (whole.path / "spec.json").write_text("{")
    assert extraction(manifest).path != whole.path


def test_features_can_be_stored_as_bfloat16(manifest):
    exact = extraction(manifest).run().read("pooled", slice(None))
    rounded = extraction(manifest, stored_type="bfloat16").run().read("pooled", slice(None))
    assert not torch.equal(rounded, exact)
    torch.testing.assert_close(rounded, exact, rtol=2**-7, atol=0)


def test_images_that_cannot_be_read_are_passed_over_and_not_tried_again(tmp_path):
    files = {"a.png": image(0), "bad.png": b"nothing", "b.png": image(1), "cut.png": image(2)[:99]}
    manifest = make_manifest(tmp_path, files)
    (tmp_path / "gone.png").unlink(missing_ok=True)
    gone = Sample("gone", ImageRef("gone.png"), content_hash="0" * 32)
    manifest = manifest.with_samples([*manifest.samples, gone])
    work = extraction(manifest)
    store = work.run()
    assert len(store) == 2
    reasons = work.failed(store)
    assert set(reasons) == {"bad.png", "cut.png", "gone"}
    assert "bad.png: not an image" in reasons["bad.png"]
    assert "gone.png: no such file" in reasons["gone"]
    check_rows(extraction(manifest.with_samples(manifest.samples[:1])), store)
    again = extraction(manifest)
    assert [job.sample.id for job in again.pending()] == ["gone"]  # it may come back
    before = files_of(again.path)
    again.run()
    assert again.backbone.seen == 0
    assert files_of(again.path) == before


def test_a_manifest_of_bad_images_alone_gives_an_empty_store(tmp_path):
    manifest = make_manifest(tmp_path, {f"{n}.png": b"bad%d" % n for n in range(3)})
    work = extraction(manifest, grid_views=(0,))
    store = work.run()
    assert len(store) == 0
    assert len(work.failed(store)) == 3


def test_equal_images_are_extracted_and_stored_once(tmp_path):
    manifest = make_manifest(
        tmp_path, {"a.png": image(0), "b.png": image(1), "a-again.png": image(0)}
    )
    work = extraction(manifest)
    store = work.run()
    assert len(store) == 2
    assert work.backbone.seen == 2 * LAYOUT.count
    check_rows(work, store)


def test_copies_have_rows_of_their_own_that_can_be_made_again(manifest, tmp_path):
    work = extraction(manifest, copies=2)
    store = work.run()
    assert len(store) == 15
    check_rows(work, store, copies=2)
    image_hash = manifest.samples[0].content_hash
    rows = store.read("pooled", [store.row(image_hash, copy) for copy in range(3)])
    assert all(not torch.equal(rows[i], rows[j]) for i, j in ((0, 1), (0, 2), (1, 2)))
    files = files_of(work.path)
    shutil.rmtree(work.path)
    extraction(manifest, copies=2).run()
    assert files_of(work.path) == files


def test_views_are_read_at_half_their_size_too(manifest):
    layout = ViewLayout(size=64, tiles=0, squares=("centre",), halves=True)
    work = extraction(manifest, layout=layout, grid_views=(0, 1))
    store = work.run()
    assert (store.spec.grid_size, store.spec.grid_cells) == ((4, 4), 20)
    for sample in manifest:
        views = sample_views(sample, sample_bytes(sample, manifest.root), layout)
        whole = torch.from_numpy(views.pixels)
        small = torch.nn.functional.interpolate(whole, (32, 32), mode="bilinear", antialias=True)
        expected = [run(work.backbone, pixels).grid for pixels in (whole, small)]
        found = store.read("grid", [store.row(sample.content_hash)])[0]
        torch.testing.assert_close(found, torch.cat(expected, dim=1), rtol=1e-3, atol=1e-3)


FRAME = ViewLayout(size=128, shorter=64, step=32, tiles=0, squares=(), halves=True)
"""The whole frame in its own shape: 4 cells the shorter side, 8 the longer one at most."""
SHAPES = {(64, 48): (64, 96), (48, 64): (96, 64), (50, 50): (64, 64), (90, 16): (32, 128)}
"""Width and height of images, and the rows and columns of pixels that their views have."""


@pytest.fixture
def frames(tmp_path):
    """An image of every shape, the last one twice, with other pixels."""
    sizes = [*SHAPES, list(SHAPES)[-1]]
    files = {f"{number}.png": image(number, size) for number, size in enumerate(sizes)}
    return make_manifest(tmp_path, files)


def test_frames_in_their_own_shape_lie_in_squares(frames):
    work = extraction(frames, layout=FRAME, grid_views=(0,))
    store = work.run()
    assert (store.spec.grid_size, store.spec.grid_cells) == ((8, 8), 64 + 16)
    for sample, shape in zip(frames, [*SHAPES.values(), (32, 128)], strict=True):
        views = sample_views(sample, sample_bytes(sample, frames.root), FRAME)
        pixels = torch.from_numpy(views.pixels)
        assert tuple(pixels.shape) == (1, 3, *shape)
        row = store.row(sample.content_hash)
        expected = torch.tensor([[0, 0, 128 / shape[1], 128 / shape[0]]])
        torch.testing.assert_close(store.read("boxes", [row])[0], expected)
        own, half = store.read("grid", [row])[0, 0].split([64, 16])
        for cells, seen, side in ((own, pixels, 8), (half, halved(pixels), 4)):
            read = run(work.backbone, seen)
            square = torch.zeros(side, side, 2)
            square[: read.grid_size[0], : read.grid_size[1]] = read.grid.unflatten(
                1, read.grid_size
            )
            torch.testing.assert_close(cells.view(side, side, 2), square, rtol=1e-3, atol=1e-3)
    check_read = read_views(work.backbone, pixels, work.spec)  # of the frame alone
    pooled = pool(check_read, work.spec.pooling)
    torch.testing.assert_close(store.read("pooled", [row])[0], pooled, rtol=1e-3, atol=1e-3)


def test_an_estimate_is_of_a_usual_frame(frames, monkeypatch):
    seen = []
    monkeypatch.setattr(
        extract_module, "read_views", lambda backbone, pixels, spec: seen.append(pixels)
    )
    extraction(frames, layout=FRAME).estimate()
    assert {tuple(pixels.shape) for pixels in seen} == {(1, 3, 64, 128)}


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ({"size": 96, "shorter": 24, "step": 24}, "size 24"),
        ({"size": 96, "shorter": 48, "step": 48, "halves": True}, "size 24"),
        ({"size": 96, "shorter": 96, "step": 96, "halves": True}, None),
    ],
)
def test_steps_of_frames_that_do_not_fit_the_backbone_are_refused(layout, message):
    layout = ViewLayout(tiles=0, squares=(), **layout)
    if message is None:
        assert make_spec(FakeBackbone(), layout=layout, grid_views=(0,)).grid_size == (6, 6)
        return
    with pytest.raises(UsageError, match=f"{message} does not fit backbone 'fake'"):
        make_spec(FakeBackbone(), layout=layout)


def test_halves_that_do_not_fit_the_backbone_are_refused():
    layout = ViewLayout(size=48, tiles=0, squares=(), halves=True)
    with pytest.raises(UsageError, match="24"):
        make_spec(FakeBackbone(), layout=layout)


def test_more_copies_are_added_to_the_same_store(manifest):
    assert len(extraction(manifest).run()) == 5
    more = extraction(manifest, copies=1)
    assert {job.copy for job in more.pending()} == {1}
    assert len(more.run()) == 10


@pytest.mark.parametrize("recipe", ["trivial", "rand", "challenge"])
def test_copies_by_a_recipe_are_the_same_whatever_the_order_of_images(manifest, recipe):
    """Frames are changed by several threads at once."""
    work = extraction(manifest, copies=3, augmentation=Augmentation(recipe=recipe))
    check_rows(work, work.run(), copies=3)


def test_another_recipe_is_another_store(manifest):
    paths = {extraction(manifest, augmentation=Augmentation(recipe=r)).path for r in RECIPES}
    assert len(paths) == len(RECIPES)
    assert extraction(manifest).path in paths


def test_another_augmentation_seed_is_another_store(manifest):
    one = extraction(manifest)
    other = extraction(manifest, augmentation=Augmentation(seed=1))
    assert one.path != other.path
    assert one.path.name == f"fake-{one.spec.key()}"


def test_a_sample_without_hash_is_named(manifest):
    samples = [*manifest.samples, Sample("x", ImageRef("0.png"))]
    with pytest.raises(
        ManifestError, match=r"sample 'x' has no content hash; import the data again"
    ):
        jobs(manifest.with_samples(samples), 0)


# Numbers that do not fit


@pytest.mark.parametrize("gain", [float("nan"), float("inf"), 1e39])
def test_features_that_are_not_finite_are_refused(manifest, gain):
    with pytest.raises(StoreError, match="fake gave a non-finite feature in float32; try --prec"):
        extraction(manifest, FakeBackbone(gain)).run()
    assert len(FeatureStore(extraction(manifest).path)) == 0


def test_features_beyond_float16_are_clipped_not_infinite(manifest):
    store = extraction(manifest, FakeBackbone(1e9)).run()
    pooled = store.read("pooled", slice(None))
    assert torch.isfinite(pooled).all()
    assert pooled.abs().max() == 65504


# Before it starts


def test_an_estimate_says_rows_and_bytes(manifest):
    work = extraction(manifest, copies=1, grid_views=(0,))
    estimate = work.estimate()
    assert (estimate.rows, estimate.present) == (10, 0)
    one_row = LAYOUT.count * (4 * 2 + 4 * 4) + 1 * 4 * 2 * 2  # mean+max of width 2, boxes, grid
    assert estimate.bytes == 10 * one_row == 10 * row_bytes(work.spec)
    assert estimate.seconds > 0
    work.run()
    stored = sum((work.path / f"{name}.bin").stat().st_size for name in ("pooled", "boxes", "grid"))
    assert stored == estimate.bytes
    done = work.estimate()
    assert (done.rows, done.present, done.bytes, done.seconds) == (0, 10, 0, 0.0)


def test_an_estimate_is_the_time_of_one_image_times_their_number(manifest, monkeypatch):
    clock = iter([0.0, 9.0, 20.0, 22.0, 30.0, 35.0])
    monkeypatch.setattr(extract_module.time, "perf_counter", lambda: next(clock))
    estimate = extraction(manifest).estimate()
    assert estimate.seconds == 2.0 * 5  # the quickest of three
    text = dataclasses.replace(estimate, rows=1234, bytes=5_600_000, seconds=125.4, present=7)
    assert str(text) == "1,234 rows to extract (7 already stored), 5.6 MB, about 2 min 05 s"


def test_an_estimate_is_of_all_views(manifest, monkeypatch):
    """Views that are alike would be read once."""
    seen = []
    monkeypatch.setattr(
        extract_module, "read_views", lambda backbone, pixels, spec: seen.append(pixels)
    )
    extraction(manifest).estimate()
    assert len({view.numpy().tobytes() for view in seen[0]}) == LAYOUT.count > 1


def test_a_disk_without_room_is_refused_before_anything_is_written(manifest, monkeypatch):
    work = extraction(manifest)
    needed = 5 * row_bytes(work.spec)
    asked = []

    def usage(path):
        asked.append(Path(path))
        return SimpleNamespace(free=needed - 1)

    monkeypatch.setattr(extract_module.shutil, "disk_usage", usage)
    with pytest.raises(StoreError, match=r"the features need .* GB free; name another folder with"):
        work.estimate()
    assert asked == [manifest.root]  # the nearest folder that exists
    assert not work.path.parent.exists()
    monkeypatch.setattr(
        extract_module.shutil, "disk_usage", lambda path: SimpleNamespace(free=needed)
    )
    assert work.estimate().bytes == needed


def test_a_size_that_does_not_fit_the_backbone_is_refused():
    with pytest.raises(UsageError, match="size 33 does not fit backbone 'fake'"):
        make_spec(FakeBackbone(), layout=ViewLayout(size=33))


def test_a_pooling_that_does_not_fit_the_backbone_is_refused():
    with pytest.raises(UsageError, match="pooling 'cls' needs a class token"):
        make_spec(FakeBackbone(), pooling="cls")


def test_a_spec_takes_the_backbones_own_settings():
    spec = make_spec(FakeBackbone(), grid_views=(0,))
    assert (spec.backbone, spec.layout.size, spec.pooling) == ("fake", 32, "mean+max")
    assert (spec.width, spec.grid_size, spec.grid_width) == (4, (2, 2), 2)
    assert make_spec(FakeBackbone()).grid_size == (0, 0)


# Precision


@pytest.fixture
def fast_bfloat16(monkeypatch):
    monkeypatch.setattr(extract_module, "has_fast_bfloat16", lambda device: True)


def test_bfloat16_is_taken_where_features_agree(manifest, fast_bfloat16):
    precision, reason = choose_precision(FakeBackbone(error=0.01), manifest, LAYOUT)
    assert precision == "bfloat16"
    assert "features agree (cosine 0.9999" in reason or "(cosine 1.0000" in reason


def test_bfloat16_is_refused_where_features_differ(manifest, fast_bfloat16):
    # (x, 0) against (x, x / 10): the cosine is 1 / sqrt(1.01) = 0.9950
    precision, reason = choose_precision(FakeBackbone(error=0.1), manifest, LAYOUT)
    assert precision == "float32"
    assert reason == "float32: bfloat16 features differ too much (cosine 0.9950)"


def test_precisions_are_compared_on_frames_of_any_shape(frames, fast_bfloat16):
    assert choose_precision(FakeBackbone(error=0.01), frames, FRAME)[0] == "bfloat16"
    assert choose_precision(FakeBackbone(error=0.1), frames, FRAME)[0] == "float32"


def test_bfloat16_is_refused_where_features_are_not_finite(manifest, fast_bfloat16):
    precision, reason = choose_precision(FakeBackbone(error=float("nan")), manifest, LAYOUT)
    assert precision == "float32"
    assert "nan" in reason


def test_bfloat16_is_not_tried_without_instructions_for_it(manifest, monkeypatch):
    monkeypatch.setattr(extract_module, "has_fast_bfloat16", lambda device: False)
    backbone = FakeBackbone()
    precision, reason = choose_precision(backbone, manifest, LAYOUT)
    assert (precision, backbone.seen) == ("float32", 0)
    assert "no bfloat16 instructions" in reason


def test_precisions_are_compared_on_the_first_images_that_can_be_read(tmp_path, fast_bfloat16):
    files = {"bad.png": b"bad"} | {f"{n}.png": image(n) for n in range(4)}
    backbone = FakeBackbone()
    choose_precision(backbone, make_manifest(tmp_path, files), LAYOUT)
    assert backbone.seen == 2 * extract_module.PROBED_IMAGES * LAYOUT.count


def test_without_a_readable_image_float32_is_taken(tmp_path, fast_bfloat16):
    manifest = make_manifest(tmp_path, {"bad.png": b"bad"})
    precision, reason = choose_precision(FakeBackbone(), manifest, LAYOUT)
    assert precision == "float32"
    assert "no image could be read" in reason


@pytest.mark.parametrize(
    ("capability", "flags", "expected"),
    [
        ("AVX512", "avx512f avx512_bf16", True),
        ("AVX512", "avx512f", False),
        ("AVX2", "avx512_bf16", False),
    ],
)
def test_hardware_is_asked_for_bfloat16(tmp_path, monkeypatch, capability, flags, expected):
    (tmp_path / "cpuinfo").write_text(f"flags : {flags}\n")
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(extract_module, "Path", lambda name: tmp_path / "cpuinfo")
    assert extract_module.has_fast_bfloat16(torch.device("cpu")) is expected


def test_a_file_that_was_away_is_read_by_the_next_run(manifest):
    backbone = FakeBackbone()
    spec = make_spec(backbone, layout=LAYOUT, pooling="mean")
    away, back = manifest.root / "away.png", manifest.root / "1.png"
    back.rename(away)
    extraction = Extraction(manifest, backbone, spec, manifest.root / "features")
    store = extraction.run()
    assert len(store) == 4 and not store.failed
    assert "1.png: no such file" in extraction.failed(store)["1.png"]
    away.rename(back)
    again = Extraction(manifest, backbone, spec, manifest.root / "features")
    assert [job.sample.id for job in again.pending()] == ["1.png"]
    store = again.run()
    assert len(store) == 5 and not again.failed(store)
    sample = manifest.samples[1]
    pixels = sample_views(sample, sample_bytes(sample, manifest.root), LAYOUT).pixels
    expected = pool(run(backbone, torch.from_numpy(pixels)), "mean")
    row = store.row(sample.content_hash or "")
    assert torch.allclose(store.read("pooled", [row])[0], expected, atol=1e-3)


def test_other_weights_than_the_spec_names_are_refused(manifest):
    backbone = FakeBackbone()
    spec = make_spec(backbone, layout=LAYOUT, pooling="mean")
    other = dataclasses.replace(spec, weight_hash="0" * 32)
    with pytest.raises(BackboneError, match="load the same weights"):
        Extraction(manifest, backbone, other, manifest.root / "features")
