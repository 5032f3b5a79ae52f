"""Images that wait for a worker: a bounded queue between requests and the workers' threads."""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from workzone.serve.problems import Problem
from workzone.serve.wire import Order

Answer = dict[str, Any]


@dataclass(eq=False)
class Job:
    """One image on its way to an answer; the future is the event loop's."""

    order: Order
    deadline: float  # of time.monotonic()
    future: asyncio.Future[Answer]
    loop: asyncio.AbstractEventLoop
    put: float = field(default_factory=time.monotonic)
    waited: float = 0.0  # seconds in the queue
    suspect: bool = False  # a worker died over it and others: it is judged by itself

    def resolve(self, result: Answer | Problem) -> None:
        """Give the answer, or why there is none; may be called in any thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self.loop.call_soon_threadsafe(self._resolve, result)

    def waits(self, now: float) -> bool:
        """Whether somebody may still want the answer at ``now``, of time.monotonic()."""
        return self.deadline > now and not self.future.done()

    def _resolve(self, result: Answer | Problem) -> None:
        if self.future.done():  # nobody waits any more
            return
        if isinstance(result, Problem):
            self.future.set_exception(result)
        else:
            self.future.set_result(result)


class JobQueue:
    """Holds up to ``most`` jobs; more are refused at once."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.busy = 0  # jobs that workers have
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()
        self._rate = 0.0  # seconds of work per image, smoothed
        self._closed = False

    def __len__(self) -> int:
        return len(self._jobs)

    @property
    def empty(self) -> bool:
        """Whether no job waits or is worked on."""
        return not self._jobs and not self.busy

    def check(self, count: int = 1) -> None:
        """Make sure that so many jobs find room.

        Raises:
            Problem: overloaded.
        """
        waiting = len(self._jobs)
        if waiting + count > self.most:
            raise Problem(
                "overloaded",
                f"{waiting} images wait already, {count} more are over the limit of {self.most}: "
                "ask again after Retry-After seconds",
                headers={"Retry-After": str(max(1, math.ceil(waiting * self._rate)))},
                limit=self.most,
            )

    def put(self, jobs: Sequence[Job]) -> None:
        """Accept jobs, all or none.

        Raises:
            Problem: overloaded.
        """
        with self._changed:
            if self._closed:
                raise stopped()
            self.check(len(jobs))
            self._jobs.extend(jobs)
            self._changed.notify(len(jobs))

    def drop(self, job: Job) -> None:
        """Forget a job that nobody waits for; one that a worker has goes on."""
        with self._changed:
            if job in self._jobs:
                self._jobs.remove(job)

    def take(self, most: int, *, seconds: float) -> tuple[list[Job], bool]:
        """Up to ``most`` jobs, waiting for the first; none if none came in so many seconds.

        Returns:
            The jobs, and whether nothing else is worked on or waits.
        """
        with self._changed:
            if not self._jobs and not self._closed:
                self._changed.wait(seconds)
            alone = self.busy == 0
            jobs: list[Job] = []
            now = time.monotonic()
            while self._jobs and len(jobs) < most:
                if jobs and (jobs[0].suspect or self._jobs[0].suspect):
                    break
                job = self._jobs.popleft()
                job.waited = now - job.put
                if job.waits(now):
                    jobs.append(job)
            self.busy += len(jobs)
            return jobs, alone and not self._jobs

    def put_back(self, jobs: Sequence[Job]) -> None:
        """Have jobs of `take` judged before all others, one by one: one of them ended a worker.

        Those that nobody waits for any more are forgotten.
        """
        with self._changed:
            now = time.monotonic()
            for job in reversed([job for job in jobs if job.waits(now)]):
                job.suspect = True
                if self._closed:
                    job.resolve(stopped())
                else:
                    self._jobs.appendleft(job)
            self._changed.notify(len(jobs))

    def finished(self, count: int, seconds: float | None, workers: int) -> None:
        """Count jobs of `take` as done; ``seconds``: of work for all of them, None: none was."""
        with self._changed:
            self.busy -= count
            if seconds is not None:
                each = seconds / count / max(1, workers)
                self._rate = each if self._rate == 0 else 0.9 * self._rate + 0.1 * each

    def close(self) -> None:
        """Wake all who wait; what still waits is refused."""
        with self._changed:
            self._closed = True
            for job in self._jobs:
                job.resolve(stopped())
            self._jobs.clear()
            self._changed.notify_all()


def stopped() -> Problem:
    """Why an image that was accepted gets no answer when the service ends."""
    return Problem("draining", "the service stopped before this image's turn: ask again")
