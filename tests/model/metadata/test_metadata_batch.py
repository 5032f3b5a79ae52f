from __future__ import annotations

import dataclasses
import json
import math
import sys
import types
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from workzone.config import from_mapping
from workzone.data.leaks import find_leaks
from workzone.data.manifest import Manifest
from workzone.errors import StoreError, TrainingError, UsageError
from workzone.features.text import TextVectors, text_hash
from workzone.features.text_spec import TextSpec
from workzone.model.metadata import position
from workzone.model.metadata import rows as metadata_rows
from workzone.model.metadata.batch import encode_samples, no_metadata
from workzone.model.metadata.config import MetadataConfig, refuse_leaking
from workzone.types import ImageRef, Sample

SPEC = TextSpec(model="some/model", weight_hash="0", width=4, pooling="mean", max_tokens=9)


def sample(name: str = "s", **fields: object) -> Sample:
    return Sample(name, ImageRef(f"{name}.jpg"), **fields)  # type: ignore[arg-type]


def vectors_of(*texts: str) -> TextVectors:
    rows = {text_hash(text): row for row, text in enumerate(texts)}
    return TextVectors(SPEC, torch.eye(4)[: len(texts)], rows)


def config_of(**fields: object) -> MetadataConfig:
    known = {"weather_values": ("rain", "sun"), "text": 4, "text_key": SPEC.key()}
    return MetadataConfig(**(known | fields))  # type: ignore[arg-type]


@pytest.fixture(autouse=True)
def _no_warning_given_yet():
    metadata_rows._warn_unknown.cache_clear()


def test_samples_become_tensors() -> None:
    samples = [
        sample(latitude=0.0, longitude=90.0, weather="Rain", text="cones\n ahead"),
        sample(latitude=None, longitude=90.0, weather="  "),
        sample(latitude=90.0, longitude=5.0, weather=" SUN", text=" "),
        sample(latitude=math.nan, longitude=5.0, text="lane closed"),
    ]
    batch = encode_samples(samples, config_of(), vectors_of("lane closed", "cones ahead"))
    assert batch.has_position.tolist() == [True, False, True, False]
    wanted = torch.tensor([[0.0, 1, 0], [0, 0, 0], [0, 0, 1], [0, 0, 0]])
    torch.testing.assert_close(batch.position, wanted, rtol=0, atol=1e-7)
    assert batch.weather.tolist() == [2, 0, 3, 0]
    assert batch.daytime.tolist() == batch.scene.tolist() == [0, 0, 0, 0]
    assert batch.has_text.tolist() == [True, False, False, True]
    assert batch.text.tolist() == [[0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]]
    types_ = {name: value.dtype for name, value in vars(batch).items()}
    assert types_ == {
        "position": torch.float32,
        "has_position": torch.bool,
        "weather": torch.int64,
        "daytime": torch.int64,
        "scene": torch.int64,
        "text": torch.float32,
        "has_text": torch.bool,
    }


def test_samples_without_metadata_and_no_samples() -> None:
    for rows in (0, 3):
        batch = encode_samples([sample()] * rows, config_of())
        nothing = no_metadata(rows, config_of())
        for name, value in vars(batch).items():
            assert torch.equal(value, getattr(nothing, name)), name
        assert not batch.has_position.any()
        assert not batch.has_text.any()


def test_a_field_that_is_off_is_not_read() -> None:
    config = config_of(position=0, weather=0, daytime=0, scene=0, text=0)
    full = sample(latitude=1.0, longitude=2.0, weather="Rain", daytime="Day", text="cones")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        batch = encode_samples([full], config)
    assert not batch.has_position.any()
    assert batch.weather.tolist() == [0]
    assert batch.text.shape == (1, 0)


