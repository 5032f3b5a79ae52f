"""The queue by itself: what comes back from a worker that died."""

from __future__ import annotations

import asyncio
import time

import pytest

from workzone.serve.problems import Problem
from workzone.serve.queue import Job, JobQueue
from workzone.serve.wire import Order


def job(loop: asyncio.AbstractEventLoop, name: str, *, seconds: float = 600) -> Job:
    return Job(Order(name, b""), time.monotonic() + seconds, loop.create_future(), loop)


def test_only_what_is_waited_for_is_judged_again(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.new_event_loop()
    queue = JobQueue(8)
    jobs = [job(loop, name) for name in ("answered", "given up", "first", "second")]
    expired = job(loop, "expired", seconds=5)
    queue.put([*jobs, expired])
    taken, _ = queue.take(8, seconds=0)
    assert taken == [*jobs, expired]
    jobs[0].future.set_result({})
    jobs[1].future.cancel()
    later = time.monotonic() + 60
    monkeypatch.setattr(time, "monotonic", lambda: later)
    queue.put_back(taken)
    assert len(queue) == 2
    again = [queue.take(8, seconds=0)[0] for _ in range(3)]
    assert [[one.order.name for one in some] for some in again] == [["first"], ["second"], []]
    loop.close()


def test_at_the_end_all_are_told_and_a_loop_that_is_closed_is_no_error() -> None:
    loop = asyncio.new_event_loop()
    queue = JobQueue(8)
    first, second = job(loop, "first"), job(loop, "second")
    queue.put([first])
    (taken,), _ = queue.take(1, seconds=0)
    queue.put([second])
    queue.close()
    queue.finished(1, None, 1)
    queue.put_back([taken])

    async def told() -> list[BaseException]:
        return await asyncio.gather(first.future, second.future, return_exceptions=True)

    problems = loop.run_until_complete(told())
    assert [isinstance(one, Problem) and one.code for one in problems] == ["draining"] * 2
    loop.close()
    last = job(asyncio.new_event_loop(), "last")
    last.loop.close()
    queue.put_back([last])
    assert queue.empty


def test_close_reaches_all_jobs_of_a_closed_loop() -> None:
    loop = asyncio.new_event_loop()
    queue = JobQueue(8)
    queue.put([job(loop, "one"), job(loop, "two")])
    loop.close()
    queue.close()
    assert queue.empty
