from __future__ import annotations

import dataclasses
import doctest
import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image

import workzone
import workzone.run.predictor
from made_images import blob_image, sample_of
from predictors import bundle_of, bundle_predictor
from trained import Tiny
from workzone.backbones.base import Backbone
from workzone.backbones.registry import load_backbone
from workzone.data.manifest import Manifest
from workzone.decide.calibration import Calibration
from workzone.errors import BundleError, ImageError, UsageError
from workzone.features.extract import make_spec
from workzone.model.config import DetectorConfig
from workzone.report.overlay import draw_overlay
from workzone.run.images import Encoded, encoded
from workzone.run.predictor import Predictor, Scored
from workzone.train.job import train
from workzone.train.settings import TrainConfig
from workzone.types import Prediction
from workzone.views import ViewLayout, make_views


def numbers(prediction: Prediction) -> tuple[object, ...]:
    """All but the id."""
    return dataclasses.astuple(prediction)[1:]


@pytest.fixture(scope="module")
def picture() -> Image.Image:
    return blob_image(500, 1)


@pytest.fixture(scope="module")
def expected(predictor: Predictor, picture: Image.Image) -> tuple[object, ...]:
    return numbers(predictor.predict(np.array(picture))[0])


def test_the_public_names(tiny: Tiny) -> None:
    assert set(workzone.__all__) == {
        *("OBJECT_CLASSES", "Client", "Prediction", "Predictor", "ViewLayout", "WorkzoneError"),
        "load",
    }
    assert all(getattr(workzone, name) is not None for name in workzone.__all__)
    assert isinstance(workzone.load(str(tiny.bundle)), workzone.Predictor)
    with pytest.raises(AttributeError, match="module 'workzone' has no attribute 'lode'"):
        workzone.lode  # noqa: B018


def test_it_tells_road_work_from_none(tiny: Tiny, predictor: Predictor) -> None:
    held_out = [s for s in tiny.manifest if s.split == "test"]
    paths = [tiny.root / s.image.path for s in held_out]
    predictions = predictor.predict(paths)
    called = [p.decision == "roadwork" for p in predictions]
    assert sum(c == bool(s.label) for c, s in zip(called, held_out, strict=True)) >= 12  # of 14
    assert [p.id for p in predictions] == [str(path) for path in paths]
    for prediction in predictions:
        assert (prediction.decision == "roadwork") == (prediction.probability > 0.5)


def test_a_probability_is_the_chain_of_the_parts(
    predictor: Predictor, lite0: Backbone, picture: Image.Image
) -> None:
    """Backbone, glance, pooling, detector, calibration, one after the other, by other means."""
    views = make_views(np.array(picture), bundle_of(predictor).spec.layout)
    grid = lite0(torch.from_numpy(views.pixels)).grid
    detector = bundle_of(predictor).detector
    assert detector.glance is not None
    cells = ((grid[0] - grid[0].mean(0)) @ detector.glance.weight).view(3, 3)
    fine = cells.repeat_interleave(2, 0).repeat_interleave(2, 1)  # a quarter is 3 x 3 of these
    quarters = [fine[:3, :3], fine[:3, 3:], fine[3:, :3], fine[3:, 3:]]
    worst = 1 + min(range(4), key=lambda number: float(quarters[number].mean()))
    kept = [view for view in range(5) if view != worst]  # four of five views are read
    features = torch.cat([grid.mean(1), grid.max(1).values], dim=1)[kept]
    raw = torch.softmax(detector(features[None]).logits, dim=1)[0, 1].item()
    calibration = Calibration(0.2, 0.5)
    shifted = bundle_predictor(
        dataclasses.replace(bundle_of(predictor), calibration=calibration), lite0
    )
    probability = shifted.predict(picture)[0].probability
    assert probability == pytest.approx(float(calibration.apply(raw)), abs=1e-5)
    assert abs(probability - raw) > 1e-3


@pytest.mark.parametrize("kind", ["path", "text", "bytes", "pillow", "opened", "array", "alpha"])
def test_the_same_pixels_give_the_same_answer(
    kind: str,
    predictor: Predictor,
    picture: Image.Image,
    expected: tuple[object, ...],
    tmp_path: Path,
) -> None:
    path = tmp_path / "street.png"
    picture.save(path)
    images: dict[str, workzone.run.predictor.ImageLike] = {
        "path": path,
        "text": str(path),
        "bytes": path.read_bytes(),
        "pillow": picture,
        "opened": Image.open(path),
        "array": np.array(picture),
        "alpha": picture.convert("RGBA"),
    }
    assert numbers(predictor.predict(images[kind])[0]) == expected


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "HSV", "LAB", "P", "L", "1", "F", "I"])
def test_pillow_images_of_any_mode_are_taken(mode: str, predictor: Predictor) -> None:
    other = Image.new("RGB", (64, 64), (230, 110, 20))
    other = other.convert("L").convert(mode) if mode in ("F", "I") else _converted(other, mode)
    prediction = predictor.predict(other)[0]
    assert 0 <= prediction.probability <= 1


