"""Composites of rendered objects, without the renderer: cut-outs are plain boxes."""

import dataclasses
import io
import itertools
import json

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from workzone.cli import app
from workzone.data.manifest import Manifest, read_manifest, write_manifest
from workzone.errors import MissingExtraError
from workzone.scenes import draw_scene
from workzone.scenes.composites import write_composites
from workzone.scenes.place import Stage, choose_place
from workzone.scenes.rendered import tracer
from workzone.scenes.rendered.boards import outline_of
from workzone.scenes.rendered.catalogue import KINDS
from workzone.scenes.rendered.compose import RenderedObjects
from workzone.scenes.rendered.cutout import Cutout, read_cutout, write_cutout
from workzone.scenes.rendered.faces import DrawnFaces, OutlinedFaces
from workzone.scenes.rendered.layers import Sheet
from workzone.scenes.rendered.library import CutoutLibrary, CutoutSpec, choose_spec
from workzone.scenes.rendered.light import OVERCAST
from workzone.scenes.rendered.material import plain, worn
from workzone.scenes.rendered.mesh import box, ellipsoid, plate, revolve, rod
from workzone.scenes.rendered.photo import PhotoLight, ground_map, read_light
from workzone.scenes.rendered.pixels import exposed, to_linear, to_srgb
from workzone.scenes.rendered.requests import requests
from workzone.scenes.roadsigns.drawings import Drawing, Drawings
from workzone.types import ImageRef, Sample

GREY = np.full((240, 320, 3), 110, np.uint8)


def boxlike(model, view, condition, seed):
    """A red box where the model is, on ground that is darker below it: no renderer needed."""
    points = np.concatenate([part.mesh.vertices for part in model])
    column = (points[:, 0] * view.scale).round().astype(int)
    row = (-points[:, 2] * view.scale).round().astype(int)
    left, top = column.min() - 2, row.min() - 2
    alpha = np.zeros((row.max() - top + 6, column.max() - left + 3), np.float32)
    alpha[2:-5, 2:-2] = 1
    colour = alpha[..., None] * np.array([0.8, 0.1, 0.05], np.float32)
    shade = np.ones_like(colour)
    shade[-6:] = 0.5
    lamps = np.zeros_like(colour)
    return Cutout(colour, alpha, shade, colour, lamps, -float(left), -float(top), view.scale)


@pytest.fixture
def library(tmp_path, monkeypatch):
    """One that never needs the renderer, and counts what it is asked for."""
    calls = []

    def render(model, view, condition, seed):
        calls.append((condition, view.distance))
        return boxlike(model, view, condition, seed)

    monkeypatch.setattr(tracer, "render", render)
    made = CutoutLibrary(tmp_path / "cutouts")
    return made, calls


def decoded(data):
    return np.asarray(Image.open(io.BytesIO(data)), np.float64)


def closed_volume(mesh):
    a, b, c = (mesh.vertices[mesh.faces[:, i]] for i in range(3))
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6)


def test_bodies_look_outwards():
    assert closed_volume(box((1, 2, 3), (5, 0, 0), 0.001)) == pytest.approx(6, rel=0.01)
    assert closed_volume(ellipsoid((1, 1, 1), segments=48)) == pytest.approx(4.19, rel=0.02)
    assert closed_volume(rod((0, 0, 0), (0, 3, 4), 0.5, n=48)) > 3.9
    assert closed_volume(box((1, 1, 1), (0, 0, 0)).mirrored()) > 0.9


def test_corners_have_normals_of_length_one_and_edges_stay_sharp():
    positions, normals, uv = revolve([(1, 0), (1, 1)], 64).corners()
    assert positions.shape == normals.shape and uv.shape == (len(positions), 2)
    assert np.allclose(np.linalg.norm(normals, axis=1), 1)
    outwards = positions * [1, 1, 0]
    assert np.allclose(normals, outwards, atol=0.03)  # smooth around
    _, flat, _ = box((1, 1, 1), (0, 0, 0), 0.01).corners()
    assert (np.abs(flat).max(axis=1) > 0.98).mean() > 0.3


def test_plates_are_as_their_outline():
    front, back = plate([(-1, 0), (1, 0), (1, 1), (-1, 1)], 0.1)
    assert front.vertices[:, 1].max() == 0 and back.vertices[:, 1].max() == pytest.approx(0.1)
    assert front.uv.min() == 0 and front.uv.max() == 1


def test_outlines_follow_a_face():
    face = np.asarray(OutlinedFaces().face(np.random.default_rng(2), work=True, pixels=64))
    diamond = np.array(outline_of(face[..., 3]))
    assert np.allclose(np.abs(diamond).sum(axis=1), 0.5, atol=0.06)


