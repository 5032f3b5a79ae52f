"""Text, labels and splits in the spellings that data sets use."""

from __future__ import annotations

import math

import pytest

from workzone.data.sources.values import (
    FieldError,
    as_number,
    as_tag,
    as_text,
    as_word,
    is_read_split,
    label_hint,
    parse_label,
    parse_split,
    quoted,
    split_of_path,
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *(
            (v, 1)
            for v in (1, 1.0, True, "1", "1.0", "1,0", "Yes", "TRUE", "road-work", "Road Work")
        ),
        *((v, 0) for v in (0, 0.0, False, "0", "no", "False", "none", "no_roadwork", "Negative")),
        *((v, None) for v in (None, "", " ", math.nan, "NaN", "n/a")),
    ],
)
def test_labels(value, expected):
    assert parse_label(value) == expected


@pytest.mark.parametrize("value", [2, -1, 0.5, "maybe", "roadwrok"])
def test_unknown_labels(value):
    with pytest.raises(
        FieldError, match=f"label '{value}' is unknown; .*write 1 or roadwork, 0 or none"
    ) as caught:
        parse_label(value)
    assert caught.value.code == "label-unknown"


def test_unknown_label_names_the_nearest():
    with pytest.raises(FieldError, match="did you mean 'roadwork'"):
        parse_label("roadwrok")
    assert [label_hint(word) for word in ("noroadwrok", "fasle", "constructoin")] == [
        *(f"did you mean {label!r}? " for label in ("noroadwork", "false", "construction"))
    ]


@pytest.mark.parametrize(
    "value",
    [
        *("under construction", "new roadwork", "without construction", "roadwork free"),
        *("reconstruct", "on", "-1", "-0"),
    ],
)
def test_a_word_that_may_mean_the_opposite_is_not_suggested(value):
    with pytest.raises(FieldError) as caught:
        parse_label(value)
    assert "did you mean" not in str(caught.value)


def test_minus_one_is_told_to_mean_two_things():
    for value in (-1, "-1", -1.0, "-1.0"):
        with pytest.raises(FieldError, match=r"stands for no label in some .* leave .* empty"):
            parse_label(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (12.0, "12"),
        (12.5, "12.5"),
        (" a ", "a"),
        (["Partially Blocked", None, "Lane Shift"], "Partially Blocked, Lane Shift"),
        ([], None),
        (math.nan, None),
        ({"a": 1}, '{"a": 1}'),
        (False, "False"),
        (0, "0"),
    ],
)
def test_as_text(value, expected):
    assert as_text(value) == expected


def test_splits():
    assert [parse_split(s) for s in ("Training", "validation", "test", "fold-3", None)] == [
        *("train", "val", "test", "fold-3", None)
    ]
    assert split_of_path(("data", "train-00000-of-00002.parquet")) == "train"
    assert split_of_path(("validation", "0000.parquet")) == "val"
    assert split_of_path(("latest.parquet",)) is None  # not the "test" in it


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("['Sunny']", "Sunny"),
        ('["Sunny", "Rain"]', "Sunny, Rain"),
        ("['Sunny' 'Rain']", "Sunny, Rain"),  # as NumPy writes it
        ("('Sunny',)", "Sunny"),
        ("[Sunny, Light Rain]", "Sunny, Light Rain"),
        ("[\"driver's view\", 'Rain']", "driver's view, Rain"),
        ("[]", None),
        ("array(['Sunny'], dtype=object)", "Sunny"),
        ("array(['Sunny', 'Rain'],\n      dtype='<U5')", "Sunny, Rain"),
        ("[array(['Sunny'], dtype=object), array(['Rain'])]", "Sunny, Rain"),
        ("np.array([])", None),
        ("[['Sunny']]", "Sunny"),
        ("[['Sunny'], ['Rain']]", "Sunny, Rain"),
        ("[[Sunny],[Rain]]", "Sunny, Rain"),
        ("[[]]", None),
        ("Sunny,", "Sunny"),
        ("Sunny, Rain,", "Sunny, Rain"),
        ("[Sunny,]", "Sunny"),
        ("array([1, 2])", "array([1, 2])"),
        ("[[1, 2], [3]]", "[[1, 2], [3]]"),
        ("['None']", "None"),
        (["None"], "None"),
        ("[1, 2]", "[1, 2]"),
        ("[Sunny", "[Sunny"),
        ("Sunny", "Sunny"),
    ],
)
def test_lists_in_text_are_the_words_of_the_list(text, expected):
    assert as_tag(text) == expected


def test_words_numbers_and_long_values():
    assert [as_word(value) for value in ("None", "none", None, "a", 0)] == [
        *(None, None, None, "a", "0")
    ]
    assert [as_number(text) for text in ("000002", "2.0", "2.5", "a2", "-1")] == [
        *(2, 2, None, None, None)
    ]
    assert quoted("x" * 61) == repr("x" * 57 + "...")
    with pytest.raises(FieldError) as caught:
        parse_label("x" * 100_000)
    assert len(str(caught.value)) < 200


def test_folds():
    assert [parse_split(text) for text in ("Fold 1", "fold_02", "cv-fold-3", "1")] == [
        *("fold-1", "fold-2", "fold-3", "1")
    ]
    assert [parse_split(text, folds=True) for text in ("0", "1.0", "test", "-1")] == [
        *("fold-0", "fold-1", "test", "-1")
    ]
    names = ("train", "val", "test", "fold-12", "not-fold-0", "1", "holdout")
    assert [is_read_split(name) for name in names] == [True] * 5 + [False] * 2
