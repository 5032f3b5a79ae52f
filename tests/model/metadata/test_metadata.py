from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from workzone.errors import UsageError
from workzone.features.text import TextVectors, text_hash
from workzone.features.text_spec import TextSpec
from workzone.model.metadata.batch import MetadataBatch, encode_samples, no_metadata
from workzone.model.metadata.config import FIELD_COLUMNS, MetadataConfig
from workzone.model.metadata.encoder import MetadataEncoder
from workzone.types import ImageRef, Sample

SMALL = MetadataConfig(
    position=5,
    weather=3,
    daytime=2,
    scene=4,
    text=6,
    shortest_wavelength=2000.0,
    weather_values=("rain", "sun"),
    daytime_values=("day", "night"),
    scene_values=("city",),
    text_key="any",
)
PARTS = {
    "position": slice(0, 5),
    "weather": slice(5, 8),
    "daytime": slice(8, 10),
    "scene": slice(10, 14),
    "text": slice(14, 20),
}


def batch_of(rows: int, *, seed: int = 0, dtype: torch.dtype = torch.float32) -> MetadataBatch:
    """Everything is known of every row."""
    random = torch.Generator().manual_seed(seed)
    normal = torch.nn.functional.normalize
    return MetadataBatch(
        position=normal(torch.randn(rows, 3, generator=random, dtype=dtype), dim=-1),
        has_position=torch.ones(rows, dtype=torch.bool),
        weather=torch.arange(rows) % 2 + 2,
        daytime=torch.arange(rows) // 2 % 2 + 2,
        scene=torch.full((rows,), 2),
        text=normal(torch.randn(rows, 6, generator=random, dtype=dtype), dim=-1),
        has_text=torch.ones(rows, dtype=torch.bool),
    )


def hidden(batch: MetadataBatch, field: str, rows: torch.Tensor) -> MetadataBatch:
    if field in ("position", "text"):
        shown = getattr(batch, f"has_{field}") & ~rows
        return dataclasses.replace(batch, **{f"has_{field}": shown})
    return dataclasses.replace(batch, **{field: getattr(batch, field).masked_fill(rows, 0)})


def encoder_of(config: MetadataConfig = SMALL, *, seed: int = 0) -> MetadataEncoder:
    """With every parameter random: nothing starts at zero."""
    torch.manual_seed(seed)
    encoder = MetadataEncoder(config)
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter)
    return encoder.eval()


def reference(encoder: MetadataEncoder, batch: MetadataBatch, row: int) -> list[float]:
    """One row, field by field, in plain Python."""
    state = {name: value.detach().double().numpy() for name, value in encoder.state_dict().items()}
    result: list[float] = []
    if batch.has_position[row]:
        angles = []
        for coordinate in batch.position[row].tolist():
            for wavelength in (2000, 4000, 8000, 16000, 32000):
                angles.append(2 * math.pi * 6371.0 * coordinate / wavelength)
        features = [math.sin(a) for a in angles] + [math.cos(a) for a in angles]
        result += list(
            state["position.project.weight"] @ np.array(features) + state["position.project.bias"]
        )
    else:
        result += list(state["missing.position"])
    for field in ("weather", "daytime", "scene"):
        number = int(getattr(batch, field)[row])
        vector = state[f"missing.{field}"]
        if number == 1:
            vector = vector + state[f"tables.{field}.unknown_offset"][0]
        elif number > 1:
            vector = state[f"tables.{field}.known"][number - 2]
        result += list(vector)
    if batch.has_text[row]:
        result += [value * math.sqrt(6) for value in batch.text[row].tolist()]
    else:
        result += list(state["missing.text"])
    return result


def test_the_default_is_704_wide() -> None:
    config = MetadataConfig()
    assert config.width == 704
    encoder = MetadataEncoder(config).eval()
    assert encoder(no_metadata(3, config)).shape == (3, 704)
    assert encoder.image_only(3).shape == (3, 704)


def test_it_equals_a_reference_row_by_row() -> None:
    encoder, batch = encoder_of(), batch_of(8)
    for number, field in enumerate(FIELD_COLUMNS):
        rows = torch.zeros(8, dtype=torch.bool)
        rows[number] = True
        rows[7] = True
        batch = hidden(batch, field, rows)
    batch = dataclasses.replace(batch, weather=torch.tensor([2, 0, 1, 3, 1, 2, 3, 0]))
    wanted = torch.tensor([reference(encoder, batch, row) for row in range(8)])
    torch.testing.assert_close(encoder(batch), wanted.float(), rtol=1e-4, atol=1e-4)


