"""Which rows an epoch sees, and how often: weights that multiply, and a seeded draw by them."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet

from workzone.data.places import positions
from workzone.errors import TrainingError, UsageError, nearest
from workzone.train.feed.examples import Rows
from workzone.train.feed.regions import Region, make_region, read_region
from workzone.types import Sample

Floats = npt.NDArray[np.float64]

BANDS = (50.0, 200.0, 500.0)
"""Upper ends of the distance bands, km; a distance on an end belongs to the nearer band."""

BAND_WEIGHTS = (5.0, 2.5, 1.0, 0.3)
"""Of the bands, and of what lies beyond the last."""

TOP_GROUPS = 5
"""Groups that the table names."""


@dataclass(frozen=True, kw_only=True)
class SamplingConfig:
    """What makes a row likelier to be drawn; by default all rows are alike."""

    class_balance: bool = False  # half of what is drawn has road work
    group_balance: bool = False  # a row weighs 1 / sqrt(rows of its group)
    source_balance: float = 0.0  # a row weighs (rows of its source and label) ** -this, 0..1
    source_weights: Mapping[str, float] = field(default_factory=dict)  # factors by source's name
    region: str | None = None  # file of the target region: .geojson, .json or .csv
    region_points: tuple[tuple[float, float], ...] = ()  # or its points: latitude, longitude
    hard_examples: str | None = None  # file that `workzone predict` wrote: .csv, .jsonl, .parquet
    hardness: float = 3.0  # a row weighs 1 + hardness * |label - probability|

    def __post_init__(self) -> None:
        mistakes = []
        if self.region is not None and self.region_points:
            mistakes.append("region and region_points exclude each other; give one of them")
        if not 0 < self.hardness <= 100:  # NaN is in no range
            mistakes.append(f"hardness={self.hardness}, allowed: above 0, to 100")
        if not 0 <= self.source_balance <= 1:
            mistakes.append(f"source_balance={self.source_balance}, allowed: 0 to 1")
        for name, weight in self.source_weights.items():
            if not 0 < weight <= 1000:
                mistakes.append(f"source_weights.{name}={weight}, allowed: above 0, to 1000")
        if mistakes:
            raise UsageError(f"sampling: {'; '.join(mistakes)}")

    def check_sources(self, samples: Sequence[Sample]) -> None:
        """Make sure that each weighted source is in the data.

        Raises:
            UsageError: one is not, with the nearest right spelling.
        """
        sources = sorted({sample.source for sample in samples if sample.source})
        for name in self.source_weights:
            if name not in sources:
                raise UsageError(
                    f"sampling.source_weights: no row to learn from has the source {name!r}; "
                    + (nearest(name, sources) if sources else "no row names a source")
                )

    def target_region(self) -> Region | None:
        """The region that the model is meant for; None: none was declared.

        Raises:
            UsageError: it cannot be read, or has a place that is not on the globe.
        """
        if self.region is not None:
            return read_region(Path(self.region))
        return make_region(self.region_points) if self.region_points else None


@dataclass(frozen=True, kw_only=True)
class SamplingWeights:
    """How likely each row is drawn, and what made it so."""

    weights: Floats  # [n], positive, mean 1
    factors: Mapping[str, Floats]  # by name, each [n]; their product is the weights, up to scale
    samples: Sequence[Sample]
    kilometres: Floats | None = None  # [n] to the region, NaN without a position

    def describe(self) -> list[tuple[str, str, str]]:
        """What the weights come to.

        Returns:
            rows of a table: what, as it is in the data, as it is drawn. The effective sample size
            is Kish's ``(sum w)**2 / sum w**2``, the size of an unweighted sample that estimates a
            mean as well; the groups are those drawn most.
        """
        n = len(self.weights)
        effective = self.weights.sum() ** 2 / np.square(self.weights).sum()
        table = [("effective rows", str(n), f"{effective:.0f}")]
        labels = np.array([s.label == 1 for s in self.samples])
        table.append(self._shares("road work", labels))
        if self.kilometres is not None:
            ends = ("0", *(f"{end:g}" for end in BANDS))
            bands = [f"{a} to {b} km" for a, b in itertools.pairwise(ends)]
            band = _bands(self.kilometres)
            for number, name in enumerate([*bands, f"beyond {ends[-1]} km", "no position"]):
                table.append(self._shares(name, band == number))
        if self.factors.keys() & {"source size", "source"}:
            named = np.array([s.source or "not named" for s in self.samples])
            for name in np.unique(named):
                table.append(self._shares(f"source {name}", named == name))
        groups = np.array([s.group or "" for s in self.samples])
        names, which = np.unique(groups, return_inverse=True)
        shares = np.bincount(which, self.weights) * (names != "")
        for number in np.argsort(-shares, kind="stable")[:TOP_GROUPS]:
            if shares[number]:
                table.append(self._shares(f"group {names[number]}", which == number))
        return table

    def _shares(self, name: str, chosen: npt.NDArray[np.bool_]) -> tuple[str, str, str]:
        drawn = self.weights[chosen].sum() / self.weights.sum()
        return name, f"{chosen.mean():.1%}", f"{drawn:.1%}"


def sampling_weights(
    samples: Sequence[Sample],
    config: SamplingConfig,
    *,
    test_samples: Sequence[Sample] = (),
) -> SamplingWeights:
    """Weigh training rows.

    - Groups: ``1 / sqrt(rows of the group)``, so that a group of n weighs sqrt(n) in all. At equal
      weight per row a drive of thousands of frames drowns the others; at equal weight per group
      (1 / n) a lone photograph counts as much as the whole drive, though frames of one drive
      differ too. A row without a group is a group of its own.
    - Sources: ``n ** -source_balance`` for each of the n rows of one source and label, so that a
      large collection does not drown the others, and ``source_weights`` by name, such as less for
      drawn scenes than for photographs. Rows without a source count as one source.
    - Region: `BAND_WEIGHTS` by the distance to it; 1 without a position.
    - Hard examples: ``1 + hardness * |label - probability|``; 1 without a prediction.
    - Classes come last: with the other factors applied, either class has half of the weight.

    Args:
        samples: labelled.
        config: which of these.
        test_samples: rows of the test split, only to make sure that the region is not theirs.

    Raises:
        TrainingError: no rows, a row without a label, one class only where classes are balanced,
            or a region taken from test rows.
        UsageError: a file of the configuration cannot be used.
    """
    if not samples:
        raise TrainingError("no rows to draw from: give the manifest labelled training rows")
    if unlabelled := next((s.id for s in samples if s.label is None), None):
        raise TrainingError(
            f"row {unlabelled!r} has no label; leave rows without a label out of training"
        )
    labels = np.array([s.label for s in samples])
    factors: dict[str, Floats] = {}
    kilometres = None
    if config.group_balance:
        factors["group"] = 1 / np.sqrt(_group_sizes(samples))
    if config.source_balance:
        sources = Counter((s.source, s.label) for s in samples)
        sizes = np.array([sources[s.source, s.label] for s in samples], dtype=np.float64)
        factors["source size"] = sizes**-config.source_balance
    if config.source_weights:
        told = config.source_weights
        factors["source"] = np.array([told.get(s.source or "", 1.0) for s in samples])
    region = config.target_region()
    if region is not None:
        region.refuse_test_rows(test_samples)
        kilometres = np.full(len(samples), np.nan)
        rows, degrees = positions(samples)
        kilometres[rows] = region.distances(degrees) / 1000
        factors["region"] = np.array([*BAND_WEIGHTS, 1.0])[_bands(kilometres)]
    if config.hard_examples is not None:
        probabilities = _predicted(Path(config.hard_examples), samples)
        errors = np.nan_to_num(np.abs(labels - probabilities), nan=0.0)
        factors["hard examples"] = 1 + config.hardness * errors
    weights = np.prod([np.ones(len(samples)), *factors.values()], axis=0)
    if config.class_balance:
        sums = np.bincount(labels, weights, minlength=2)
        if not sums.all():
            raise TrainingError(
                f"class_balance needs both classes, but all {len(samples)} rows have the label "
                f"{labels[0]}: check the split, or leave class_balance out"
            )
        factors["class"] = (sums.sum() / (2 * sums))[labels]
        weights = weights * factors["class"]
    return SamplingWeights(
        weights=weights / weights.mean(), factors=factors, samples=samples, kilometres=kilometres
    )


def draw(weights: Floats, *, seed: int, epoch: int, count: int | None = None) -> Rows:
    """The rows of one epoch, in the order in which they are trained on.

    Systematic sampling (Madow & Madow 1944): a row of expected count c is drawn either floor(c) or
    ceil(c) times, c in the mean; with equal weights an epoch is every row once. It depends on the
    arguments alone: draw it in every process and take of each batch that process's part, such as
    ``batch[rank::processes]``.

    Args:
        weights: ``[n]``, positive, of any scale.
        seed: of the run, 0 or more.
        epoch: its number, 0 or more.
        count: how many to draw; None: n.

    Returns:
        row numbers, int64 ``[count]``.
    """
    random = np.random.default_rng([seed, epoch])
    count = len(weights) if count is None else count
    shuffled = random.permutation(len(weights))  # or neighbours would seldom be drawn together
    ends = np.cumsum(weights[shuffled])
    ticks = (np.arange(count) + random.uniform()) * (ends[-1] / count)
    drawn = shuffled[np.minimum(np.searchsorted(ends, ticks, side="right"), len(ends) - 1)]
    return random.permutation(drawn).astype(np.int64)


def _bands(kilometres: Floats) -> Rows:
    """0, 1, 2 for `BANDS`, 3 beyond them, 4 for NaN: no position."""
    bands = np.searchsorted(BANDS, kilometres, side="left").astype(np.int64)
    bands[np.isnan(kilometres)] = len(BAND_WEIGHTS)
    return bands


def _group_sizes(samples: Sequence[Sample]) -> Floats:
    groups = [("group", s.group) if s.group else ("row", str(n)) for n, s in enumerate(samples)]
    sizes = Counter(groups)
    return np.array([sizes[group] for group in groups], dtype=np.float64)


def _predicted(path: Path, samples: Sequence[Sample]) -> Floats:
    """Probabilities of road work from a file of predictions, by id, ``[n]``; NaN where none is."""
    table = _read_predictions(path)
    for wanted in ("id", "probability"):
        if wanted not in table.column_names:
            raise UsageError(
                f"the predictions {path} have no column {wanted!r}, but "
                f"{', '.join(table.column_names)}; give a file that `workzone predict` wrote"
            )
    found: dict[str, float] = {}
    ids, values = table["id"].to_pylist(), table["probability"].to_pylist()
    for row, (name, value) in enumerate(zip(ids, values, strict=True)):
        if not isinstance(value, int | float) or not 0 <= value <= 1:
            raise UsageError(
                f"the predictions {path}, row {row} ({name!r}): probability {value!r}, allowed: "
                "0 to 1; predict again"
            )
        if str(name) in found:
            raise UsageError(
                f"the predictions {path} hold {name!r} twice; give those of one manifest"
            )
        found[str(name)] = value
    if not any(s.id in found for s in samples):
        raise UsageError(
            f"the predictions {path} are of other rows: none has an id of the training rows, such "
            f"as {samples[0].id!r}; run `workzone predict` on the manifest you train on"
        )
    return np.array([found.get(s.id, np.nan) for s in samples])


def _read_predictions(path: Path) -> pa.Table:
    texts = pa.schema([("id", pa.string())])  # ids may look like numbers or times
    try:
        if path.suffix == ".parquet":
            return pa.parquet.read_table(path)
        if path.suffix == ".csv":
            options = pa.csv.ConvertOptions(column_types=texts)
            return pa.csv.read_csv(path, convert_options=options)
        if path.suffix == ".jsonl":
            return pa.json.read_json(path, parse_options=pa.json.ParseOptions(texts))
    except (OSError, pa.ArrowInvalid) as error:
        raise UsageError(f"cannot read the predictions {path}: {error}") from error
    hint = nearest(path.suffix, (".csv", ".jsonl", ".parquet"))
    raise UsageError(f"cannot tell the format of the predictions {path}; {hint}")
