from __future__ import annotations

import importlib.util
import math
import sys
import types

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from workzone.errors import BackboneError, MissingExtraError
from workzone.model.metadata import position as metadata_position
from workzone.model.metadata.position import (
    FourierPosition,
    GeoClipPosition,
    geoclip_vectors,
    wavelength_count,
)
from workzone.model.metadata.sphere import is_position, unit_vectors

KM_PER_DEGREE = math.pi * 6371 / 180


def placed(degrees) -> torch.Tensor:
    return torch.from_numpy(unit_vectors(degrees))


@pytest.fixture(autouse=True)
def _fresh_encoder():
    metadata_position._geoclip_encoder.cache_clear()
    yield
    metadata_position._geoclip_encoder.cache_clear()


@pytest.mark.parametrize(
    ("latitude", "longitude", "expected"),
    [
        (0.0, 0.0, (1, 0, 0)),
        (0.0, 90.0, (0, 1, 0)),
        (90.0, 17.0, (0, 0, 1)),
        (-90.0, 0.0, (0, 0, -1)),
        (0.0, 180.0, (-1, 0, 0)),
        (0.0, -180.0, (-1, 0, 0)),
        (45.0, 0.0, (0.5**0.5, 0, 0.5**0.5)),
        (60.0, -90.0, (0, -0.5, 0.75**0.5)),
    ],
)
def test_places_on_the_sphere(latitude, longitude, expected) -> None:
    result = unit_vectors([(latitude, longitude)])
    assert result.dtype == np.float32
    assert result[0].tolist() == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(
    ("latitude", "longitude"),
    [
        (None, 1.0),
        (1.0, None),
        (math.nan, 1.0),
        (1.0, math.nan),
        (math.inf, 0.0),
        (91.0, 0.0),
        (0.0, -181.0),
    ],
)
def test_what_is_no_place(latitude, longitude) -> None:
    assert not is_position(latitude, longitude)
    assert is_position(-90.0, 180.0)


@pytest.mark.parametrize("shortest", [0.01, 0.3, 1.0, 10.0, 1000.0, 10000.0])
def test_the_ladder_reaches_from_the_shortest_to_the_whole_globe(shortest: float) -> None:
    encoder = FourierPosition(shortest_wavelength=shortest, width=2)
    count = wavelength_count(shortest)
    wavelengths = [shortest / scale for scale in reversed(encoder.scales.tolist())]
    assert len(wavelengths) == count
    assert wavelengths[-1] == pytest.approx(shortest)
    assert wavelengths[0] >= 4 * 6371  # the sine is monotone over the whole diameter
    assert wavelengths[1] < 4 * 6371
    assert encoder.project.in_features == 6 * count


def test_ladders_of_known_length() -> None:
    assert [wavelength_count(km) for km in (1.0, 100.0, 30_000.0)] == [16, 9, 1]


@given(
    latitude=st.floats(-90, 90),
    longitude=st.floats(-180, 180),
    shortest=st.sampled_from([0.05, 1.0, 40.0]),
)
def test_features_are_bounded_and_exact(latitude: float, longitude: float, shortest: float) -> None:
    encoder = FourierPosition(shortest_wavelength=shortest, width=2)
    features = encoder.features(placed([(latitude, longitude)]))[0]
    assert features.abs().max() <= 1
    phi, theta = math.radians(latitude), math.radians(longitude)
    place = (math.cos(phi) * math.cos(theta), math.cos(phi) * math.sin(theta), math.sin(phi))
    count = wavelength_count(shortest)
    waves = [shortest * 2**step for step in range(count)]
    angles = [2 * math.pi * 6371 * part / wave for part in place for wave in waves]
    wanted = [math.sin(a) for a in angles] + [math.cos(a) for a in angles]
    # 0.4 m of float32 on the ground, as a share of the wavelength
    tolerance = torch.tensor([2 * math.pi * 0.0008 / wave for wave in waves] * 6) + 1e-6
    assert ((features - torch.tensor(wanted)).abs() <= tolerance).all()


