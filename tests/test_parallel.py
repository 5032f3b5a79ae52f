from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workzone import parallel
from workzone.errors import ImageError
from workzone.parallel import batches_ahead, in_batches, judged_ahead, map_ahead


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


WAYS = [None, 1, 3]
"""Images computed together at most: None on a processor, where each thread takes one."""


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "core_count", lambda: 2)


def bad(item: int) -> bool:
    return item % 7 == 6


def prepared(item: int) -> int:
    if bad(item):
        raise ImageError("unreadable", f"image {item}")
    return 10 * item


def computed(batch: Sequence[int]) -> list[int]:
    return [value + 1 for value in batch]


def judged(
    items: Iterable[int],
    at_once: int | None,
    *,
    prepare: Callable[[int], int] = prepared,
    compute: Callable[[Sequence[int]], list[int]] = computed,
    streams: int = 2,
    ahead: int = 4,
    begin: Callable[[], None] | None = None,
) -> Iterator[tuple[int, Any]]:
    return judged_ahead(
        prepare, compute, items, streams=streams, ahead=ahead, begin=begin, at_once=at_once
    )


@pytest.mark.parametrize("at_once", WAYS)
@pytest.mark.parametrize("streams", [1, 3])
@pytest.mark.parametrize("count", [0, 1, 2, 40])
def test_results_are_in_order_with_errors_of_images_in_their_place(
    at_once: int | None, streams: int, count: int
) -> None:
    sizes = []

    def compute(batch: Sequence[int]) -> list[int]:
        sizes.append(len(batch))
        return computed(batch)

    results = list(judged(range(count), at_once, compute=compute, streams=streams))
    assert [item for item, _ in results] == list(range(count))
    for item, result in results:
        if bad(item):
            assert isinstance(result, ImageError)
            assert str(result) == f"image {item}"
        else:
            assert result == 10 * item + 1
    assert sum(sizes) == sum(not bad(item) for item in range(count))
    assert all(1 <= size <= (at_once or 1) for size in sizes)  # never nothing at all


@pytest.mark.parametrize("at_once", WAYS)
def test_images_that_cannot_be_read_alone_are_all_errors(at_once: int | None) -> None:
    def compute(batch: Sequence[int]) -> list[int]:
        raise AssertionError("nothing to compute")

    results = list(judged([6, 13, 20, 27], at_once, compute=compute))
    assert [str(result) for _, result in results] == [f"image {item}" for item in (6, 13, 20, 27)]
    (only,) = judged([6], at_once, compute=compute)
    assert str(only[1]) == "image 6"


@pytest.mark.usefixtures("two_cores")
def test_what_is_ready_is_computed_together() -> None:
    release, sizes = threading.Event(), []

    def prepare(item: int) -> int:
        if item == 0:
            assert release.wait(10)
        if item == 6:
            release.set()  # the other thread has done 1 to 5
        return item

    def compute(batch: Sequence[int]) -> list[int]:
        sizes.append(len(batch))
        return list(batch)

    results = list(judged(range(7), 3, prepare=prepare, compute=compute, ahead=8))
    assert results == [(item, item) for item in range(7)]
    assert sizes[0] == 3
    assert max(sizes) == 3


@pytest.mark.usefixtures("two_cores")
@pytest.mark.parametrize("at_once", [None, 1, 2])
def test_memory_is_bounded_however_slow_the_consumer_is(at_once: int | None) -> None:
    made, lock, streams, ahead = 0, threading.Lock(), 2, 5

    def prepare(item: int) -> int:
        nonlocal made
        with lock:
            made += 1
        return item

    taken = furthest = 0
    for _ in judged(range(100), at_once, prepare=prepare, streams=streams, ahead=ahead):
        taken += 1
        if taken % 10 == 1:
            time.sleep(0.02)  # threads go as far as they may
        furthest = max(furthest, made - taken)
    assert (taken, made) == (100, 100)
    # ahead of what is computed; then what streams compute, and the batch that is handed on
    assert furthest <= ahead + (streams + 1) * (at_once or 0)


@pytest.mark.parametrize("at_once", WAYS)
def test_the_source_is_not_read_to_its_end_at_once(at_once: int | None) -> None:
    taken = 0

    def source() -> Iterator[int]:
        nonlocal taken
        for item in range(1000):
            taken += 1
            yield item

    results = judged(source(), at_once)
    assert next(results) == (0, 1)
    assert taken < 100
    results.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("at_once", [None, 1])
