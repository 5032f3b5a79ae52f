"""Traffic signs from drawings, and photographs with them."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from workzone.data.manifest import Manifest, read_manifest, write_manifest
from workzone.errors import MissingExtraError, UsageError, WorkzoneError
from workzone.scenes.composites import write_composites
from workzone.scenes.roadsigns import drawings as drawings_module
from workzone.scenes.roadsigns.compositor import OTHER, SignObjects
from workzone.scenes.roadsigns.drawings import Drawings, read_drawings
from workzone.scenes.roadsigns.meanings import TEMPORARY, UNCLEAR, WORK, meaning_of
from workzone.scenes.roadsigns.mounting import SMALLEST, choose_mounts, draw_mounted
from workzone.scenes.roadsigns.plates import make_plate
from workzone.types import ImageRef, Sample

TRIANGLE = "M12 1 L23 21 L1 21 Z"
DIAMOND = "M12 1 L23 12 L12 23 L1 12 Z"
DISC = "M1 12 A11 11 0 0 0 23 12 A11 11 0 0 0 1 12 Z"
NAMES = {
    "warning--roadworks--g1": (TRIANGLE, "#ffd100"),
    "warning--roadworks--g2": (DIAMOND, "#ffd100"),
    "warning--roadworks--g3": (TRIANGLE, "#ffffff"),
    "warning--roadworks--g10": (DIAMOND, "#ef7d00"),
    "warning--bend--g1": (TRIANGLE, "#ffffff"),
    "warning--bend--g2": (DIAMOND, "#ffd100"),
    "warning--children--g1": (TRIANGLE, "#ffffff"),
    "regulatory--no-entry--g1": (DISC, "#cc2030"),
    "warning--loose-road-surface--g1": (TRIANGLE, "#ffffff"),
}
STREET = np.full((240, 320, 3), 120, np.uint8)


def svg(outline: str, colour: str) -> str:
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" width="24" height="24">'
        f'<path fill="{colour}" d="{outline}"/><path fill="#111" d="M10 10h4v8h-4z"/></svg>'
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    inside = tmp_path_factory.mktemp("sprites") / "package" / "package_signs"
    inside.mkdir(parents=True)
    for name, (outline, colour) in NAMES.items():
        (inside / f"{name}.svg").write_text(svg(outline, colour))
    return inside.parent.parent


@pytest.fixture(scope="module")
def drawings(folder: Path) -> Drawings:
    return read_drawings(folder)


def names(some) -> set[str]:
    return {one.name for one in some}


def test_meanings_are_told_by_name_and_no_kind_has_two():
    assert meaning_of("warning--roadworks--g3") == 1
    assert meaning_of("regulatory--detour-left--g1") == 1
    assert meaning_of("warning--ramp-closed--g1") == 1  # on an orange field
    assert meaning_of("warning--ramp-closed--g2") is None
    assert meaning_of("information--end-of-road-works--g1") is None
    assert meaning_of("warning--children--g7") == 0
    assert not WORK & UNCLEAR and not TEMPORARY & UNCLEAR and not WORK & TEMPORARY


def test_a_folder_and_an_archive_give_the_same_drawings(folder, drawings, tmp_path):
    archive = tmp_path / "sprites.tgz"
    with tarfile.open(archive, "w:gz") as members:
        members.add(folder / "package", "package")
    assert read_drawings(archive) == drawings
    assert read_drawings(folder / "package") == drawings
    assert read_drawings(folder / "package" / "package_signs") == drawings
    assert names(drawings.work) == {n for n in NAMES if "roadworks" in n}
    assert names(drawings.others) == {n for n in NAMES if meaning_of(n) == 0}
    assert {one.name: one.shape for one in drawings.others} == {
        "warning--bend--g1": "triangle",
        "warning--bend--g2": "diamond",
        "warning--children--g1": "triangle",
        "regulatory--no-entry--g1": "other",
    }


def test_parts_share_kinds_and_no_drawing(folder):
    learned, held = (read_drawings(folder, part=part) for part in ("learned", "held-back"))
    assert names(learned.work) == {f"warning--roadworks--g{n}" for n in (1, 2, 10)}
    assert names(held.work) == {"warning--roadworks--g3"}
    alone = {"warning--children--g1", "regulatory--no-entry--g1"}
    assert names(learned.others) == {"warning--bend--g1", *alone}
    assert names(held.others) == {"warning--bend--g2"}
    assert learned.digest != held.digest


def test_what_cannot_be_used_is_told(folder, tmp_path):
    with pytest.raises(UsageError, match=r"0 drawings of road-work signs.*npm pack"):
        read_drawings(tmp_path)
    with pytest.raises(UsageError, match=r"there is no .*nowhere"):
        read_drawings(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="did you mean 'held-back'"):
        read_drawings(folder, part="heldback")
    broken = tmp_path / "package_signs"
    broken.mkdir()
    (broken / "warning--roadworks--g1.svg").write_text("<svg")
    with pytest.raises(WorkzoneError, match=r"warning--roadworks--g1 cannot be drawn"):
        read_drawings(tmp_path)
    archive = tmp_path / "sprites.tgz"
    with tarfile.open(archive, "w:gz") as members:
        members.add(folder / "package", "package")
    whole = archive.read_bytes()
    for content in (b"no archive", whole[: len(whole) // 2]):
        archive.write_bytes(content)
        with pytest.raises(WorkzoneError, match=r"sprites\.tgz cannot be read, fetch it anew"):
            read_drawings(archive)


def test_without_the_renderer_the_extra_is_named(folder, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "resvg_py", None)
    drawings_module._rasterised.cache_clear()
    with pytest.raises(MissingExtraError, match=r"workzone\[signs\]"):
        read_drawings(folder)


def test_a_plate_keeps_its_outline_and_its_colours_differ(drawings):
    triangle = next(d for d in drawings.others if d.shape == "triangle")
    plates = [
        make_plate(triangle, np.random.default_rng(n), np.random.default_rng(n)) for n in range(30)
    ]
    covers = np.array([(plate[..., 3] > 127).mean() for plate in plates])
    assert all(np.isfinite(plate).all() and plate.shape[-1] == 4 for plate in plates)
    assert np.median(covers) == pytest.approx(0.5, abs=0.1)  # a triangle's share of its box
    assert (covers > 0.85).any()  # on a board
    blue = [plate[..., 2][plate[..., 3] > 127].mean() for plate in plates]
    assert min(blue) < 90 < 150 < max(blue)  # yellow fields as well as white ones


def test_signs_stand_in_the_frame_at_all_sizes_and_apart():
    rng = np.random.default_rng(0)
    mounts = [m for _ in range(200) for m in choose_mounts(rng, (640, 480), 0.45, 2)]
    heights = np.array([m.height for m in mounts])
    assert SMALLEST <= heights.min() < 16 and 120 < heights.max() <= 0.3 * 480
    assert all(m.row - m.height >= 0 and m.row <= 480 and m.ground >= m.row for m in mounts)
    near = [m for m in mounts if m.height > 60]
    assert np.mean([m.ground for m in near]) > np.mean(
        [m.ground for m in mounts if m.height < 20]
    )  # what is nearer stands lower


def test_a_plate_is_seen_where_its_mount_says(drawings):
    plate = np.full((100, 100, 4), 255, np.float32)
    mount = choose_mounts(np.random.default_rng(3), (320, 240), 0.5, 1)[0]
    made = draw_mounted(plate, mount, (320, 240), np.random.default_rng(0))
    cover = made.sign[..., 3] / 255
    rows = np.flatnonzero((cover > 0.5).any(axis=1)) + made.rows.start
    assert rows[-1] + 1 == pytest.approx(mount.row, abs=1.5)
    assert len(rows) == pytest.approx(mount.height, rel=0.25, abs=2)
    assert made.sign[..., :3].max() <= 255.5 and made.post[..., 3].max() > 0


def test_twins_differ_in_their_faces_alone(drawings):
    objects = SignObjects(drawings)
    for seed in range(6):
        pair = {label: objects.compose(STREET, (seed,), label=label) for label in (0, 1)}
        pictures = {
            label: np.asarray(Image.open(io.BytesIO(made.jpeg)), np.float32)
            for label, made in pair.items()
        }
        kinds = {label: [o.kind for o in made.objects] for label, made in pair.items()}
        assert set(kinds[0]) == {OTHER} and "sign" in kinds[1]
        assert not pair[0].masks.any()
        away = np.ones((240, 320), bool)
        for x0, y0, x1, y1 in (o.box for made in pair.values() for o in made.objects):
            rows = slice(max(0, int(y0 * 240) - 8), int(y1 * 240) + 8)
            away[rows, max(0, int(x0 * 320) - 8) : int(x1 * 320) + 8] = False
        differs = np.abs(pictures[1] - pictures[0]).max(axis=-1)
        assert away.mean() > 0.3
        assert np.quantile(differs[away], 0.999) < 16
        assert pair[0].darkened == pair[1].darkened


def test_masks_and_boxes_are_of_signs_that_mean_road_work(drawings):
    for seed in range(5):
        made = SignObjects(drawings).compose(STREET, (seed,), label=1)
        boxes = [o for o in made.objects if o.kind == "sign"]
        assert boxes and all(o.drawing.startswith("warning--roadworks") for o in boxes)
        seen = made.masks.any(axis=0)
        rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
        assert min(o.box[1] for o in boxes) == pytest.approx(rows[0] / 240)
        assert max(o.box[2] for o in boxes) == pytest.approx((columns[-1] + 1) / 320)


@pytest.mark.parametrize("size", [(64, 320), (320, 64), (64, 1600), (1600, 64), (900, 1200)])
def test_every_picture_with_road_work_shows_a_sign(drawings, size):
    photo = np.full((*size, 3), 120, np.uint8)
    for seed in range(12):
        made = SignObjects(drawings).compose(photo, (seed,), label=1)
        assert made.masks.any() and any(o.kind == "sign" for o in made.objects)


def test_composites_of_signs_come_in_pairs_and_go_on(drawings, tmp_path):
    Image.fromarray(STREET).resize((400, 300)).save(tmp_path / "street.png")
    rows = [
        Sample(
            f"s{n}",
            ImageRef("street.png"),
            label=0,
            group=f"g{n}",
            source="x",
            content_hash=f"{n}",
        )
        for n in range(4)
    ]
    write_manifest(Manifest(rows, tmp_path), tmp_path / "m.parquet")
    photographs = read_manifest(tmp_path / "m.parquet")
    objects = SignObjects(drawings)
    done = write_composites(photographs, tmp_path / "a", count=6, seed=2, compositor=objects)
    made = list(read_manifest(done.manifest))
    assert [s.label for s in made] == [1, 0, 1, 0, 1, 0]
    assert [s.group for s in made[::2]] == [s.group for s in made[1::2]]
    record = json.loads((tmp_path / "a" / "objects" / f"{made[0].id}.json").read_text())
    assert any(o.get("drawing", "").startswith("warning--roadworks") for o in record["objects"])
    times = {p: p.stat().st_mtime_ns for p in (tmp_path / "a" / "images").iterdir()}
    write_composites(photographs, tmp_path / "a", count=8, seed=2, compositor=objects)
    assert all(p.stat().st_mtime_ns == t for p, t in times.items())
    write_composites(photographs, tmp_path / "b", count=8, seed=2, compositor=objects)
    for file in (tmp_path / "a" / "images").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / "images" / file.name).read_bytes()
    with pytest.raises(UsageError, match="either label"):
        write_composites(
            photographs, tmp_path / "a", count=2, positive_share=0.3, compositor=objects
        )