def test_the_date_line_is_no_seam() -> None:
    encoder = FourierPosition(shortest_wavelength=1.0, width=2)
    east, west, far = encoder.features(placed([(10.0, 179.9999), (10.0, -179.9999), (10.0, 0.0)]))
    assert (east - west).abs().max() < 0.2  # 22 m apart
    assert (east - far).abs().max() > 0.9


def test_the_shortest_wavelength_says_what_looks_alike() -> None:
    here = torch.tensor([40.0, -80.0], dtype=torch.float64)
    there = here + torch.tensor([1 / KM_PER_DEGREE, 0.0])  # a kilometre north
    for shortest, differ in ((1.0, True), (100.0, False)):
        encoder = FourierPosition(shortest_wavelength=shortest, width=2)
        first, second = encoder.features(placed(torch.stack([here, there])))
        assert ((first - second).abs().max() > 0.5) == differ


def test_angles_stay_exact_in_a_bfloat16_module() -> None:
    encoder = FourierPosition(shortest_wavelength=0.05, width=2)
    places = placed(torch.rand(20, 2, dtype=torch.float64) * 90)
    exact = encoder.features(places)
    assert torch.equal(encoder.bfloat16().features(places), exact)
    assert torch.equal(encoder.half().features(places), exact)
    assert encoder(places).dtype == torch.float16


class StandIn(torch.nn.Module):
    """In place of GeoCLIP's location encoder, with its interface and a file of weights."""

    def __init__(self, from_pretrained: bool = True) -> None:
        super().__init__()
        assert not from_pretrained, "it would choose how to unpickle"
        self.layer = torch.nn.Linear(2, 512)

    def forward(self, location: torch.Tensor) -> torch.Tensor:
        return self.layer(location)


@pytest.fixture
def stand_in(tmp_path, monkeypatch) -> StandIn:
    package = types.ModuleType("geoclip")
    package.__file__ = str(tmp_path / "__init__.py")
    package.LocationEncoder = StandIn
    monkeypatch.setitem(sys.modules, "geoclip", package)
    model = StandIn(from_pretrained=False)
    (tmp_path / "model" / "weights").mkdir(parents=True)
    torch.save(model.state_dict(), tmp_path / "model/weights/location_encoder_weights.pth")
    return model


def test_geoclip_vectors_have_the_shipped_direction_and_a_fixed_length(stand_in: StandIn) -> None:
    places = [(40.0, -80.0), (48.0, 11.0)]
    vectors = geoclip_vectors(places)
    directions = stand_in(torch.tensor(places)).detach()
    wanted = directions / directions.norm(dim=1, keepdim=True) * math.sqrt(512)
    torch.testing.assert_close(vectors, wanted)
    assert not vectors.requires_grad
    assert not vectors.is_inference()
    assert geoclip_vectors([]).shape == (0, 512)
    layer = GeoClipPosition(width=7)
    assert layer(vectors).shape == (2, 7)
    layer(vectors).sum().backward()
    assert sum(value.numel() for value in layer.parameters()) == 512 * 7 + 7


def test_geoclip_weights_that_run_code_are_refused(stand_in: StandIn, tmp_path) -> None:
    class Evil:
        def __reduce__(self):
            return (print, ("ran",))

    path = tmp_path / "model/weights/location_encoder_weights.pth"
    torch.save(Evil(), path)
    with pytest.raises(BackboneError, match=r"GeoCLIP's weights .*location_encoder_weights.pth"):
        geoclip_vectors([(0.0, 0.0)])
    path.unlink()
    with pytest.raises(BackboneError, match=r"cannot be read: .*Reinstall geoclip"):
        geoclip_vectors([(0.0, 0.0)])


def test_geoclip_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "geoclip", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'workzone\[geoclip\]'"):
        geoclip_vectors([(0.0, 0.0)])


@pytest.mark.skipif(importlib.util.find_spec("geoclip") is None, reason="extra geoclip")
def test_the_shipped_encoder_knows_neighbours() -> None:
    here, near, far = geoclip_vectors([(40.44, -79.99), (40.45, -79.99), (-33.0, 151.0)])
    assert here @ near > 0.9 * 512
    assert here @ far < 0.5 * 512
