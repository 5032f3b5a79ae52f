"""Does a column beside the image give the label away?

A model that is fed with such a column scores near 1.0 on paper and nothing in the field. Every
column is scored alone, by its values and by where it is missing, with a cross-validated area under
the ROC curve (AUC): the chance that a road-work row is ranked above another one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

import numpy as np
import numpy.typing as npt
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from sklearn.pipeline import make_pipeline

from workzone.data.manifest import METADATA_FIELDS, Manifest

LEAK = 0.90
SUSPICIOUS = 0.75

Kind = Literal["metadata", "extra", "image", "identity"]
Verdict = Literal["leak", "suspicious", "fine", "too few rows", "identity"]
Value = str | float | None

FOLDS = 5
MIN_ROWS = 20
"""Rows of each label below which no verdict is given."""
MIN_GROUPS = 10
"""Groups that hold each label, likewise: rows of one group are no independent evidence."""

_IDENTITY = ("group", "source")
_SMOOTHING = 10.0  # rows that the overall share counts for in a category's share
_FREE_TEXT = 3.0  # words a value on average, from which a text is scored by its words too
_DETERMINED = 0.9  # Goodman and Kruskal's lambda at which a column follows from another

Labels = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float64]
Encoder = Callable[[list[Value], Labels, list[Value]], Scores]
"""From training values, their labels, and test values to scores of the test values."""


@dataclass(frozen=True)
class _Rows:
    """The labelled rows that columns are scored on."""

    labels: Labels
    folds: Labels | None
    sources: list[str | None]


@dataclass(frozen=True, slots=True)
class ColumnLeak:
    """How well one column alone tells the label.

    ``field`` is the name in the manifest, ``column`` the name for people, with that of the source:
    ``text (scene_description)``. The AUCs are None where there are too few rows.
    """

    field: str
    column: str
    kind: Kind
    verdict: Verdict
    value_auc: float | None  # 0.5..1, among the rows that have a value
    missing_auc: float | None  # 0.5..1, of "is missing"
    missing: float  # share of the labelled rows, 0..1
    distinct: int  # different values
    note: str  # what the verdict rests on, a plain sentence


def find_leaks(
    manifest: Manifest, *, image_columns: Mapping[str, Sequence[float | None]] | None = None
) -> tuple[ColumnLeak, ...]:
    """Score every column of the labelled rows, worst first.

    Scored are the metadata fields, the source's other columns, what ``image_columns`` adds
    (numbers in manifest order, such as the width of each image), and, as ``identity`` and never as
    a leak of their own, ``group`` and ``source``. ``split`` is left out.

    Five folds keep the rows of one group together. Categories become their smoothed share of road
    work in the other folds (target encoding; Micci-Barreca 2001), so that file names and other
    nearly unique values count for nothing; numbers count by their value or by decile, free text
    by its words (logistic regression on TF-IDF), whichever tells more.
    """
    labelled = [index for index, sample in enumerate(manifest) if sample.label is not None]
    samples = [manifest.samples[index] for index in labelled]
    labels = np.array([sample.label for sample in samples], dtype=np.int64)
    folds = make_folds(labels, [sample.group for sample in samples])
    row_folds = make_folds(labels, [None] * len(samples))
    rows = _Rows(labels, folds, [sample.source for sample in samples])

    found = []
    for field in METADATA_FIELDS:
        values = [_value(getattr(sample, field)) for sample in samples]
        found.append(_judge(field, "metadata", values, rows))
    for key in sorted({key for sample in samples for key in sample.extra}):
        texts = [_value(sample.extra.get(key)) for sample in samples]
        found.append(_judge(key, "extra", _numbers(texts), rows))
    for name, numbers in (image_columns or {}).items():
        found.append(_judge(name, "image", [numbers[index] for index in labelled], rows))
    for field in _IDENTITY:
        values = [_value(getattr(sample, field)) for sample in samples]
        found.append(_identity(field, values, labels, row_folds))
    named = [_with_source_name(leak, manifest.source_columns) for leak in found]
    return tuple(sorted(named, key=_badness))


def _value(value: object) -> Value:
    """A cell as a number or a text; blank text is missing."""
    if value is None:
        return None
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, int | float):
        return float(value) if np.isfinite(value) else None
    return str(value).strip() or None


def _numbers(values: list[Value]) -> list[Value]:
    """A column of texts as numbers where all of them are."""
    try:
        numbers = [None if value is None else float(value) for value in values]
    except ValueError:
        return values
    finite = all(number is None or np.isfinite(number) for number in numbers)
    return list(numbers) if finite else values


def _judge(field: str, kind: Kind, values: list[Value], rows: _Rows) -> ColumnLeak:
    missing = np.array([value is None for value in values], dtype=np.float64)
    value_auc = missing_auc = None
    if rows.folds is not None:
        value_auc = cross_validated_auc(values, rows.labels, rows.folds)
        missing_auc = cross_validated_auc(missing.tolist(), rows.labels, rows.folds)
    best = max((auc for auc in (value_auc, missing_auc) if auc is not None), default=None)
    verdict: Verdict
    if best is None:
        verdict, note = "too few rows", "too few labelled rows or groups to tell"
    elif best >= SUSPICIOUS:
        verdict = "leak" if best >= LEAK else "suspicious"
        how = "whether it is missing" if best == missing_auc else "its value"
        note = f"{how} alone tells road work with AUC {best:.3f}"
    elif missing.all():
        verdict, note = "fine", "no row has a value"
    else:
        verdict, note = "fine", f"no better than AUC {best:.3f} alone"
    follows, stands = _against_source(values, rows)
    if stands:
        verdict = "leak"
        note += "; it stands for the source data set, and each source holds one label"
    elif follows and verdict in ("leak", "suspicious"):
        note += "; it follows from the source data set, not from the scene"
    distinct = len({value for value in values if value is not None})
    share = float(missing.mean()) if len(missing) else 0.0
    return ColumnLeak(field, field, kind, verdict, value_auc, missing_auc, share, distinct, note)


def _against_source(values: list[Value], rows: _Rows) -> tuple[bool, bool]:
    """Whether a column (or its absence) follows from the source; whether it stands for it.

    The second means: each gives the other, and each source holds one label. Folds by group cannot
    see that where a source is a single group, so it is asked of the rows directly.
    """
    labels, sources = rows.labels, rows.sources
    if len(set(sources)) * _SMOOTHING > len(sources):
        return False, False  # so many sources that anything would follow from them
    for column in (values, [value is None for value in values]):
        if _determined(column, sources) >= _DETERMINED:
            one_label_each = _determined(labels.tolist(), sources) >= _DETERMINED
            few = len(set(column)) <= 2 * len(set(sources))
            return True, one_label_each and few and _determined(sources, column) >= _DETERMINED
    return False, False


def _determined(column: Sequence[object], by: Sequence[object]) -> float:
    """Goodman and Kruskal's lambda (1954): the share of wrong guesses that knowing ``by`` saves."""
    within: dict[object, Counter[object]] = defaultdict(Counter)
    for value, given in zip(column, by, strict=True):
        within[given][value] += 1
    right = sum(max(counts.values()) for counts in within.values())
    right_blindly = max(Counter(column).values(), default=0)
    wrong_blindly = len(column) - right_blindly
    return (right - right_blindly) / wrong_blindly if wrong_blindly else 0.0


