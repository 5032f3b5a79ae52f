from __future__ import annotations

import pytest

from workzone import progress
from workzone.progress import bar, track


@pytest.fixture
def shown(monkeypatch):
    monkeypatch.setattr(progress, "enabled", True)
    monkeypatch.setattr(progress, "PATIENCE", -1.0)


def test_a_library_call_shows_nothing(capsys, monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE", -1.0)
    assert progress.enabled is False
    assert list(track("abc", "reading")) == ["a", "b", "c"]
    assert capsys.readouterr() == ("", "")


def test_short_work_shows_nothing(capsys, monkeypatch):
    monkeypatch.setattr(progress, "enabled", True)
    assert list(track("abc", "reading")) == ["a", "b", "c"]
    assert capsys.readouterr() == ("", "")


def test_long_work_shows_name_and_count_on_standard_error(capsys, shown):
    assert list(track("abc", "reading")) == ["a", "b", "c"]
    out, err = capsys.readouterr()
    assert out == ""
    assert "reading" in err
    assert "3/3" in err


def test_the_total_of_an_iterator_can_be_told(capsys, shown):
    assert list(track(iter("ab"), "reading", total=4)) == ["a", "b"]
    assert "2/4" in capsys.readouterr().err


def test_an_unknown_total_is_shown_as_such(capsys, shown):
    assert list(track(iter("ab"), "reading")) == ["a", "b"]
    assert "2/?" in capsys.readouterr().err


def test_a_bar_is_advanced_by_hand(capsys, shown):
    with bar("extracting", 10) as handle:
        assert not handle.shown
        handle.advance(4)
        assert handle.shown
        handle.advance(3)
    assert "7/10" in capsys.readouterr().err


def test_a_bar_ends_with_an_error_of_the_work(capsys, shown):
    with pytest.raises(ZeroDivisionError), bar("extracting", 2) as handle:
        handle.advance()
        raise ZeroDivisionError
    assert "1/2" in capsys.readouterr().err


def test_stopping_early_ends_the_bar(capsys, shown):
    items = track("abc", "reading")
    next(items), next(items)
    items.close()
    assert "1/3" in capsys.readouterr().err