def test_an_unknown_category_is_said_once_for_each_value() -> None:
    rows = [sample(weather=value) for value in ("Fog", "fog ", "hail", "rain", "fog")]
    with pytest.warns(UserWarning, match="fewer than 3 training rows") as caught:
        first = encode_samples(rows, config_of())
        again = encode_samples(rows, config_of())
    assert first.weather.tolist() == again.weather.tolist() == [1, 1, 1, 2, 1]
    assert [str(warning.message) for warning in caught] == [
        "weather 'fog' is in fewer than 3 training rows, so counts as unknown; known: rain, sun",
        "weather 'hail' is in fewer than 3 training rows, so counts as unknown; known: rain, sun",
    ]
    with pytest.warns(UserWarning, match="known: none"):  # another model knows other values
        encode_samples(rows[:1], config_of(weather_values=()))


def test_the_text_model_must_be_that_of_training() -> None:
    row = sample("img-7", text="cones")
    with pytest.raises(UsageError, match=r"sample 'img-7' has a text, but .* text: 0"):
        encode_samples([sample(), row], config_of())
    with pytest.raises(UsageError, match=r"of some/model \(4 wide, key .* takes 384 wide, key .*"):
        encode_samples([row], config_of(text=384), vectors_of("cones"))
    with pytest.raises(UsageError, match=r"key none \(call MetadataConfig.fitted\)"):
        encode_samples([row], config_of(text_key=""), vectors_of("cones"))
    with pytest.raises(StoreError, match=r"sample 'img-7': the text 'cones' has no vector"):
        encode_samples([sample(text="lane"), row], config_of(), vectors_of("lane"))


def test_geoclip_vectors_take_the_place_of_unit_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def stand_in(degrees):
        seen.extend(degrees)
        return torch.full((len(degrees), 512), 2.0)

    monkeypatch.setattr(position, "geoclip_vectors", stand_in)
    samples = [sample(), sample(latitude=40.0, longitude=-80.0)]
    batch = encode_samples(samples, config_of(position_encoder="geoclip"))
    assert seen == [(40.0, -80.0)]
    assert batch.position.shape == (2, 512)
    assert batch.position.sum(dim=1).tolist() == [0, 1024]
    assert batch.has_position.tolist() == [False, True]


def test_the_vocabulary_is_what_training_rows_have_often() -> None:
    rows = [sample(weather=value) for value in ["Sunny", " sunny", "SUNNY", "Fog", "fog", "x", ""]]
    rows += [sample(weather="Light  Rain", daytime="dusk")] * 3
    config = MetadataConfig().fitted(rows)
    assert config.weather_values == ("light rain", "sunny")
    assert config.daytime_values == ("dusk",)
    assert (config.position, config.weather, config.daytime, config.scene, config.text) == (
        0,  # no row has a position, a scene or a text: nothing to learn from
        64,
        64,
        0,
        0,
    )
    assert config.fields == ("weather", "daytime")
    again = from_mapping(
        MetadataConfig, json.loads(json.dumps(dataclasses.asdict(config))), where="bundle"
    )
    assert again == config


def test_fitting_takes_the_width_from_the_text_model() -> None:
    rows = [sample("r1", text="cones", latitude=1.0, longitude=2.0), sample("r2")]
    config = MetadataConfig().fitted(rows, vectors_of("cones"))
    assert (config.position, config.text, config.text_key) == (128, 4, SPEC.key())
    assert config.width == 132
    assert encode_samples(rows, config, vectors_of("cones")).has_text.tolist() == [True, False]
    with pytest.raises(UsageError, match=r"1 rows have a text, 'r1' for one, .* text: 0"):
        MetadataConfig().fitted(rows)
    assert MetadataConfig(text=0).fitted(rows).text == 0


def leaking_manifest(**source_columns: str) -> Manifest:
    """120 rows: text and latitude give the label away, weather does not."""
    random = np.random.default_rng(0)
    rows = []
    for number in range(120):
        label = int(random.random() < 0.4)
        rows.append(
            sample(
                f"s{number}",
                label=label,
                group=f"g{number // 2}",
                latitude=float(random.normal(60.0 if label else 40.0)),
                longitude=float(random.normal()),
                weather=str(random.choice(["sun", "rain"])),
                text="Workers ahead" if label else None,
            )
        )
    return Manifest(rows, Path("data"), source_columns)