def _identity(field: str, values: list[Value], labels: Labels, folds: Labels | None) -> ColumnLeak:
    auc = None if folds is None else cross_validated_auc(values, labels, folds)
    kinds: dict[Value, set[int]] = {}
    for value, label in zip(values, labels.tolist(), strict=True):
        kinds.setdefault(value, set()).add(label)
    kinds.pop(None, None)
    single = sum(len(of_it) == 1 for of_it in kinds.values())
    note = f"{single} of {len(kinds)} hold one label only" if kinds else "not given"
    share = sum(value is None for value in values) / max(1, len(values))
    return ColumnLeak(field, field, "identity", "identity", auc, None, share, len(kinds), note)


def _with_source_name(leak: ColumnLeak, source_columns: Mapping[str, str]) -> ColumnLeak:
    source = source_columns.get(leak.field)
    if source is None or source == leak.field:
        return leak
    return replace(leak, column=f"{leak.field} ({source})")


def _badness(leak: ColumnLeak) -> tuple[int, float, str]:
    order = ("leak", "suspicious", "fine", "too few rows", "identity")
    best = max(leak.value_auc or 0.0, leak.missing_auc or 0.0)
    return order.index(leak.verdict), -best, leak.column


def make_folds(labels: Labels, groups: Sequence[str | None]) -> Labels | None:
    """A fold number 0..4 for each row, groups kept whole; None where there are too few rows.

    A row without a group is a group of its own.
    """
    units = np.array([f"g{group}" if group else f"r{row}" for row, group in enumerate(groups)])
    for label in (0, 1):
        of_label = units[labels == label]
        if len(of_label) < MIN_ROWS or len(np.unique(of_label)) < MIN_GROUPS:
            return None
    grouped = any(groups)
    splitter = (StratifiedGroupKFold if grouped else StratifiedKFold)(
        FOLDS, shuffle=True, random_state=0
    )
    folds = np.zeros(len(labels), dtype=np.int64)
    for number, (_, test) in enumerate(splitter.split(units, labels, units if grouped else None)):
        folds[test] = number
    return folds


