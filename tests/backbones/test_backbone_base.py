from __future__ import annotations

import copy
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from workzone.backbones import base
from workzone.backbones.base import (
    POOLINGS,
    Backbone,
    check_pooling,
    one_core_each,
    pool,
    pooled_width,
    run,
)
from workzone.errors import BackboneError, UsageError
from workzone.types import BackboneOutput

MEAN = (0.1, 0.2, 0.3)
STD = (0.5, 0.25, 0.2)


class Cells(Backbone):
    """Gives each 4 x 4 cell's mean colour, after dropout and a linear layer."""

    def __init__(self, *, has_cls: bool = True, multiple: int = 4) -> None:
        network = nn.Sequential(nn.Dropout(0.5), nn.Linear(3, 3), nn.BatchNorm1d(3))
        super().__init__(
            network,
            name="cells",
            width=3,
            multiple=multiple,
            mean=MEAN,
            std=STD,
            default_size=8,
            licence="none",
            has_cls=has_cls,
        )
        self.seen = torch.empty(0)

    def tokens(self, normalised: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor]:
        self.seen = normalised
        cells = nn.functional.avg_pool2d(normalised, 4).flatten(2).transpose(1, 2)
        grid = self.model(cells.flatten(0, 1)).view(cells.shape)
        return (grid[:, 0] if self.has_cls else None), grid


def pixels(count: int = 2, size: int = 8) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    return torch.randint(0, 256, (count, 3, size, size), dtype=torch.uint8, generator=generator)


def test_pixels_are_normalised_once_per_channel() -> None:
    backbone = Cells()
    views = pixels()
    backbone(views)
    expected = torch.stack(
        [(views[:, c].double() / 255 - MEAN[c]) / STD[c] for c in range(3)], dim=1
    )
    torch.testing.assert_close(backbone.seen.double(), expected, atol=1e-5, rtol=1e-5)


def test_frozen_survives_a_training_parent() -> None:
    backbone = Cells()
    parent = nn.Sequential(backbone, nn.Dropout())
    before = backbone(pixels()).grid
    state = copy.deepcopy(backbone.state_dict())
    parent.train()
    assert parent[1].training
    assert not any(module.training for module in backbone.modules())
    assert torch.equal(backbone(pixels()).grid, before)
    for name, value in backbone.state_dict().items():  # batch statistics did not move
        assert torch.equal(value, state[name]), name


def test_no_graph_unless_made_trainable() -> None:
    backbone = Cells()
    assert not any(parameter.requires_grad for parameter in backbone.parameters())
    assert backbone(pixels()).grid.grad_fn is None
    backbone.requires_grad_(True)
    assert backbone(pixels()).grid.grad_fn is not None
    assert run(backbone, pixels()).grid.grad_fn is None


def test_hash_follows_every_bit_and_not_the_layout_or_the_run() -> None:
    backbone = Cells()
    other = copy.deepcopy(backbone)
    assert len(backbone.weight_hash) == 32
    assert other.weight_hash == backbone.weight_hash
    for name, value in backbone.model.state_dict().items():
        changed = copy.deepcopy(other)
        changed.__dict__.pop("weight_hash")
        target = changed.model.state_dict()[name]
        if value.is_floating_point():
            target.view(-1)[-1:].copy_(torch.nextafter(value, value + 1).view(-1)[-1:])
        else:
            target += 1
        assert changed.weight_hash != backbone.weight_hash, name


def test_hash_and_count_describe_the_published_weights() -> None:
    backbone = Cells()
    published = copy.deepcopy(backbone)
    backbone.replace_model(nn.Sequential(nn.Linear(3, 3), nn.Dropout()))
    assert backbone.weight_hash == published.weight_hash
    assert backbone.parameter_count == published.parameter_count == 12 + 6
    assert not any(parameter.requires_grad for parameter in backbone.parameters())
    assert not any(module.training for module in backbone.modules())