def test_leaking_columns_are_refused_with_name_and_figure() -> None:
    manifest = leaking_manifest(text="scene_description")
    with pytest.raises(TrainingError) as caught:
        refuse_leaking(manifest, MetadataConfig())
    message = str(caught.value)
    figures = {leak.field: leak for leak in find_leaks(manifest) if leak.verdict == "leak"}
    assert set(figures) == {"text", "latitude"}
    assert f"text (scene_description): {figures['text'].note}" in message
    assert "tells road work with AUC 1.000" in message
    assert f"latitude: {figures['latitude'].note}" in message
    assert "(position: 0, text: 0)" in message
    assert "allow_leaking: [position, text]" in message
    assert "weather" not in message


def test_a_leak_that_is_allowed_or_not_fed_is_no_error() -> None:
    manifest = leaking_manifest(text="scene_description")
    assert refuse_leaking(manifest, MetadataConfig(text=0, position=0)) == ()
    with pytest.raises(TrainingError, match="latitude") as caught:
        refuse_leaking(manifest, MetadataConfig(allow_leaking=("text",)))
    assert "scene_description" not in str(caught.value)
    both = MetadataConfig(allow_leaking=("text", "position"))
    sentences = refuse_leaking(manifest, both)
    assert len(sentences) == 2
    assert sentences[1].startswith(
        "The model was fed with text (scene_description), which gives the label away: whether it "
        "is missing alone tells road work with AUC 1.000."
    )
    assert "latitude" in sentences[0]
    assert refuse_leaking(manifest, MetadataConfig(text=0, allow_leaking=("position",))) == (
        sentences[0],
    )


def test_columns_that_cannot_be_judged_are_said_in_every_report() -> None:
    """Seven groups are too few to tell, whatever the column says."""
    few = [
        dataclasses.replace(
            row, group=f"drive-{number % 7}", weather="rain" if row.label else "sun"
        )
        for number, row in enumerate(leaking_manifest())
    ]
    manifest = Manifest(few, Path("data"), {})
    (sentence,) = refuse_leaking(manifest, MetadataConfig(position=0, text=0))
    assert sentence.startswith("The model was fed with weather, of which nobody can tell whether")
    assert refuse_leaking(manifest, MetadataConfig(position=0, text=0, weather=0)) == ()


def test_allowing_a_field_that_does_not_leak_says_nothing() -> None:
    config = MetadataConfig(position=0, text=0, allow_leaking=("weather",))
    assert refuse_leaking(leaking_manifest(), config) == ()


def test_geoclip_is_only_loaded_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "geoclip", types.ModuleType("geoclip"))  # would fail if used
    batch = encode_samples([sample(latitude=1.0, longitude=1.0)], config_of())
    assert batch.has_position.all()


@pytest.mark.filterwarnings("ignore:daytime 'dawn' was not seen")
def test_known_says_of_which_images_anything_is_known() -> None:
    config = MetadataConfig(text=0, scene=0, weather_values=("rain",))
    rows = {
        "nothing": ({}, False),
        "a place": ({"latitude": 1.0, "longitude": 2.0}, True),
        "half a place": ({"latitude": 1.0}, False),
        "a category": ({"weather": "rain"}, True),
        "an unknown category": ({"daytime": "dawn"}, True),
        "fields that are off": ({"scene": "city", "text": "cones"}, False),
        "a blank": ({"weather": " "}, False),
    }
    samples = [Sample(name, ImageRef("x.jpg"), **known) for name, (known, _) in rows.items()]
    batch = encode_samples(samples, config)
    assert dict(zip(rows, batch.known().tolist(), strict=True)) == {
        name: expected for name, (_, expected) in rows.items()
    }
    assert no_metadata(2, MetadataConfig()).known().tolist() == [False, False]