def cross_validated_auc(values: Sequence[Value], labels: Labels, folds: Labels) -> float | None:
    """AUC of the best encoding of a column, among the rows that have a value.

    Each encoding is fitted on four folds and scored on the fifth; folds count by their pairs of
    unlike rows. Values below 0.5 (worse than chance) are 0.5. None with fewer than `MIN_ROWS` of
    either label.
    """
    present = np.array([value is not None for value in values], dtype=bool)
    if min(np.bincount(labels[present], minlength=2)) < MIN_ROWS:
        return None
    aucs = [
        _auc_of_encoder(encode, values, labels, np.where(present, folds, -1))
        for encode in _encoders([value for value in values if value is not None])
    ]
    return max([0.5, *(auc for auc in aucs if auc is not None)])


def _auc_of_encoder(
    encode: Encoder, values: Sequence[Value], labels: Labels, folds: Labels
) -> float | None:
    total = weight = 0.0
    for fold in range(FOLDS):
        train = np.flatnonzero((folds >= 0) & (folds != fold)).tolist()
        test = np.flatnonzero(folds == fold).tolist()
        positive = int(labels[test].sum())
        pairs = positive * (len(test) - positive)
        if not pairs or len(set(labels[train].tolist())) < 2:
            continue
        scores = encode([values[i] for i in train], labels[train], [values[i] for i in test])
        total += pairs * float(roc_auc_score(labels[test], scores))
        weight += pairs
    return total / weight if weight else None


def _encoders(values: Sequence[Value]) -> list[Encoder]:
    if all(isinstance(value, float) for value in values):
        return [_by_number, _by_decile]
    words = np.mean([len(str(value).split()) for value in values])
    return [_by_category, _by_words] if words >= _FREE_TEXT else [_by_category]


def _by_category(train: list[Value], labels: Labels, test: list[Value]) -> Scores:
    prior = float(labels.mean())
    rows = Counter(train)
    positives = Counter(value for value, label in zip(train, labels, strict=True) if label)
    share = {
        value: (positives[value] + _SMOOTHING * prior) / (count + _SMOOTHING)
        for value, count in rows.items()
    }
    return np.array([share.get(value, prior) for value in test])


def _by_number(train: list[Value], labels: Labels, test: list[Value]) -> Scores:
    rising = roc_auc_score(labels, np.array(train, dtype=np.float64)) >= 0.5
    return np.array(test, dtype=np.float64) * (1 if rising else -1)


def _by_decile(train: list[Value], labels: Labels, test: list[Value]) -> Scores:
    numbers = np.array(train, dtype=np.float64)
    edges = np.unique(np.quantile(numbers, np.linspace(0.1, 0.9, 9)))
    in_train, in_test = (
        np.searchsorted(edges, part).astype(np.float64).tolist()
        for part in (numbers, np.array(test, dtype=np.float64))
    )
    return _by_category(in_train, labels, in_test)


def _by_words(train: list[Value], labels: Labels, test: list[Value]) -> Scores:
    model = make_pipeline(
        TfidfVectorizer(max_features=5000),
        LogisticRegression(class_weight="balanced", max_iter=500),
    )
    model.fit([str(value) for value in train], labels)
    scores: Scores = model.decision_function([str(value) for value in test])
    return scores