def _converted(image: Image.Image, mode: str) -> Image.Image:
    if mode != "LAB":
        return image.convert(mode)
    return Image.merge("LAB", image.split())


def test_a_turned_pillow_image_is_set_upright(predictor: Predictor, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # held on its side
    path = tmp_path / "turned.png"
    blob_image(904, 1, at=(60, 40)).save(path, exif=exif)
    with Image.open(path) as opened:
        assert numbers(predictor.predict(opened)[0]) == numbers(predictor.predict(path)[0])
        lying = predictor.predict(np.array(opened))[0]
    assert lying.probability != predictor.predict(path)[0].probability


def test_order_and_company_do_not_matter(tiny: Tiny, predictor: Predictor) -> None:
    paths = [tiny.root / s.image.path for s in list(tiny.manifest)[:7]]
    alone = [predictor.predict(path)[0] for path in paths]
    assert predictor.predict(paths) == alone
    assert predictor.predict(iter(paths[::-1])) == alone[::-1]
    assert predictor.predict([]) == []


def test_images_in_memory_are_numbered(predictor: Predictor, picture: Image.Image) -> None:
    assert [p.id for p in predictor.predict([picture, np.array(picture)])] == ["0", "1"]


def cut_off() -> Image.Image:
    """Pillow opens it; only reading its pixels fails."""
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, format="JPEG")
    return Image.open(io.BytesIO(file.getvalue()[: len(file.getvalue()) // 2]))


@pytest.mark.parametrize(
    ("bad", "code", "message"),
    [
        (Path("gone/street.jpg"), "missing", "gone/street.jpg: no such file"),
        (b"no image", "unreadable", "image 1: not an image but text: 'no image'"),
        (b"", "unreadable", "image 1: not an image"),
        (np.zeros((64, 64), np.uint8), "unreadable", r"image 1: .* not uint8 \[64, 64\]"),
        (np.zeros((64, 64, 3)), "unreadable", r"image 1: .* not float64 \[64, 64, 3\]"),
        (np.zeros((4, 64, 3), np.uint8), "too-small", "image 1: 64x4 pixels; at least 16"),
        (cut_off(), "unreadable", "image 1: .*truncated"),
    ],
)
def test_a_bad_image_is_named(
    predictor: Predictor,
    picture: Image.Image,
    bad: bytes | Path | npt.NDArray[np.uint8],
    code: str,
    message: str,
) -> None:
    with pytest.raises(ImageError, match=message) as caught:
        predictor.predict([picture, bad])
    assert caught.value.code == code


def test_what_is_no_image_at_all_is_a_wrong_call(predictor: Predictor) -> None:
    with pytest.raises(UsageError, match="image 0 is int; give a path, encoded bytes, a Pillow"):
        predictor.predict([3])  # type: ignore[list-item]


def test_metadata_is_one_mapping_per_image(
    predictor: Predictor, picture: Image.Image, expected: tuple[object, ...]
) -> None:
    assert numbers(predictor.predict([picture], [{}])[0]) == expected
    with pytest.raises(UsageError, match="2 images, but metadata for 1"):
        predictor.predict([picture, picture], [{}])
    with pytest.raises(UsageError, match="is one mapping; give a list with one mapping per image"):
        predictor.predict([picture], {"weather": "rain"})  # type: ignore[arg-type]


def test_a_model_of_the_image_alone_says_so_once(
    tiny: Tiny, picture: Image.Image, expected: tuple[object, ...]
) -> None:
    model = workzone.load(tiny.bundle)
    assert not model.takes_metadata
    with pytest.warns(
        UserWarning, match="looks at the image alone, and the metadata given are"
    ) as said:
        for _ in range(2):
            assert numbers(model.predict([picture], [{"weather": "rain"}])[0]) == expected
    assert len(said) == 1
    assert Path(said[0].filename) == Path(__file__)


CORNERS = {1: (10, 5), 2: (60, 5), 3: (10, 40), 4: (60, 40)}
"""Where the blob lies, by the quarter of the frame that is its view."""


def test_the_strongest_view_is_where_the_object_is(predictor: Predictor) -> None:
    """Of the quarters, not of the whole frame, which shows the blob too."""
    hits = seen = 0
    for number in range(24):
        quarter = 1 + number % 4
        image = blob_image(600 + number, 1, at=CORNERS[quarter])
        ((_, scored),) = predictor.score([("image", np.array(image))], file_of)
        assert isinstance(scored, Scored)
        assert float(scored.view_shares.sum()) == pytest.approx(1, abs=1e-5)
        prediction = scored.prediction
        assert prediction.view == scored.view_shares.argmax()
        assert prediction.view_weight == pytest.approx(float(scored.view_shares.max()))
        np.testing.assert_allclose(prediction.box, scored.boxes[prediction.view], atol=1e-6)
        seen += prediction.decision == "roadwork"
        hits += 1 + int(scored.view_shares[1:].argmax()) == quarter
    assert seen >= 18
    assert hits >= 18  # of 24; 6 by chance


def file_of(array: npt.NDArray[np.uint8]) -> Encoded:
    return encoded(array, "array")


@pytest.fixture(scope="module")
def sharp(lite0: Backbone, tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """Of whole frames at 160 px: a grid of 5 x 5 cells, enough to say where."""
    root = tmp_path_factory.mktemp("sharp")
    samples = []
    for number in range(40):
        path = root / f"{number}.png"
        blob_image(number, number % 2, width=288, height=192).save(path)
        split = "val" if number % 4 > 1 else "train"
        samples.append(sample_of(path, label=number % 2, split=split))
    spec = make_spec(lite0, layout=ViewLayout(size=160, tiles=0, squares=()))
    config = TrainConfig(epochs=30, detector=DetectorConfig())
    trained = train(Manifest(samples, root), lite0, spec, root / "features", config)
    return bundle_predictor(trained.bundle, lite0)


def test_explain_draws_the_frame(predictor: Predictor) -> None:
    image = blob_image(700, 1, width=480, height=320)
    prediction, overlay = predictor.explain(image)
    assert prediction == predictor.predict(image)[0]
    assert overlay.mode == "RGB"
    assert overlay.width == 480
    assert 320 < overlay.height < 320 + 80  # the frame, and a bar with the decision


def test_the_heat_lies_on_the_object(sharp: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    heats: list[npt.NDArray[np.float32]] = []

    def kept(
        frame: npt.NDArray[np.uint8], heat: npt.NDArray[np.float32], **rest: Any
    ) -> Image.Image:
        heats.append(heat)
        return draw_overlay(frame, heat, **rest)

    monkeypatch.setattr("workzone.run.overlay.draw_overlay", kept)
    hits, shares = 0, []
    for number in range(12):
        quarter = number % 4
        corner = ((28, 178)[quarter % 2], (12, 118)[quarter // 2])
        _, overlay = sharp.explain(blob_image(800 + number, 1, width=288, height=192, at=corner))
        assert overlay.width == 360  # small frames are drawn larger, to carry the text
        heat = heats[-1]
        middle, centre = heat.shape[0] // 2, heat.shape[1] // 2
        parts = [heat[:middle, :centre], heat[:middle, centre:]]
        parts += [heat[middle:, :centre], heat[middle:, centre:]]
        means = np.array([part.mean() for part in parts])
        hits += int(means.argmax()) == quarter
        shares.append(means[quarter] / means.sum())
    assert hits >= 10  # of 12; 3 by chance
    assert np.mean(shares) > 0.5  # a quarter by chance


def test_explaining_a_bad_image_raises(predictor: Predictor) -> None:
    with pytest.raises(ImageError, match=r"gone\.jpg: no such file"):
        predictor.explain("gone.jpg")


def test_other_weights_of_the_backbone_are_refused(predictor: Predictor) -> None:
    with pytest.raises(BundleError, match=r"trained on lite0 with weights \w+, these are \w+; loa"):
        bundle_predictor(bundle_of(predictor), load_backbone("lite0", random=True))


def test_an_unknown_device_is_told(tiny: Tiny) -> None:
    with pytest.raises(UsageError, match=r"cannot use the device 'gpu': .*`cpu` always works"):
        workzone.load(tiny.bundle, device="gpu")


def test_weights_for_the_embedded_backbone_are_a_wrong_call(tiny: Tiny) -> None:
    with pytest.raises(UsageError, match="carries its own weights"):
        workzone.load(tiny.bundle, weights="some-folder")


def test_a_broken_model_gives_an_error_and_never_nan(
    tiny: Tiny, lite0: Backbone, picture: Image.Image
) -> None:
    broken = workzone.load(tiny.bundle)
    bundle_of(broken).detector.head[-1].weight.data.fill_(float("nan"))
    with pytest.raises(BundleError, match="0: the model gave a probability that is not a finite"):
        broken.predict(picture)


def test_examples_in_docstrings_run(
    tiny: Tiny, picture: Image.Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my-model").symlink_to(tiny.bundle)
    picture.save(tmp_path / "street.jpg")
    monkeypatch.chdir(tmp_path)
    for module in (workzone, workzone.run.predictor):
        result = doctest.testmod(module)
        assert result.attempted >= 2, module
        assert result.failed == 0, module
