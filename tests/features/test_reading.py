"""What is read of views, at their size and at half of it."""

from __future__ import annotations

import pytest
import torch

from workzone.backbones.base import Backbone, run
from workzone.features import reading
from workzone.features.extract import make_spec
from workzone.features.reading import halved, read_views
from workzone.views import ViewLayout, make_views


def noise(*shape: int) -> torch.Tensor:
    random = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, shape, generator=random, dtype=torch.uint8)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Views and size of each call of the backbone."""
    calls: list[tuple[int, int]] = []

    def counting(backbone: Backbone, pixels: torch.Tensor, **options: str) -> object:
        calls.append((len(pixels), pixels.shape[-1]))
        return run(backbone, pixels, **options)

    monkeypatch.setattr(reading, "run", counting)
    return calls


@pytest.mark.parametrize("halves", [False, True])
def test_equal_views_are_read_once(
    lite0: Backbone, counted: list[tuple[int, int]], halves: bool
) -> None:
    """All three views of a square frame show all of it."""
    layout = ViewLayout(
        size=64, keep_aspect=True, tiles=0, squares=("left", "right"), halves=halves
    )
    spec = make_spec(lite0, layout=layout, pooling="mean")
    views = make_views(noise(90, 90, 3).numpy(), layout)
    pixels = torch.from_numpy(views.pixels)
    found = read_views(lite0, pixels, spec)
    assert counted == [(1, 64), (1, 32)][: 1 + halves]
    plain = run(lite0, pixels).grid
    torch.testing.assert_close(found.grid[:, :4], plain, rtol=1e-4, atol=1e-4)
    assert found.grid.shape == (3, 4 + halves, 1280)
    assert torch.equal(found.grid[0], found.grid[2])


def test_views_that_differ_in_a_pixel_are_all_read(
    lite0: Backbone, counted: list[tuple[int, int]]
) -> None:
    spec = make_spec(lite0, layout=ViewLayout(size=64, tiles=0))
    pixels = noise(1, 3, 64, 64).repeat(3, 1, 1, 1)
    pixels[2, 0, 0, 0] ^= 255
    found = read_views(lite0, pixels, spec)
    assert counted == [(2, 64)]
    torch.testing.assert_close(found.grid, run(lite0, pixels).grid, rtol=1e-4, atol=1e-4)


def test_halves_are_averages() -> None:
    pixels = noise(2, 3, 1, 1).repeat_interleave(8, dim=2).repeat_interleave(8, dim=3)
    assert torch.equal(halved(pixels), pixels[:, :, :4, :4])
    steps = torch.arange(0, 256, 8, dtype=torch.uint8).expand(1, 3, 32, 32)
    inner = halved(steps)[..., 1:-1].float()
    expected = steps[..., ::2].float()[..., :16][..., 1:-1] + 4
    assert (inner - expected[:, :, :16]).abs().max() <= 1