def test_streams_compute_at_the_same_time(at_once: int | None) -> None:
    together = threading.Barrier(2)

    def compute(batch: Sequence[int]) -> list[int]:
        together.wait(10)  # fails if the other one never comes
        return list(batch)

    items = [0, 1, 2, 3]
    found = list(judged(items, at_once, prepare=int, compute=compute, streams=2))
    assert found == [(item, item) for item in items]


@pytest.mark.usefixtures("two_cores")
def test_images_are_prepared_while_others_are_computed() -> None:
    later = threading.Event()

    def prepare(item: int) -> int:
        if item == 3:
            later.set()
        return item

    def compute(batch: Sequence[int]) -> list[int]:
        if batch[0] == 0:
            assert later.wait(10)
        return list(batch)

    found = list(judged(range(6), 1, prepare=prepare, compute=compute, streams=1))
    assert found == [(item, item) for item in range(6)]


@pytest.mark.parametrize("at_once", WAYS)
def test_every_thread_that_computes_begins_once_and_no_other_does(at_once: int | None) -> None:
    begun, computing, preparing = [], set(), set()

    def prepare(item: int) -> int:
        preparing.add(threading.get_ident())
        return item

    def compute(batch: Sequence[int]) -> list[int]:
        computing.add(threading.get_ident())
        return list(batch)

    options = {"prepare": prepare, "compute": compute, "streams": 2}
    list(judged(range(30), at_once, begin=lambda: begun.append(threading.get_ident()), **options))
    assert len(begun) == len(set(begun)) <= 2
    assert computing <= set(begun)
    assert threading.get_ident() not in computing
    assert preparing == computing if at_once is None else not preparing & computing


@pytest.mark.parametrize("at_once", WAYS)
def test_a_single_image_is_the_callers_who_does_not_begin(at_once: int | None) -> None:
    def prepare(item: int) -> int:
        assert threading.current_thread() is caller
        return item

    def compute(batch: Sequence[int]) -> list[int]:
        assert threading.current_thread() is caller
        return list(batch)

    def begin() -> None:
        raise AssertionError("the caller keeps all cores")

    caller = threading.current_thread()
    options = {"prepare": prepare, "compute": compute, "begin": begin}
    assert list(judged([5], at_once, **options)) == [(5, 5)]


@pytest.mark.parametrize("at_once", WAYS)
def test_an_exception_of_preparing_comes_at_its_turn(at_once: int | None) -> None:
    def prepare(item: int) -> int:
        if item == 5:
            raise KeyError("five")
        return item

    results = judged(range(20), at_once, prepare=prepare)
    assert [next(results)[0] for _ in range(5)] == list(range(5))
    with pytest.raises(KeyError, match="five"):
        next(results)


@pytest.mark.parametrize("at_once", WAYS)
def test_an_exception_of_computing_comes_in_place_of_what_was_computed_together(
    at_once: int | None,
) -> None:
    lost = 0

    def compute(batch: Sequence[int]) -> list[int]:
        nonlocal lost
        if 5 in batch:
            lost = batch.index(5)
            raise KeyError("five")
        return list(batch)

    names = []
    with pytest.raises(KeyError, match="five"):
        for item, _ in judged(range(20), at_once, prepare=int, compute=compute):
            names.append(item)
    assert names == list(range(5 - lost))
    assert lost < (at_once or 1)


@pytest.mark.parametrize("at_once", WAYS)
@pytest.mark.parametrize("count", [0, 1, 2, 30])
def test_an_exception_of_the_source_comes_after_all_results_of_before(
    at_once: int | None, count: int
) -> None:
    def source() -> Iterator[int]:
        yield from range(count)
        raise OSError("gone")

    names = []
    with pytest.raises(OSError, match="gone"):
        for item, _ in judged(source(), at_once):
            names.append(item)
    assert names == list(range(count))


@pytest.mark.parametrize("at_once", WAYS)
@pytest.mark.parametrize("how", ["closed", "failed"])
def test_no_thread_is_left_when_it_ends_early(at_once: int | None, how: str) -> None:
    before = threading.active_count()

    def compute(batch: Sequence[int]) -> list[int]:
        if how == "failed" and 50 in batch:
            raise KeyError("fifty")
        return computed(batch)

    results = judged(range(200), at_once, compute=compute)
    next(results)
    assert threading.active_count() > before
    if how == "closed":
        results.close()  # type: ignore[attr-defined]
    else:
        with pytest.raises(KeyError, match="fifty"):
            list(results)
    assert threading.active_count() == before
