from __future__ import annotations

import pytest

from workzone import errors
from workzone.errors import ImageError, MissingExtraError, WorkzoneError, nearest


def test_nearest_leads_with_the_close_spelling():
    assert nearest("maen", ["mean", "cls"]) == "did you mean 'mean'? allowed: cls, mean"


def test_nearest_gives_no_hint_for_something_else():
    assert nearest("zzzz", ["mean", "cls"]) == "allowed: cls, mean"


def test_nearest_takes_any_iterable_of_names():
    assert nearest("b", iter({"b": 1, "a": 2})) == "did you mean 'b'? allowed: a, b"


def test_image_errors_carry_a_code():
    error = ImageError("truncated", "a.jpg: cut short")
    assert error.code == "truncated"
    assert str(error) == "a.jpg: cut short"


def test_missing_extra_names_what_to_install():
    with pytest.raises(WorkzoneError, match=r"reading it needs the package 'datasets'") as caught:
        raise MissingExtraError("datasets", "huggingface", "reading it")
    assert "pip install 'workzone[huggingface]'" in str(caught.value)


def test_every_error_is_a_workzone_error():
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and kind.__module__ == errors.__name__
    ]
    assert len(kinds) > 8
    assert all(issubclass(kind, WorkzoneError) for kind in kinds)
