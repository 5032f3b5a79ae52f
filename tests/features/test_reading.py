"""What is read of views, at their size and at half of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from workzone import views
from workzone.backbones.base import Backbone, run
from workzone.features import reading
from workzone.features.extract import make_spec
from workzone.features.reading import halved, in_square, read_views, square_boxes
from workzone.types import BackboneOutput
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
    pixels = torch.from_numpy(make_views(noise(90, 90, 3).numpy(), layout).pixels)
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


@pytest.mark.parametrize(
    ("height", "width"), [(2, 2), (32, 64), (64, 192), (512, 896), (832, 64), (720, 1278)]
)
def test_halves_of_engines_are_those_of_features(height: int, width: int) -> None:
    """Bit for bit, also of very tall frames, which Pillow resizes downwards first."""
    pixels = noise(2, 3, height, width)
    smooth = torch.linspace(0, 255, height * width).byte().view(height, width)
    pixels[1, 1] = smooth
    expected = halved(pixels).numpy()
    for view, half in zip(pixels.numpy(), expected, strict=True):
        found = views.halved(view)
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, half)


def counted_cells(rows: int, columns: int) -> torch.Tensor:
    """``[1, N, 1]``: 1, 2, ..."""
    return 1 + torch.arange(rows * columns, dtype=torch.float32).view(1, -1, 1)


@pytest.mark.parametrize("halves", [False, True])
@pytest.mark.parametrize(("rows", "columns"), [(2, 4), (4, 2), (2, 6)])
def test_a_frame_lies_at_the_upper_left_of_a_square(rows: int, columns: int, halves: bool) -> None:
    cells, half = counted_cells(rows, columns), 100 * counted_cells(rows // 2, columns // 2)
    grid = torch.cat([cells, half], dim=1) if halves else cells
    placed = in_square(BackboneOutput(None, grid, (rows, columns)), 6)
    assert placed.grid_size == (6, 6)
    assert placed.grid.shape == (1, 36 + 9 * halves, 1)
    expected = torch.zeros(6, 6)
    expected[:rows, :columns] = cells.view(rows, columns)
    assert torch.equal(placed.grid[0, :36, 0].view(6, 6), expected)
    if halves:
        expected = torch.zeros(3, 3)
        expected[: rows // 2, : columns // 2] = half.view(rows // 2, columns // 2)
        assert torch.equal(placed.grid[0, 36:, 0].view(3, 3), expected)


def test_what_fills_its_square_stays_as_it_is() -> None:
    output = BackboneOutput(None, counted_cells(4, 4), (4, 4))
    assert in_square(output, 4) is output
    layout = ViewLayout(size=64, tiles=2)
    made = make_views(noise(50, 90, 3).numpy(), layout)
    np.testing.assert_array_equal(square_boxes(made, layout), made.boxes)


def test_boxes_of_frames_in_squares_reach_beyond_the_frame() -> None:
    layout = ViewLayout(size=256, shorter=128, tiles=0, squares=())
    for (height, width), reach in (((90, 160), (1, 2)), ((40, 25), (2, 4 / 3)), ((9, 9), (2, 2))):
        made = make_views(noise(height, width, 3).numpy(), layout)
        expected = np.float32([[0, 0, *reach]])
        np.testing.assert_array_equal(square_boxes(made, layout), expected)
    assert made.boxes.tolist() == [[0, 0, 1, 1]]


def test_halves_are_averages() -> None:
    pixels = noise(2, 3, 1, 1).repeat_interleave(8, dim=2).repeat_interleave(8, dim=3)
    assert torch.equal(halved(pixels), pixels[:, :, :4, :4])
    steps = torch.arange(0, 256, 8, dtype=torch.uint8).expand(1, 3, 32, 32)
    inner = halved(steps)[..., 1:-1].float()
    expected = steps[..., ::2].float()[..., :16][..., 1:-1] + 4
    assert (inner - expected[:, :, :16]).abs().max() <= 1