def test_all_missing_is_the_image_only_path_whatever_the_values() -> None:
    encoder = encoder_of()
    garbage = dataclasses.replace(
        hidden_everywhere(batch_of(6)),
        position=torch.full((6, 3), torch.nan),
        text=torch.full((6, 6), torch.inf),
    )
    for batch in (garbage, no_metadata(6, SMALL), hidden_everywhere(batch_of(6, seed=1))):
        assert torch.equal(encoder(batch), encoder.image_only(6))
    constant = encoder.image_only(6)
    assert torch.equal(constant, constant[:1].expand(6, -1))
    assert constant.abs().min() > 0


def hidden_everywhere(batch: MetadataBatch) -> MetadataBatch:
    for field in FIELD_COLUMNS:
        batch = hidden(batch, field, torch.ones(len(batch), dtype=torch.bool))
    return batch


def test_an_untrained_encoder_without_metadata_adds_nothing() -> None:
    assert MetadataEncoder(SMALL).image_only(2).abs().max() == 0


@pytest.mark.parametrize("field", list(FIELD_COLUMNS))
def test_a_missing_field_changes_its_own_part_only(field: str) -> None:
    encoder, batch = encoder_of(), batch_of(4)
    rows = torch.tensor([True, False, True, False])
    before, after = encoder(batch), encoder(hidden(batch, field, rows))
    changed = torch.zeros(4, 20, dtype=torch.bool)
    changed[rows, PARTS[field]] = True
    assert torch.equal(before != after, changed)


def test_unknown_starts_as_missing_and_learns_apart_from_it() -> None:
    torch.manual_seed(0)
    encoder = MetadataEncoder(SMALL).eval()
    torch.nn.init.normal_(encoder.missing["weather"])
    unknown = dataclasses.replace(batch_of(2), weather=torch.ones(2, dtype=torch.int64))
    missing = dataclasses.replace(unknown, weather=torch.zeros(2, dtype=torch.int64))
    assert torch.equal(encoder(unknown), encoder(missing))
    encoder(unknown)[:, PARTS["weather"]].sum().backward()
    assert encoder.tables["weather"].unknown_offset.grad.abs().sum() > 0
    assert encoder.tables["weather"].known.grad.abs().sum() == 0


def test_training_hides_fields_at_the_chances_asked_for() -> None:
    config = dataclasses.replace(SMALL, field_dropout=0.2, drop_all=0.5)
    encoder, rows = encoder_of(config), 20_000
    batch = batch_of(rows)
    whole, constant = encoder(batch), encoder.image_only(1)
    torch.manual_seed(0)
    with torch.no_grad():
        shown = encoder.train()(batch)
    seen = {}
    for field, part in PARTS.items():
        hide = (shown[:, part] == constant[:, part]).all(dim=1)
        keep = (shown[:, part] == whole[:, part]).all(dim=1)
        assert torch.equal(hide, ~keep)  # one or the other, whole
        seen[field] = hide.float()
    hide = torch.stack(list(seen.values()))
    deviation = math.sqrt(0.25 / rows)
    for share in hide.mean(dim=1).tolist():
        assert share == pytest.approx(0.5 + 0.5 * 0.2, abs=5 * deviation)
    everything = hide.prod(dim=0).mean().item()
    assert everything == pytest.approx(0.5 + 0.5 * 0.2**5, abs=5 * deviation)
    none = (1 - hide).prod(dim=0).mean().item()
    assert none == pytest.approx(0.5 * 0.8**5, abs=5 * deviation)


@pytest.mark.parametrize("chance", ["field_dropout", "drop_all"])
def test_the_dropouts_at_their_ends(chance: str) -> None:
    base = {"field_dropout": 0.0, "drop_all": 0.0}
    batch = batch_of(50)
    encoder = encoder_of(dataclasses.replace(SMALL, **base)).train()
    assert torch.equal(encoder(batch), encoder_of()(batch))
    encoder = encoder_of(dataclasses.replace(SMALL, **(base | {chance: 1.0}))).train()
    assert torch.equal(encoder(batch), encoder.image_only(50))


def test_rows_do_not_touch_each_other() -> None:
    encoder, batch = encoder_of(), batch_of(6)
    order = torch.tensor([3, 1, 5])
    torch.testing.assert_close(encoder(batch[order]), encoder(batch)[order])
    assert len(batch[2:4]) == 2
    assert torch.equal(batch.to("cpu").text, batch.text)


@pytest.mark.parametrize("field", list(FIELD_COLUMNS))
def test_a_width_of_zero_switches_a_field_off(field: str) -> None:
    config = dataclasses.replace(SMALL, **{field: 0})
    encoder = encoder_of(config)
    assert not [name for name in encoder.state_dict() if field in name]
    batch = batch_of(4)
    result = encoder(batch)
    assert result.shape == (4, 20 - SMALL.width_of(field)) == (4, config.width)
    assert torch.equal(result, encoder(hidden(batch, field, torch.ones(4, dtype=torch.bool))))
    assert field not in config.fields


