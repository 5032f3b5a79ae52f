"""Maps of the backbone's levels in a store: those that it gives, of frames in their own shape."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from made_images import blob_image, sample_of
from workzone.backbones.base import Backbone, run
from workzone.backbones.lite import load_trunk
from workzone.backbones.names import LITE0
from workzone.data.manifest import Manifest
from workzone.errors import BackboneError
from workzone.features.extract import Extraction, make_spec
from workzone.features.spec import FeatureSpec
from workzone.features.store import level_name
from workzone.views import ViewLayout, preprocess

LAYOUT = ViewLayout(size=128, shorter=64, step=64, tiles=0, squares=())


@pytest.fixture(scope="module")
def trunk() -> Backbone:
    return load_trunk(LITE0, random=True)


@pytest.fixture
def streets(tmp_path: Path) -> Manifest:
    samples = []
    for number, (width, height) in enumerate(((128, 64), (64, 64))):
        blob_image(number, number, width=width, height=height).save(tmp_path / f"{number}.png")
        samples.append(sample_of(tmp_path / f"{number}.png", label=number))
    return Manifest(samples, tmp_path)


def spec_of(trunk: Backbone, levels: tuple[int, ...]) -> FeatureSpec:
    return make_spec(
        trunk,
        layout=LAYOUT,
        pooling="mean",
        stored_type="float32",
        grid_views=(0,),
        levels=levels,
    )


def test_maps_lie_at_the_upper_left_of_their_square(
    trunk: Backbone, streets: Manifest, tmp_path: Path
) -> None:
    store = Extraction(streets, trunk, spec_of(trunk, (8, 16)), tmp_path / "features").run()
    for sample in streets:
        data = (streets.root / sample.image.path).read_bytes()
        pixels = torch.from_numpy(preprocess(data, LAYOUT).pixels)
        output = run(trunk, pixels, levels=(8, 16))
        row = store.row(sample.content_hash or "")
        for level, maps in output.levels.items():
            stored = store.mapped(level_name(level))[row]
            side = 128 // level
            assert stored.shape == (trunk.level_widths[level], side, side)
            rows, columns = maps.shape[2:]
            torch.testing.assert_close(stored[:, :rows, :columns], maps[0])
            assert (stored[:, rows:] == 0).all() and (stored[:, :, columns:] == 0).all()


def test_a_store_with_more_levels_serves_and_one_with_fewer_does_not(
    trunk: Backbone, streets: Manifest, tmp_path: Path
) -> None:
    store = Extraction(streets, trunk, spec_of(trunk, (8, 16)), tmp_path / "features").run()
    fewer = Extraction(streets, trunk, spec_of(trunk, (16,)), tmp_path / "features")
    assert fewer.path == store.folder and not fewer.pending()
    other = Extraction(streets, trunk, spec_of(trunk, (4, 8)), tmp_path / "features")
    assert other.path != store.folder and len(other.pending()) == 2


def test_a_spec_without_levels_has_the_key_that_it_had(trunk: Backbone) -> None:
    plain = spec_of(trunk, ())
    assert "level_shapes" not in plain.to_json()
    assert plain.key() != spec_of(trunk, (8,)).key()
    assert FeatureSpec.from_json(spec_of(trunk, (8,)).to_json()) == spec_of(trunk, (8,))


def test_a_level_that_is_not_there_is_refused(trunk: Backbone) -> None:
    with pytest.raises(BackboneError, match=r"no level 32: masks\.levels may be of 4, 8, 16"):
        spec_of(trunk, (32,))
