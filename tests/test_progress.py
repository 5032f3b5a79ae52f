from __future__ import annotations

import io
import sys
import threading
from collections.abc import Iterable, Iterator

import pytest

from workzone import progress
from workzone.progress import bar, track


@pytest.fixture
def shown(monkeypatch):
    monkeypatch.setattr(progress, "enabled", True)
    monkeypatch.setattr(progress, "PATIENCE", 0.0)


def waiting_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("bar: ")]


def outlast_patience() -> None:
    for thread in waiting_threads():
        thread.join()


def slow(items: Iterable[str]) -> Iterator[str]:
    """Items each of which takes longer than `PATIENCE`."""
    for item in items:
        outlast_patience()
        yield item


def test_a_library_call_shows_nothing(capsys, monkeypatch):
    monkeypatch.setattr(progress, "PATIENCE", 0.0)
    assert progress.enabled is False
    for item in track("abc", "reading"):
        assert item in "abc"
        assert not waiting_threads()
    assert capsys.readouterr() == ("", "")


def test_short_work_shows_nothing(capsys, monkeypatch):
    monkeypatch.setattr(progress, "enabled", True)
    assert list(track("abc", "reading")) == ["a", "b", "c"]
    assert capsys.readouterr() == ("", "")
    assert not waiting_threads()


def test_long_work_shows_name_and_count_on_standard_error(capsys, shown):
    assert list(track(slow("abc"), "reading", total=3)) == ["a", "b", "c"]
    out, err = capsys.readouterr()
    assert out == ""
    assert "reading" in err
    assert "3/3" in err


def test_the_total_of_an_iterator_can_be_told(capsys, shown):
    assert list(track(slow("ab"), "reading", total=4)) == ["a", "b"]
    assert "2/4" in capsys.readouterr().err


def test_an_unknown_total_is_shown_as_such(capsys, shown):
    assert list(track(slow("ab"), "reading")) == ["a", "b"]
    assert "2/?" in capsys.readouterr().err


def test_the_total_of_a_list_is_known(capsys, shown):
    for _ in track(["a", "b"], "reading"):
        outlast_patience()
    assert "2/2" in capsys.readouterr().err


def test_a_bar_is_advanced_by_hand(capsys, shown):
    with bar("extracting", 10) as handle:
        outlast_patience()
        handle.advance(4)
        handle.advance(3)
    assert "7/10" in capsys.readouterr().err


def test_a_bar_appears_before_the_first_item_is_done(capsys, shown):
    with bar("extracting", 10) as handle:
        outlast_patience()
        assert handle.shown
    assert "0/10" in capsys.readouterr().err


def test_a_bar_ends_with_an_error_of_the_work(capsys, shown):
    with pytest.raises(ZeroDivisionError), bar("extracting", 2) as handle:
        outlast_patience()
        handle.advance()
        raise ZeroDivisionError
    assert "1/2" in capsys.readouterr().err
    assert not waiting_threads()


def test_stopping_early_ends_the_bar(capsys, shown):
    items = track(slow("abc"), "reading", total=3)
    next(items), next(items)
    items.close()
    assert "1/3" in capsys.readouterr().err


def test_a_bar_does_not_appear_after_its_command(monkeypatch):
    monkeypatch.setattr(progress, "enabled", True)
    with bar("extracting", 10) as handle:
        monkeypatch.setattr(progress, "enabled", False)
        handle._show()
        assert not handle.shown


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("piped", [True, False])
def test_results_in_a_pipe_stay_on_standard_output(piped, shown, monkeypatch):
    """Rich would print them above a bar on the terminal, which is standard error."""
    out, err = io.StringIO() if piped else Terminal(), Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setenv("TERM", "xterm")
    with bar("scoring", 1):
        outlast_patience()
        sys.stdout.write('{"id": 1}\n')
    assert ('{"id": 1}' in out.getvalue()) is piped
    assert "scoring" in err.getvalue()


def test_a_bar_within_a_bar_stays_silent(capsys, shown):
    with bar("outer", 2) as outer:
        for _ in range(2):
            with bar("inner", 5) as inner:
                outlast_patience()
                inner.advance(5)
            outer.advance()
    err = capsys.readouterr().err
    assert "2/2" in err
    assert "inner" not in err
    assert list(track(slow("abc"), "afterwards")) == ["a", "b", "c"]
    assert "afterwards" in capsys.readouterr().err
