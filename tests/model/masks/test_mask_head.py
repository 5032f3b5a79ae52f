"""The mask head against a second writing of it, and canvases against loops over cells."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F

from workzone.errors import UsageError
from workzone.model.masks.config import MaskHeadConfig
from workzone.model.masks.head import MaskHead, place_grids
from workzone.views import ViewLayout, view_boxes

WIDTH = 5


def head_of(*, stride: int = 16, hidden: int = 16) -> MaskHead:
    torch.manual_seed(0)
    config = MaskHeadConfig(width=WIDTH, hidden=hidden, stride=stride)
    return MaskHead(config).double()


def random(*shape: int, seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(
    ("stride", "grid_size", "expected"),
    [
        (32, (7, 7), (56, 56)),  # lite0 at 224
        (16, (14, 14), (56, 56)),  # ViT/16 at 224
        (16, (32, 32), (128, 128)),  # ViT/16 at 512
        (14, (16, 16), (56, 56)),  # ViT/14 at 224: no power of two
        (4, (3, 5), (3, 5)),  # nothing to double
        (32, (2, 3), (16, 24)),  # rows and columns differ
    ],
)
def test_masks_have_a_quarter_of_the_views_pixels(stride, grid_size, expected):
    head = head_of(stride=stride)
    logits = head(random(2, math.prod(grid_size), WIDTH), grid_size)
    assert logits.shape == (2, 6, *expected)
    assert head.config.mask_size(grid_size) == expected


def test_an_untrained_head_expects_few_cells():
    head = head_of(hidden=64)
    probabilities = head(random(4, 49, WIDTH), (7, 7)).sigmoid()
    assert 0.001 < probabilities.mean() < 0.1


def convolved(image, kernel):
    """3x3 cross-correlation of one channel with zero borders, cell by cell."""
    rows, columns = image.shape
    result = torch.zeros_like(image)
    for row, column, i, j in itertools.product(range(rows), range(columns), range(3), range(3)):
        y, x = row + i - 1, column + j - 1
        if 0 <= y < rows and 0 <= x < columns:
            result[row, column] += kernel[i, j] * image[y, x]
    return result


def doubled(image):
    """Bilinear doubling of one channel: each new cell's centre lies a quarter off an old one's."""
    rows, columns = image.shape
    result = image.new_zeros(2 * rows, 2 * columns)
    for row, column in itertools.product(range(2 * rows), range(2 * columns)):
        y = min(max((row + 0.5) / 2 - 0.5, 0), rows - 1)
        x = min(max((column + 0.5) / 2 - 0.5, 0), columns - 1)
        for i, j in itertools.product(range(rows), range(columns)):
            share = max(0, 1 - abs(y - i)) * max(0, 1 - abs(x - j))
            result[row, column] += share * image[i, j]
    return result


def block(layer, channels):
    """Depthwise, pointwise, group norm by hand, x * sigmoid(x)."""
    kernels = layer.depthwise.weight[:, 0]
    stack = torch.stack([convolved(c, k) for c, k in zip(channels, kernels, strict=True)])
    mixed = [
        sum(w * c for w, c in zip(weights, stack, strict=True))
        for weights in layer.pointwise.weight[:, :, 0, 0]
    ]
    groups = math.gcd(8, len(mixed))
    size = len(mixed) // groups
    result = []
    for group in range(groups):
        members = torch.stack(mixed[group * size : (group + 1) * size])
        normal = (members - members.mean()) / (members.var(correction=0) + 1e-5).sqrt()
        for offset in range(size):
            index = group * size + offset
            value = normal[offset] * layer.norm.weight[index] + layer.norm.bias[index]
            result.append(value / (1 + torch.exp(-value)))
    return torch.stack(result)


def test_it_is_the_decoder_that_its_docstring_tells_of():
    head = head_of(stride=16, hidden=16).requires_grad_(False)
    for index, parameter in enumerate(head.parameters()):
        parameter.data = random(*parameter.shape, seed=index) * 0.5  # no layer at its start
    rows, columns = 2, 3
    grid = random(1, rows * columns, WIDTH)
    cells = grid[0]
    centred = cells - cells.mean(1, keepdim=True)
    normal = centred / (centred.square().mean(1, keepdim=True) + 1e-5).sqrt()
    normal = normal * head.norm.weight + head.norm.bias
    projected = normal @ head.project.weight.T + head.project.bias
    channels = torch.stack([projected[:, c].reshape(rows, columns) for c in range(16)])
    channels = block(head.mix, channels)
    for layer in head.refine:
        channels = block(layer, torch.stack([doubled(channel) for channel in channels]))
    expected = torch.stack(
        [
            sum(w * c for w, c in zip(weights, channels, strict=True)) + bias
            for weights, bias in zip(
                head.classifier.weight[:, :, 0, 0], head.classifier.bias, strict=True
            )
        ]
    )
    assert len(head.refine) == 2
    torch.testing.assert_close(head(grid, (rows, columns))[0], expected)


def pyramid() -> tuple[MaskHead, torch.Tensor, dict[int, torch.Tensor]]:
    """Levels of strides 4 and 8 under a grid of 16: a head, its grid and their maps."""
    torch.manual_seed(0)
    config = MaskHeadConfig(
        width=WIDTH,
        hidden=16,
        stride=16,
        levels=(4, 8),
        level_widths=(3, 7),
        level_strides=(4, 8),
    )
    levels = {4: random(2, 3, 8, 12, seed=4), 8: random(2, 7, 4, 6, seed=8)}
    return MaskHead(config).double(), random(2, 6, WIDTH), levels


def test_levels_are_added_from_the_coarsest_on():
    head, grid, levels = pyramid()
    found = head(grid, (2, 3), levels)
    features = head.mix(head.project(head.norm(grid)).transpose(1, 2).unflatten(2, (2, 3)))
    for step, level, width in zip(head.steps, (8, 4), (8, 4), strict=True):
        coarse = torch.einsum("oi,bihw->bohw", step.narrow.weight[:, :, 0, 0], features)
        twice = torch.stack([torch.stack([doubled(c) for c in image]) for image in coarse])
        own = torch.einsum("oi,bihw->bohw", step.lateral.weight[:, :, 0, 0], levels[level])
        assert own.shape[1] == width  # halved at each doubling
        features = step.mix(twice + step.norm(own))
    torch.testing.assert_close(found, head.classifier(features))
    assert found.shape == (2, 6, 8, 12)


def test_a_level_reaches_the_masks_at_its_own_resolution():
    head, grid, levels = pyramid()
    before = head(grid, (2, 3), levels)
    changed = {**levels, 4: levels[4].clone()}
    changed[4][0, :, 5, 7] += 100.0
    after = head(grid, (2, 3), changed)
    assert torch.equal(after[1], before[1])
    apart = (after - before)[0].abs().amax(dim=0)
    assert apart[4:7, 6:9].mean() > 3 * apart[:, :3].mean()


def test_a_missing_level_is_refused():
    head, grid, levels = pyramid()
    with pytest.raises(UsageError, match="no map of level 8"):
        head(grid, (2, 3), {4: levels[4]})


def test_images_of_a_batch_do_not_touch_each_other():
    head = head_of()
    grid = random(3, 12, WIDTH)
    together = head(grid, (3, 4))
    for image in range(3):
        torch.testing.assert_close(
            together[image : image + 1], head(grid[image : image + 1], (3, 4))
        )


def test_a_mirrored_grid_gives_mirrored_masks_with_symmetric_kernels():
    head = head_of()
    for module in head.modules():
        if isinstance(module, torch.nn.Conv2d) and module.kernel_size == (3, 3):
            module.weight.data = (module.weight + module.weight.flip(-1)) / 2
    grid = random(1, 12, WIDTH)
    mirrored = grid.unflatten(1, (3, 4)).flip(2).flatten(1, 2)
    torch.testing.assert_close(head(mirrored, (3, 4)), head(grid, (3, 4)).flip(-1))


def test_first_and_second_derivatives():
    head = head_of(stride=8, hidden=4)
    grid = random(1, 4, WIDTH).requires_grad_()
    assert torch.autograd.gradcheck(lambda g: head(g, (2, 2)), (grid,))
    assert torch.autograd.gradgradcheck(lambda g: head(g, (2, 2)), (grid,))
    logits = head(grid, (2, 2))
    gradients = torch.autograd.grad(logits.sum(), list(head.parameters()))
    assert all((gradient != 0).any() for gradient in gradients)


def test_bfloat16_is_near_float32():
    head = head_of(hidden=32).float()
    grid = random(2, 16, WIDTH).float()
    exact = head(grid, (4, 4))
    rounded = head.bfloat16()(grid.bfloat16(), (4, 4))
    assert rounded.dtype == torch.bfloat16
    assert torch.corrcoef(torch.stack([exact.flatten(), rounded.float().flatten()]))[0, 1] > 0.99


def test_it_compiles_in_one_graph_and_exports():
    head = head_of(stride=32).eval()
    grid = random(2, 4, WIDTH)
    expected = head(grid, (2, 2))
    compiled = torch.compile(head, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(grid, (2, 2)), expected)
    exported = torch.export.export(head, (grid, (2, 2)))
    torch.testing.assert_close(exported.module()(grid, (2, 2)), expected)


def test_a_grid_of_another_size_is_refused():
    with pytest.raises(UsageError, match=r"\[2, 12, 5\]; 3 x 3 cells of width 5 need \[B, 9, 5\]"):
        head_of()(random(2, 12, WIDTH), (3, 3))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"width": -1}, "width and canvas are 0 or more, got -1 and 0"),
        ({"width": 4, "stride": 2}, "stride is 2 pixels per grid cell; it must be at least 4"),
        ({"width": 4, "hidden": 12, "stride": 32}, "hidden is 12; .* must be a multiple of 8"),
        ({"width": 4, "hidden": 0}, "hidden is 0; .* must be a multiple of 4"),
        ({"levels": (8, 4)}, r"levels are positive and rise, as \[4, 8, 16\]; not \[8, 4\]"),
        ({"levels": (4,), "canvas": 8}, "levels are of the global view, canvas of all"),
        ({"levels": (4, 8), "level_widths": (3,)}, "one for each level"),
    ],
)
def test_wrong_shapes_are_refused(values, message):
    with pytest.raises(UsageError, match=message):
        MaskHeadConfig(**values)


def placed_slowly(grids, boxes, grid_size, shape, view_mask):
    """One canvas cell, one view and one grid cell at a time."""
    (batch, views, _, width), (rows, columns), (height, breadth) = grids.shape, grid_size, shape
    canvas = torch.zeros(batch, height * breadth, width, dtype=grids.dtype)
    for b, y, x in itertools.product(range(batch), range(height), range(breadth)):
        centre_x, centre_y = (x + 0.5) / breadth, (y + 0.5) / height
        seen = []
        for v in range(views):
            x0, y0, x1, y1 = (round(edge, 5) for edge in boxes[b, v].tolist())
            if not (view_mask[b, v] and x0 <= centre_x <= x1 and y0 <= centre_y <= y1):
                continue
            column = min(max((centre_x - x0) / (x1 - x0) * columns - 0.5, 0), columns - 1)
            row = min(max((centre_y - y0) / (y1 - y0) * rows - 0.5, 0), rows - 1)
            left, top = math.floor(column), math.floor(row)
            value = torch.zeros(width, dtype=grids.dtype)
            for i, j in itertools.product((top, top + 1), (left, left + 1)):
                share = (1 - abs(row - i)) * (1 - abs(column - j))
                if share:
                    value += share * grids[b, v, i * columns + j]
            seen.append(value)
        if seen:
            canvas[b, y * breadth + x] = sum(seen) / len(seen)
    return canvas


@pytest.fixture
def placed():
    """Two images: overlapping views of different places, one cell in a corner seen by none."""
    boxes = torch.tensor(
        [
            [[0.0, 0.0, 0.6, 0.7], [0.3, 0.2, 1.0, 1.0], [0.1, 0.1, 0.9, 0.5]],
            [[0.0, 0.0, 1.0, 1.0], [0.5, 0.0, 0.8, 0.3], [0.2, 0.4, 0.7, 0.95]],
        ]
    )
    return random(2, 3, 6, WIDTH), boxes


@pytest.mark.parametrize("shape", [(4, 5), (7, 3), (1, 1)])
def test_grids_are_placed_as_the_slow_way_does(placed, shape):
    grids, boxes = placed
    mask = torch.tensor([[True, False, True], [True, True, True]])
    for view_mask in (torch.ones_like(mask), mask):
        canvas = place_grids(grids, boxes, grid_size=(2, 3), shape=shape, view_mask=view_mask)
        expected = placed_slowly(grids, boxes, (2, 3), shape, view_mask)
        torch.testing.assert_close(canvas, expected, atol=1e-5, rtol=1e-5)
    corner = place_grids(grids, boxes, grid_size=(2, 3), shape=(4, 5), view_mask=mask)[0, -1]
    assert (corner == 0).all()  # only view 1, which does not exist, holds it


def test_the_whole_frame_at_its_own_size_is_itself():
    grids = random(2, 1, 12, WIDTH)
    whole = torch.tensor([0.0, 0.0, 1.0, 1.0]).expand(2, 1, 4)
    canvas = place_grids(grids, whole, grid_size=(3, 4), shape=(3, 4))
    torch.testing.assert_close(canvas, grids[:, 0], atol=1e-6, rtol=0)


def test_four_quarters_tile_the_canvas():
    grids = random(1, 4, 4, WIDTH)
    quarters = [[x, y, x + 0.5, y + 0.5] for y in (0.0, 0.5) for x in (0.0, 0.5)]
    canvas = place_grids(grids, torch.tensor([quarters]), grid_size=(2, 2), shape=(4, 4))
    top = torch.cat([grids[0, 0].view(2, 2, -1), grids[0, 1].view(2, 2, -1)], dim=1)
    bottom = torch.cat([grids[0, 2].view(2, 2, -1), grids[0, 3].view(2, 2, -1)], dim=1)
    expected = torch.cat([top, bottom]).flatten(0, 1)
    torch.testing.assert_close(canvas[0], expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("cells", [5, 15, 20, 25, 35, 45, 55])
def test_a_centre_on_the_edge_of_a_box_is_inside(cells):
    """The tiles' edges lie at tenths, which float32 does not hold exactly."""
    boxes = view_boxes(ViewLayout(squares=()), 640, 480)
    grids = torch.ones(len(boxes), 1, 1, 1)
    canvases = place_grids(
        grids, torch.from_numpy(boxes)[:, None], grid_size=(1, 1), shape=(cells, cells)
    )
    for box, canvas in zip(boxes, canvases, strict=True):
        x0, y0, x1, y1 = (Fraction(round(10 * float(edge)), 10) for edge in box)
        centres = [Fraction(2 * cell + 1, 2 * cells) for cell in range(cells)]
        expected = [[float(y0 <= y <= y1 and x0 <= x <= x1) for x in centres] for y in centres]
        assert canvas.view(cells, cells).tolist() == expected