def test_all_fields_off_is_nothing() -> None:
    config = MetadataConfig(position=0, weather=0, daytime=0, scene=0, text=0)
    encoder = MetadataEncoder(config)
    assert encoder(no_metadata(3, config)).shape == (3, 0)
    assert encoder.image_only(3).shape == (3, 0)


def test_every_parameter_learns() -> None:
    encoder, batch = encoder_of(), batch_of(8)
    for field in FIELD_COLUMNS:
        batch = hidden(batch, field, torch.arange(8) == 3)
    batch.weather[5] = batch.daytime[5] = batch.scene[5] = 1
    encoder(batch).square().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_first_and_second_derivatives() -> None:
    encoder, batch = encoder_of().double(), batch_of(2, dtype=torch.float64)
    batch = hidden(batch, "position", torch.tensor([True, False]))
    names = [name for name, _ in encoder.named_parameters()]
    values = tuple(value.detach().clone().requires_grad_() for value in encoder.parameters())

    def function(position: torch.Tensor, text: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        given = dataclasses.replace(batch, position=position, text=text)
        state = dict(zip(names, values, strict=True))
        return torch.func.functional_call(encoder, state, (given,)).tanh()

    inputs = (batch.position.clone().requires_grad_(), batch.text.clone().requires_grad_(), *values)
    assert torch.autograd.gradcheck(function, inputs)
    assert torch.autograd.gradgradcheck(function, inputs)


def test_bfloat16_keeps_places_apart() -> None:
    config = dataclasses.replace(SMALL, shortest_wavelength=1.0)
    encoder, batch = encoder_of(config), batch_of(8)
    exact = encoder(batch)
    rounded = encoder.bfloat16()(batch)
    assert rounded.dtype == torch.bfloat16
    scale = exact.abs().max().item()
    torch.testing.assert_close(rounded.float(), exact, rtol=0.02, atol=0.02 * scale)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = encoder_of(config)(batch)
    torch.testing.assert_close(cast.float(), exact, rtol=0.02, atol=0.02 * scale)


def test_it_exports_as_one_graph_that_gives_the_same() -> None:
    encoder, batch = encoder_of(), batch_of(4)
    exported = torch.export.export(encoder, (batch,))
    other = hidden(batch_of(4, seed=2), "text", torch.tensor([True, False, False, True]))
    torch.testing.assert_close(exported.module()(other), encoder(other))


@pytest.mark.parametrize("training", [False, True])
def test_it_is_traced_without_a_graph_break(training: bool) -> None:
    encoder, batch = encoder_of().train(training), batch_of(4)
    compiled = torch.compile(encoder, fullgraph=True, backend="eager")
    torch.manual_seed(1)
    wanted = encoder(batch)
    torch.manual_seed(1)
    torch.testing.assert_close(compiled(batch), wanted)


def test_samples_arrive_as_they_are() -> None:
    spec = TextSpec(model="m", weight_hash="0", width=6, pooling="mean", max_tokens=9)
    vectors = TextVectors(spec, torch.eye(6)[:1], {text_hash("cones ahead"): 0})
    config = dataclasses.replace(SMALL, text_key=spec.key())
    image = ImageRef("a.jpg")
    samples = [
        Sample("known", image, latitude=0.0, longitude=90.0, weather=" Sun", text="cones  ahead"),
        Sample("bare", image),
    ]
    batch = encode_samples(samples, config, vectors)
    encoder = encoder_of(config)
    wanted = torch.tensor([reference(encoder, batch, row) for row in range(2)]).float()
    torch.testing.assert_close(encoder(batch), wanted, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(batch.position[0], torch.tensor([0.0, 1.0, 0.0]))
    assert torch.equal(encoder(batch)[1:], encoder.image_only(1))
    assert encoder(batch)[0, PARTS["text"]].tolist() == pytest.approx([6**0.5, 0, 0, 0, 0, 0])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"weather": -1}, "the width of weather is -1; use a positive width, or 0"),
        ({"field_dropout": 1.5}, "field_dropout is a chance from 0 to 1, got 1.5"),
        ({"drop_all": -0.1}, "drop_all is a chance from 0 to 1, got -0.1"),
        ({"shortest_wavelength": 0.0}, r"shortest_wavelength is 0.0 km; use 0.01 to 10000"),
        ({"allow_leaking": ("txt",)}, "allow_leaking names 'txt', no field; did you mean 'text'"),
    ],
)
def test_mistakes_in_the_configuration(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        MetadataConfig(**wrong)
