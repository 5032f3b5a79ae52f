"""What a detector is told beside the image: which fields, how wide, which categories."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from workzone.errors import TrainingError, UsageError, nearest
from workzone.features.text_spec import clean
from workzone.model.metadata.sphere import GEOCLIP_WIDTH, is_position
from workzone.types import Sample

if TYPE_CHECKING:
    from workzone.data.manifest import Manifest
    from workzone.features.text import TextVectors

FIELD_COLUMNS = {
    "position": ("latitude", "longitude"),
    "weather": ("weather",),
    "daytime": ("daytime",),
    "scene": ("scene",),
    "text": ("text",),
}
"""The fields, in the order of their vectors, and the manifest's columns that they read."""

CATEGORY_FIELDS = ("weather", "daytime", "scene")

MIN_ROWS = 3
"""Training rows that a category must have. Rarer values say which row it is, not what is in it;
they count as unknown, and so teach the model what an unknown value is worth."""


@dataclass(frozen=True, kw_only=True)
class MetadataConfig:
    """Shape of a metadata encoder. A width of 0 switches a field off."""

    position: int = 128
    weather: int = 64
    daytime: int = 64
    scene: int = 64
    text: int = 384  # the text model's width; `fitted` takes it from the vectors
    position_encoder: Literal["fourier", "geoclip"] = "fourier"
    shortest_wavelength: float = 100.0  # km, of the Fourier features: cities, not streets
    weather_values: tuple[str, ...] = ()  # categories, set by `fitted`
    daytime_values: tuple[str, ...] = ()
    scene_values: tuple[str, ...] = ()
    text_key: str = ""  # TextSpec.key() of the text model, set by `fitted`
    allow_leaking: tuple[str, ...] = ()  # fields fed although they give the label away
    field_dropout: float = 0.3  # chance that a field is hidden from a training row, 0..1
    drop_all: float = 0.3  # chance that all fields are, 0..1

    def __post_init__(self) -> None:
        for name in FIELD_COLUMNS:
            if self.width_of(name) < 0:
                raise UsageError(
                    f"the width of {name} is {self.width_of(name)}; use a positive width, "
                    "or 0 to switch the field off"
                )
        for name in ("field_dropout", "drop_all"):
            chance = getattr(self, name)
            if not 0 <= chance <= 1:
                raise UsageError(f"{name} is a chance from 0 to 1, got {chance}")
        if not 0.01 <= self.shortest_wavelength <= 10_000:
            raise UsageError(
                f"shortest_wavelength is {self.shortest_wavelength} km; use 0.01 to 10000 km"
            )
        for name in self.allow_leaking:
            if name not in FIELD_COLUMNS:
                raise UsageError(
                    f"allow_leaking names {name!r}, no field; {nearest(name, FIELD_COLUMNS)}"
                )

    def width_of(self, field: str) -> int:
        """How wide the vector of ``field`` is."""
        return int(getattr(self, field))

    @property
    def position_width(self) -> int:
        """Of a place before it is encoded: a unit vector, or GeoCLIP's embedding."""
        return GEOCLIP_WIDTH if self.position_encoder == "geoclip" else 3

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields that are switched on, in order."""
        return tuple(name for name in FIELD_COLUMNS if self.width_of(name))

    @property
    def width(self) -> int:
        """Of the whole vector; 704 by default."""
        return sum(map(self.width_of, FIELD_COLUMNS))

    def values_of(self, field: str) -> tuple[str, ...]:
        """The categories of ``weather``, ``daytime`` or ``scene``."""
        values: tuple[str, ...] = getattr(self, f"{field}_values")
        return values

    def fitted(
        self, samples: Sequence[Sample], text_vectors: TextVectors | None = None
    ) -> MetadataConfig:
        """The same with what is learned from training rows: categories, and the text's width.

        A field that no row has is switched off: nothing could be learned of it, and a value that
        turned up later would be noise.

        Args:
            samples: training rows only.
            text_vectors: of the text model to use; None where no row has a text.

        Raises:
            UsageError: the text field is on and rows have texts, but there are no vectors.
        """
        with_text = [sample.id for sample in samples if clean(sample.text)] if self.text else []
        if with_text and text_vectors is None:
            raise UsageError(
                f"{len(with_text)} rows have a text, {with_text[0]!r} for one, but there are "
                "no sentence vectors: make them with workzone.features.text.text_vectors, or "
                "switch the field off with text: 0"
            )
        vectors = text_vectors if with_text else None
        placed = any(is_position(sample.latitude, sample.longitude) for sample in samples)
        counts = {
            field: Counter(filter(None, (category(getattr(sample, field)) for sample in samples)))
            for field in CATEGORY_FIELDS
        }
        return dataclasses.replace(
            self,
            position=self.position if placed else 0,
            weather=self.weather if counts["weather"] else 0,
            daytime=self.daytime if counts["daytime"] else 0,
            scene=self.scene if counts["scene"] else 0,
            text=0 if vectors is None else vectors.width,
            weather_values=_common(counts["weather"]) if self.weather else (),
            daytime_values=_common(counts["daytime"]) if self.daytime else (),
            scene_values=_common(counts["scene"]) if self.scene else (),
            text_key="" if vectors is None else vectors.spec.key(),
        )


def category(value: str | None) -> str:
    """A category as it is compared: single spaces, lower case; empty where missing."""
    return clean(value).casefold()


def _common(counts: Counter[str]) -> tuple[str, ...]:
    return tuple(sorted(name for name, rows in counts.items() if rows >= MIN_ROWS))


def refuse_leaking(manifest: Manifest, config: MetadataConfig) -> tuple[str, ...]:
    """Make sure that no field that is fed to the model gives the label away.

    Args:
        manifest: the labelled rows that the model is to learn from.
        config: fields that are off are not looked at.

    Returns:
        Sentences for every report, in red: for each column that leaks and is allowed by name, and
        for each that holds values but could not be judged, for lack of rows or groups.

    Raises:
        TrainingError: columns leak and are not allowed; all of them, each with its figure.
    """
    field_of = {column: field for field, columns in FIELD_COLUMNS.items() for column in columns}
    allowed, refused = [], {}
    from workzone.data.leaks import find_leaks  # scikit-learn: a second of every start

    for leak in find_leaks(manifest):
        field = field_of.get(leak.field)
        if leak.kind != "metadata" or field not in config.fields:
            continue
        if leak.verdict == "too few rows" and leak.distinct:
            allowed.append(
                f"The model was fed with {leak.column}, of which nobody can tell whether it gives "
                "the label away: there are too few labelled rows or groups to learn from. Read the "
                "image-only scores."
            )
        if leak.verdict != "leak":
            continue
        if field in config.allow_leaking:
            allowed.append(
                f"The model was fed with {leak.column}, which gives the label away: {leak.note}. "
                "Its scores say nothing about images without that column; read the image-only ones."
            )
        else:
            refused[leak.column] = (field, leak.note)
    if refused:
        names = sorted({field for field, _ in refused.values()})
        reasons = "; ".join(f"{column}: {note}" for column, (_, note) in refused.items())
        raise TrainingError(
            f"metadata that gives the label away is not fed to a model ({reasons}). Switch the "
            f"field off ({', '.join(f'{name}: 0' for name in names)}), or name it in "
            f"allow_leaking: [{', '.join(names)}], and every report will say so in red"
        )
    return tuple(allowed)
