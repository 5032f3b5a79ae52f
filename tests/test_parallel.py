from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workzone.parallel import batches_ahead, in_batches, map_ahead


def test_results_come_in_the_order_of_items_whatever_finishes_first():
    second_done = threading.Event()

    def function(item):
        if item == 0:
            assert second_done.wait(10)  # the first item can only finish after the second
        elif item == 1:
            second_done.set()
        return item * 10

    assert list(map_ahead(function, range(5), threads=2)) == [(i, 10 * i) for i in range(5)]


def test_work_is_done_by_other_threads():
    names = {result for _, result in map_ahead(lambda _: threading.get_ident(), range(4))}
    assert threading.get_ident() not in names


def test_a_single_item_is_worked_on_by_the_caller():
    assert list(map_ahead(lambda _: threading.get_ident(), ["a"])) == [("a", threading.get_ident())]
    assert list(map_ahead(abs, [])) == []


@pytest.mark.parametrize("ahead", [1, 3, 8])
def test_the_source_is_read_at_most_so_far_ahead(ahead):
    taken = 0

    def source():
        nonlocal taken
        for item in range(30):
            taken += 1
            yield item

    furthest = 0
    for yielded, _ in enumerate(map_ahead(abs, source(), ahead=ahead), start=1):
        furthest = max(furthest, taken - yielded)
    assert furthest == ahead
    assert taken == 30


def test_an_error_is_raised_when_its_turn_comes():
    def function(item):
        if item == 3:
            raise KeyError("three")
        return item

    results = map_ahead(function, range(10), ahead=8)
    assert [next(results) for _ in range(3)] == [(0, 0), (1, 1), (2, 2)]
    with pytest.raises(KeyError, match="three"):
        next(results)
    with pytest.raises(StopIteration):
        next(results)


def test_closing_early_leaves_waiting_items_undone():
    done = []
    release = threading.Event()

    def function(item):
        if item > 0:
            release.wait(10)
        done.append(item)

    results = map_ahead(function, range(100), threads=1, ahead=50)
    next(results)
    threading.Timer(0.05, release.set).start()
    results.close()  # waits for the item in work, cancels the others
    assert set(done) <= {0, 1}
    time.sleep(0.02)
    assert set(done) <= {0, 1}


def test_nothing_gives_nothing():
    assert list(map_ahead(abs, [])) == []


@given(st.lists(st.integers(), max_size=40), st.integers(1, 9))
def test_batches_are_full_but_the_last_and_lose_nothing(items, size):
    batches = list(in_batches(iter(items), size))
    assert [item for batch in batches for item in batch] == items
    assert all(len(batch) == size for batch in batches[:-1])
    assert all(0 < len(batch) <= size for batch in batches)


def test_a_batch_holds_what_is_done_and_ends_before_a_failure():
    ready, release = threading.Event(), threading.Event()

    def function(item):
        if item == 0:
            assert release.wait(10)
        if item == 5:
            ready.set()  # the other thread has done 1 to 4
        if item == 3:
            raise KeyError("three")
        return item

    batches = batches_ahead(function, range(6), size=8, threads=2, ahead=8)
    threading.Thread(target=lambda: (ready.wait(10), release.set())).start()
    assert next(batches) == [(0, 0), (1, 1), (2, 2)]
    with pytest.raises(KeyError, match="three"):
        next(batches)


@pytest.mark.parametrize("size", [1, 4])
@pytest.mark.parametrize("count", [0, 1, 2, 5, 30])
def test_an_exception_of_the_source_is_raised_after_all_results(size, count):
    def source():
        yield from range(count)
        raise OSError("gone")

    results = []
    with pytest.raises(OSError, match="gone"):
        for batch in batches_ahead(abs, source(), size=size, ahead=4):
            results += batch
    assert results == [(item, item) for item in range(count)]