@pytest.mark.parametrize("work", [True, False])
def test_faces_are_by_lot_and_of_the_size_asked_for(work):
    faces = [OutlinedFaces().face(np.random.default_rng(s), work=work, pixels=48) for s in range(9)]
    assert {max(face.size) for face in faces} == {48}
    assert len({face.tobytes() for face in faces}) > 2


def test_faces_can_come_from_drawings():
    def drawing(name, label, colour):
        square = f'<rect width="9" height="9" fill="{colour}"/>'
        svg = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9">{square}</svg>'
        return Drawing(name, svg, label, "other")

    works, stop = drawing("warning--roadworks--g1", 1, "#f80"), drawing("stop", 0, "#00f")
    faces = DrawnFaces(Drawings((works,), (stop,), "digest"))
    work, other = (faces.face(np.random.default_rng(0), work=w, pixels=64) for w in (True, False))
    assert work.size == other.size == (64, 64)
    assert work.getpixel((32, 32)) == (255, 136, 0, 255)
    assert other.getpixel((32, 32)) == (0, 0, 255, 255)
    assert "digest" in faces.version


def test_wear_dulls_and_dirties():
    clean = plain((240, 90, 30))
    new, old = (worn(clean, np.random.default_rng(1), wear) for wear in (0.0, 1.0))
    assert new.dtype == np.uint8 and new.shape == clean.shape
    far = [np.abs(t.astype(float) - clean).mean() for t in (new, old)]
    assert far[0] < far[1]
    assert old.std(axis=(0, 1)).mean() > new.std(axis=(0, 1)).mean()


@pytest.mark.parametrize("name", sorted(KINDS))
def test_every_kind_stands_on_the_ground(name):
    model = KINDS[name].build(np.random.default_rng(3), 0.3, OutlinedFaces())
    points = np.concatenate([part.mesh.vertices for part in model])
    assert np.isfinite(points).all() and 0.3 < np.ptp(points, axis=0).max() < 13
    assert -0.25 < points[:, 2].min() < 0.1
    again = KINDS[name].build(np.random.default_rng(3), 0.3, OutlinedFaces())
    for one, other in zip(model, again, strict=True):
        assert np.array_equal(one.mesh.vertices, other.mesh.vertices)
        assert np.array_equal(one.material.texture, other.material.texture)


def test_cutouts_are_kept_nearly_as_they_are(tmp_path):
    rng = np.random.default_rng(0)
    layers = [rng.random((9, 7, 3), np.float32) for _ in range(4)]
    alpha = rng.random((9, 7), np.float32)
    made = Cutout(layers[0], alpha, *layers[1:], column=3.25, row=8.5, scale=140.0)
    path = tmp_path / "a.png"
    write_cutout(made, path, "a test")
    kept = read_cutout(path)
    assert (kept.column, kept.row, kept.scale) == (3.25, 8.5, 140.0)
    assert np.abs(kept.alpha - alpha).max() < 0.003
    for name, layer in zip(("colour", "shade", "beam", "lamps"), layers, strict=True):
        assert np.abs(getattr(kept, name) - layer).max() < 0.02
    assert kept.mirrored().column == 7 - 3.25
    assert np.array_equal(kept.mirrored().mirrored().colour, kept.colour)
    path.write_bytes(path.read_bytes()[:200])
    assert read_cutout(path) is None and read_cutout(tmp_path / "none.png") is None


def test_a_cutout_is_rendered_once_and_again_where_it_is_damaged(library):
    made, calls = library
    spec = CutoutSpec("cone, plain", OVERCAST, 7.0, 0.0, 0)
    first = made.get(spec)
    assert made.get(spec) is first and len(calls) == 1
    other_job = CutoutLibrary(made.folder)
    assert np.array_equal(other_job.get(spec).colour, first.colour) and len(calls) == 1
    made.path(spec).write_bytes(b"torn")
    assert np.array_equal(CutoutLibrary(made.folder).get(spec).colour, first.colour)
    assert len(calls) == 2
    assert CutoutLibrary(made.folder, samples=4).path(spec) != made.path(spec)


def test_the_nearest_cutout_is_chosen():
    def chosen(distance, turn, left=False, condition="clear-side", kind="barricade", lot=0.2):
        return choose_spec(kind, condition, distance, turn, left=left, lot=lot)

    assert chosen(5, 10)[0].distance < chosen(40, 10)[0].distance
    assert chosen(11, 10, kind="drum")[0].distance == 6.0  # reduced rather than enlarged
    assert chosen(5, 10)[0].turn == 8.0 and chosen(5, -10)[0].turn == -14.0
    assert chosen(5, 10, left=True) == (chosen(5, -10)[0], True)
    spec, mirrored = chosen(5, 0, left=True, kind="everyday sign")
    assert mirrored and spec.flipped  # its writing is not mirrored twice
    spec, mirrored = chosen(5, 0, condition=OVERCAST, kind="everyday sign", lot=0.1)
    assert not mirrored and not spec.flipped
    assert chosen(5, 350)[0].turn == -14.0
    lots = {chosen(5, 0, kind="drum", lot=lot)[0].variant for lot in (0.0, 0.4, 0.99)}
    assert lots == {0, 1, 2}


