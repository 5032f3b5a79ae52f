from __future__ import annotations

import dataclasses

import pytest
from rich.cells import cell_len

from workzone.decide.threshold import decision_of
from workzone.report.answer import printable, sentence, shortened, shown_probability, where
from workzone.types import Box, InputsName, Prediction


def prediction(
    probability: float,
    box: Box = (0.0, 0.4, 0.1, 0.5),
    inputs: InputsName = "image",
) -> Prediction:
    return Prediction(
        "id", probability, decision_of(probability), 0, 1.0, box, inputs, "torch", "float32"
    )


def test_the_answer_is_a_sentence() -> None:
    yes = sentence("street.jpg", prediction(0.931))
    assert yes == "street.jpg: road work, 0.93, strongest at the left edge"
    assert sentence("street.jpg", prediction(0.04)) == "street.jpg: no road work, 0.04"


def test_a_decision_names_the_objects_that_were_found() -> None:
    told = sentence("a", prediction(0.931), objects="4 cones, 1 sign, on the right")
    assert told == ("a: road work, 0.93, strongest at the left edge; 4 cones, 1 sign, on the right")
    assert sentence("a", prediction(0.04), objects="") == "a: no road work, 0.04; no object found"


def test_it_says_why_it_may_be_wrong() -> None:
    warned = dataclasses.replace(prediction(0.04), reason="the picture is black")
    assert sentence("a", warned) == "a: no road work, 0.04, in doubt: the picture is black"
    unsure = dataclasses.replace(warned, decision="unsure")
    assert sentence("a", unsure) == "a: unsure, 0.04, the picture is black"


def test_it_says_what_was_looked_at_where_that_may_differ() -> None:
    both = sentence("a", prediction(0.04, inputs="image+metadata"), takes_metadata=True)
    assert both == "a: no road work, 0.04, from the image and its metadata"
    alone = sentence("a", prediction(0.04), takes_metadata=True)
    assert alone == "a: no road work, 0.04, from the image alone"


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ((0, 0, 1, 1), "in the whole frame"),
        ((0.03, 0.02, 0.98, 1), "in the whole frame"),
        ((0, 0.4, 0.1, 0.5), "at the left edge"),
        ((0.9, 0.4, 1, 0.5), "at the right edge"),
        ((0.1, 0.4, 0.2, 0.5), "on the left"),
        ((0.7, 0.4, 0.9, 0.5), "on the right"),
        ((0.4, 0.4, 0.6, 0.6), "in the centre"),
        ((0.4, 0, 0.6, 0.2), "at the top edge"),
        ((0.4, 0.7, 0.6, 0.9), "at the bottom"),
        ((0, 0, 0.5, 0.5), "at the top left"),
        ((0.7, 0.7, 1, 1), "at the bottom right"),
        ((0, 0.6, 1, 1), "along the bottom"),
        ((0, 0.3, 1, 0.7), "across the middle"),
        ((0, 0, 0.3, 1), "along the left"),
        ((0.4, 0, 0.6, 1), "in the middle, from top to bottom"),
    ],
)
def test_places_in_plain_words(box: Box, words: str) -> None:
    assert where(box) == words


@pytest.mark.parametrize(
    ("probability", "text"),
    [
        (0.93, "0.93"),
        (0.5, "0.50"),
        (0.496, "0.50"),
        (0.5004, "0.5004"),
        (0.50000001, "just above 0.5"),
        (0.997, "0.997"),
        (0.9999999, "above 0.9999"),
        (0.0004, "0.0004"),
        (0.0, "below 0.0001"),
    ],
)
def test_a_number_never_reads_as_certain_or_as_the_other_decision(
    probability: float, text: str
) -> None:
    assert shown_probability(probability) == text


def test_a_name_cannot_break_the_line_or_move_the_cursor() -> None:
    assert printable("a\nb\x1b[2Jé道.jpg") == "a\\nb\\x1b[2Jé道.jpg"


@pytest.mark.parametrize("width", [8, 10, 20, 40])
@pytest.mark.parametrize(
    "name", ["drives/2024-05-01/city/frame_000123.jpg", "道路工事" * 20, "a.jpg"]
)
def test_a_name_is_cut_in_its_middle(name: str, width: int) -> None:
    short = shortened(name, width)
    assert cell_len(short) <= width
    assert short == name or ("…" in short and name.endswith(short.rpartition("…")[2]))


def test_the_name_of_the_file_stays_whole_where_it_fits() -> None:
    assert shortened("drives/2024-05-01/frame_000123.jpg", 20) == "dr…/frame_000123.jpg"