def test_views_of_a_canvas_are_a_set(placed):
    grids, boxes = placed
    order = torch.tensor([2, 0, 1])
    one = place_grids(grids, boxes, grid_size=(2, 3), shape=(4, 5))
    other = place_grids(grids[:, order], boxes[:, order], grid_size=(2, 3), shape=(4, 5))
    torch.testing.assert_close(one, other)


def test_masked_views_are_as_good_as_left_out_whatever_they_hold(placed):
    grids, boxes = placed
    expected = place_grids(grids[:, :2], boxes[:, :2], grid_size=(2, 3), shape=(4, 5))
    grids, boxes = grids.clone(), boxes.clone()
    grids[:, 2], boxes[:, 2] = torch.nan, 0.5  # a point that is the centre of a column
    mask = torch.tensor([True, True, False]).expand(2, 3)
    canvas = place_grids(grids, boxes, grid_size=(2, 3), shape=(4, 5), view_mask=mask)
    torch.testing.assert_close(canvas, expected)


def test_a_canvas_has_derivatives_compiles_and_keeps_the_type(placed):
    grids, boxes = placed

    def place(values):
        return place_grids(values, boxes[:1], grid_size=(2, 3), shape=(3, 3))

    assert torch.autograd.gradcheck(place, (grids[:1].clone().requires_grad_(),))
    squared = grids[:1].clone().requires_grad_()
    assert torch.autograd.gradgradcheck(lambda g: place(g).square(), (squared,))
    compiled = torch.compile(place, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(grids[:1]), place(grids[:1]))
    assert place(grids[:1].bfloat16()).dtype == torch.bfloat16


def test_a_head_reads_a_canvas(placed):
    grids, boxes = placed
    canvas = place_grids(grids, boxes, grid_size=(2, 3), shape=(4, 5))
    assert F.sigmoid(head_of()(canvas, (4, 5))).shape == (2, 6, 16, 20)