def test_things_of_the_drawn_street_are_known():
    from workzone.scenes.distractors import add_distractors
    from workzone.scenes.layout import add_work_zone

    kinds, left_out = set(), 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        stage = Stage(choose_place(seed))
        add_work_zone(stage, rng)
        add_distractors(stage, rng, 17)
        found = requests(stage, rng)
        assert [thing.z for thing in found] == sorted((t.z for t in found), reverse=True)
        work = [item for item in stage.items if item.kind]
        assert sum(bool(thing.of_class) for thing in found) == len(work)
        left_out += len(stage.items) - len(found)
        kinds |= {thing.kind for thing in found}
    assert kinds <= set(KINDS) and len(kinds) > 40 and left_out > 0


def test_light_is_read_from_a_photograph():
    rng = np.random.default_rng(0)
    blue = GREY.copy()
    blue[:80] = (110, 160, 230)
    white = GREY.copy()
    white[:80] = 235

    def share_of_clear(photo):
        return np.mean([read_light(photo, 0.4, rng).condition != OVERCAST for _ in range(60)])

    assert share_of_clear(blue) > 0.7 > 0.4 > share_of_clear(white)
    bright, dark = read_light(GREY, 0.4, rng), read_light(GREY // 4, 0.4, rng)
    assert dark.dark and not bright.dark
    assert dark.white.mean() < 0.3 * bright.white.mean()
    warm = read_light((GREY * [1.1, 1, 0.85]).astype(np.uint8), 0.4, rng).white
    assert warm[0] > warm[1] > warm[2]
    sided = GREY.copy()
    sided[:100, :160] = 230
    assert np.mean([read_light(sided, 0.4, rng).left for _ in range(20)]) > 0.8
    noisy = np.clip(GREY + rng.normal(0, 5, GREY.shape), 0, 255).astype(np.uint8)
    assert read_light(noisy, 0.4, rng).noise > 2 * bright.noise


def test_ground_is_smooth_and_like_what_lies_ahead():
    photo = GREY.copy()
    photo[:120, :160] = np.random.default_rng(0).integers(0, 255, (120, 160, 3))
    photo[:120, 160:] = (30, 120, 250)
    ground = ground_map(photo)
    assert ground[60:].min() > 0.9
    assert ground[:40].mean() < 0.3


def test_light_and_srgb_fit_together():
    values = np.arange(256, dtype=np.uint8)[:, None, None].repeat(3, axis=2)
    assert np.abs(to_srgb(to_linear(values)) - values).max() < 0.01
    amber = exposed(np.array([[[3.0, 1.0, 0.1]]], np.float32))
    assert amber.max() <= 1 and amber[0, 0, 0] > amber[0, 0, 1] > amber[0, 0, 2]
    dim = np.full((1, 1, 3), 0.5, np.float32)
    assert np.allclose(exposed(dim), dim)


def plain_light(**changes):
    one = np.ones(3, np.float32)
    light = PhotoLight(OVERCAST, False, one, one, 1.0, False, 0, 0.3)
    return dataclasses.replace(light, **changes)


def test_near_things_hide_far_ones_and_shadows_darken_the_photograph():
    def slab(red):
        colour = np.zeros((30, 20, 3), np.float32)
        colour[5:25, 5:15] = (red, 0.1, 0.1)
        alpha = np.zeros((30, 20), np.float32)
        alpha[5:25, 5:15] = 1
        shade = np.ones((30, 20, 3), np.float32)
        shade[25:] = 0.4
        return Cutout(colour, alpha, shade, 0 * colour, 0 * colour, 10.0, 25.0, 10.0)

    sheet = Sheet(GREY.astype(np.float32), plain_light())
    common = {"scale": 20.0, "haze": 0.0, "shade": 1.0, "beam": 0.0}
    sheet.put(slab(0.9), "cone", spot=(100.0, 150.0), **common)
    sheet.put(slab(0.1), "", spot=(110.0, 155.0), **common)
    sheet.put(slab(0.1), "sign", spot=(-500.0, 155.0), **common)  # outside
    masks, objects = sheet.found()
    picture = sheet.picture(np.random.default_rng(0)).astype(int)
    assert [placed.kind for placed in objects] == ["cone"]
    x0, y0, x1, _ = objects[0].box
    assert (round(x0 * 320), round(y0 * 240)) == (90, 110) and x1 * 320 == pytest.approx(110, abs=1)
    assert masks[0].sum() == masks.sum() > 150
    assert picture[130, 95, 0] > 200  # the far one where nothing is before it
    assert picture[130, 105, 0] < 100
    assert picture[158, 110].max() < 90  # shadow
    assert (picture[:90] == 110).all()  # the photograph is left as it is


@pytest.mark.parametrize("label", [1, 0])
def test_composites_have_masks_where_things_are_seen(library, label):
    compositor = RenderedObjects(library[0])
    seed = next(  # a picture by day
        seed
        for seed in itertools.count()
        if compositor.compose(GREY, (seed,), label=label).darkened is None
    )
    made = compositor.compose(GREY, (seed,), label=label)
    changed = np.abs(decoded(made.jpeg) - 110).max(axis=2)
    assert made.masks.shape == (6, 240, 320)
    assert (changed > 40).mean() > 0.0005
    assert made.masks.any() == bool(label)
    if label:
        seen = made.masks.any(axis=0)
        assert seen.mean() >= 0.0006
        assert np.median(changed[seen]) > 30 > np.median(changed[~seen])
        assert made.objects
    again = compositor.compose(GREY, (seed,), label=label)
    assert again.jpeg == made.jpeg and again.objects == made.objects


def test_dark_streets_are_lit_by_headlights(library):
    compositor, calls = RenderedObjects(library[0]), library[1]
    made = [compositor.compose(GREY // 5, (seed,), label=1) for seed in range(3)]
    assert {condition for condition, _ in calls} == {OVERCAST}
    for one in made:
        seen = one.masks.any(axis=0)
        assert decoded(one.jpeg)[seen].max() > 40
        assert one.darkened is None


@pytest.fixture
def photographs(tmp_path):
    rows = []
    for seed in range(2):
        name = f"{seed}.png"
        Image.fromarray(draw_scene(seed, label=0, width=320, height=200).image).save(
            tmp_path / name
        )
        rows.append(Sample(name, ImageRef(name), label=0, group=f"g{seed}", split="train"))
    return Manifest(rows, tmp_path)


def files_of(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_stopped_job_goes_on_and_gives_the_same_bytes(photographs, library, tmp_path):
    compositor = RenderedObjects(library[0])
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    write_composites(photographs, whole, count=4, compositor=compositor)
    write_composites(photographs, resumed, count=1, compositor=compositor)
    for path in library[0].folder.glob("*.png"):
        path.unlink()  # another machine
    fresh = RenderedObjects(CutoutLibrary(library[0].folder))
    write_composites(photographs, resumed, count=4, compositor=fresh)
    assert files_of(whole) == files_of(resumed)
    assert len({s.content_hash for s in read_manifest(whole / "manifest.parquet")}) == 4


def test_the_version_names_all_that_pictures_depend_on(tmp_path):
    base = RenderedObjects(CutoutLibrary(tmp_path)).version
    other = RenderedObjects(CutoutLibrary(tmp_path, OutlinedFaces(version="x"))).version
    finer = RenderedObjects(CutoutLibrary(tmp_path, samples=99)).version
    assert len({base, other, finer}) == 3 and not RenderedObjects(CutoutLibrary(tmp_path)).twins


def test_the_command_renders_into_a_folder_of_cutouts(photographs, library, tmp_path):
    manifest = tmp_path / "manifest.parquet"
    write_manifest(photographs, manifest)
    arguments = ["composites", str(manifest), "-o", str(tmp_path / "out"), "--count", "2"]
    result = CliRunner().invoke(app, [*arguments, "--rendered", "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["composites"] == 2
    kept = len(list((tmp_path / "out" / "cutouts").glob("*.png")))
    assert kept > 0
    shared = tmp_path / "shared"
    CliRunner().invoke(app, [*arguments, "--seed", "1", "--rendered", "--cutouts", str(shared)])
    assert list(shared.glob("*.png"))
    assert len(list((tmp_path / "out" / "cutouts").glob("*.png"))) == kept


def test_cutouts_without_rendered_are_refused(photographs, tmp_path):
    manifest = tmp_path / "manifest.parquet"
    write_manifest(photographs, manifest)
    arguments = ["composites", str(manifest), "-o", str(tmp_path / "out"), "--cutouts", "x"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert "--cutouts names a folder for rendered objects; add --rendered" in result.output


def test_without_the_renderer_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "mitsuba", None)
    spec = CutoutSpec("cone, plain", OVERCAST, 7.0, 0.0, 0)
    with pytest.raises(MissingExtraError, match=r"needs the package 'mitsuba'.*workzone\[render\]"):
        CutoutLibrary(tmp_path).get(spec)
    assert not list(tmp_path.iterdir())