@given(size=st.integers(-5, 700), multiple=st.sampled_from([14, 16, 32]))
def test_sizes(size: int, multiple: int) -> None:
    backbone = Cells(multiple=multiple)
    if size in range(multiple, 701, multiple):
        assert backbone.grid_size(size) == (size // multiple, size // multiple)
        return
    with pytest.raises(UsageError) as caught:
        backbone.grid_size(size)
    numbers = [int(word) for word in str(caught.value).split("nearest are ")[1].split(" and ")]
    assert numbers[1] - numbers[0] == multiple
    for number in numbers:
        backbone.check_size(number)
    assert size < multiple or numbers[0] < size < numbers[1]


def test_size_error_text() -> None:
    with pytest.raises(UsageError, match=r"size 518 .* 'cells'.*16; the nearest are 512 and 528"):
        Cells(multiple=16).check_size(518)


def test_a_wrong_grid_is_noticed() -> None:
    with pytest.raises(BackboneError, match=r"'cells' gave 4 grid cells for 8 x 8 px; 1 x 1 were"):
        Cells(multiple=8)(pixels())


@pytest.mark.parametrize(
    "wrong",
    [
        torch.zeros(1, 3, 8, 8),
        torch.zeros(3, 8, 8, dtype=torch.uint8),
        torch.zeros(1, 1, 8, 8, dtype=torch.uint8),
    ],
)
def test_pixels_of_another_kind_are_refused(wrong: torch.Tensor) -> None:
    with pytest.raises(UsageError, match=r"takes uint8 pixels \[M, 3, h, w\]; got torch"):
        Cells()(wrong)


def test_views_of_any_shape_have_a_grid_of_theirs() -> None:
    wide = pixels(size=12)[:, :, :8]
    backbone = Cells()
    output, left = backbone(wide), backbone(wide[..., :8])
    assert output.grid_size == (2, 3)
    torch.testing.assert_close(
        output.grid.unflatten(1, (2, 3))[:, :, :2].flatten(1, 2), left.grid, rtol=0, atol=1e-6
    )
    for shape in ((8, 10), (10, 8)):
        with pytest.raises(UsageError, match="size 10 does not fit backbone 'cells'"):
            Cells()(torch.zeros(1, 3, *shape, dtype=torch.uint8))


def test_threads_that_compute_beside_each_other_take_a_core_each_and_others_what_they_had() -> None:
    """Torch takes the last number set, by whichever thread, for threads that have none yet."""
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        begin = one_core_each()

        def told(first: Callable[[], None] | None = None) -> int:
            with ThreadPoolExecutor(1, initializer=first) as executor:
                return executor.submit(torch.get_num_threads).result()

        assert told(begin) == 1
        assert (torch.get_num_threads(), told()) == (3, 3)
    finally:
        torch.set_num_threads(before)


def test_poolings_against_numpy() -> None:
    generator = torch.Generator().manual_seed(0)
    output = BackboneOutput(
        torch.randn(2, 3, generator=generator), torch.randn(2, 4, 3, generator=generator), (2, 2)
    )
    assert output.cls is not None
    cls, grid = output.cls.numpy(), output.grid.numpy()
    mean, most = grid.mean(axis=1), grid.max(axis=1)
    expected = {
        "cls": [cls],
        "mean": [mean],
        "max": [most],
        "cls+mean": [cls, mean],
        "mean+max": [mean, most],
    }
    assert set(expected) == set(POOLINGS)
    for name, parts in expected.items():
        pooled = pool(output, name)
        assert pooled.shape == (2, pooled_width(Cells(), name))
        for index, part in enumerate(parts):
            torch.testing.assert_close(pooled[:, 3 * index : 3 * index + 3], torch.from_numpy(part))


def test_pooling_errors() -> None:
    without = Cells(has_cls=False)
    message = "'cls\\+mean' needs a class token.*allowed: max, mean, mean\\+max"
    with pytest.raises(UsageError, match=message):
        pooled_width(without, "cls+mean")
    with pytest.raises(UsageError, match="'cls' needs a class token"):
        pool(without(pixels()), "cls")
    with pytest.raises(UsageError, match=r"unknown pooling 'meen'; did you mean 'mean'\?"):
        check_pooling("meen", has_cls=True)
    assert without.default_pooling == "mean+max"
    assert Cells().default_pooling == "cls+mean"


def test_run_gives_float32_in_both_precisions() -> None:
    backbone = Cells()
    exact = run(backbone, pixels())
    rough = run(backbone, pixels(), precision="bfloat16")
    assert exact.grid.dtype == rough.grid.dtype == torch.float32
    assert not torch.equal(exact.grid, rough.grid)  # it did compute in bfloat16
    torch.testing.assert_close(exact.grid, rough.grid, atol=0.05, rtol=0.05)
    with pytest.raises(UsageError, match=r"unknown precision 'bfloat'; did you mean 'bfloat16'"):
        run(backbone, pixels(), precision="bfloat")  # type: ignore[arg-type]


def test_a_processor_computes_as_many_views_at_a_time_as_fit_its_caches(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backbone = Cells()
    whole = backbone(pixels(7))
    monkeypatch.setattr(base, "CPU_PIXELS_AT_ONCE", 3 * 8 * 8)
    parts = run(backbone, pixels(7))
    assert len(backbone.seen) == 1  # 3 + 3 + 1
    assert whole.cls is not None
    assert parts.cls is not None
    torch.testing.assert_close(parts.cls, whole.cls, rtol=0, atol=1e-6)
    torch.testing.assert_close(parts.grid, whole.grid, rtol=0, atol=1e-6)
    assert parts.grid_size == whole.grid_size
    monkeypatch.setattr(base, "CPU_PIXELS_AT_ONCE", 1)
    torch.testing.assert_close(run(backbone, pixels(2)).grid, whole.grid[:2], rtol=0, atol=1e-6)
