"""What stands between requests and workers: admission, deadlines, readiness and the drain."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from starlette.requests import Request

import workzone
from workzone.errors import WorkzoneError
from workzone.serve.base import BaseService
from workzone.serve.config import ServeConfig
from workzone.serve.metrics import ImageMetrics
from workzone.serve.orders import Reader
from workzone.serve.problems import Problem
from workzone.serve.queue import Answer, Job, stopped
from workzone.serve.reading import Body, Held
from workzone.serve.wire import Order
from workzone.serve.workers import Workers

log = logging.getLogger("workzone.serve")


class GoneError(Exception):
    """The client hung up: nobody waits for an answer."""


class Service(BaseService):
    """One that judges images; `start` it before it is asked."""

    config: ServeConfig
    metrics: ImageMetrics

    def __init__(self, config: ServeConfig) -> None:
        """Start nothing yet.

        Raises:
            UsageError: the tokens cannot be read.
        """
        super().__init__(config, ImageMetrics())
        self.workers = Workers(config, on_batch=self._note_batch)
        self._held = Held(config.limits.held_bytes)
        self._unproven = Held(config.limits.held_bytes // 2, self._held)
        self._jobs: set[Job] = set()  # of images without an answer

    def start(self) -> None:
        """Load the model in all workers, and have each judge its warm-up image.

        Where that fails, `failure` says why. Started twice it is started once.
        """
        if self.workers.about:
            return
        try:
            self.workers.start()
        except WorkzoneError as error:
            if not self.draining:  # told to stop, workers that still load are ended: no failure
                self.failure = error
            return
        metrics, queue, about = self.metrics, self.workers.queue, self.workers.about
        metrics.watch("queue_length", "Images that wait for a worker.", lambda: len(queue))
        metrics.watch("busy_images", "Images that workers have.", lambda: queue.busy)
        metrics.watch("held_bytes", "Of bodies in memory.", lambda: self._held.bytes)
        metrics.watch("workers_alive", "Workers with a model.", lambda: self.workers.alive)
        metrics.watch("workers_wanted", "Workers there should be.", lambda: self.workers.wanted)
        metrics.watch(
            "workers_replaced",
            "Workers that died and were replaced.",
            lambda: self.workers.replaced,
        )
        names = ("model", "identity", "engine", "precision", "device")
        log.info("ready", extra={"model": about["identity"], "workers": self.workers.pids})
        metrics.say_model(version=workzone.__version__, **{n: str(about[n]) for n in names})

    def stop(self) -> None:
        """End the workers; see `Workers.stop`."""
        self.workers.stop()

    def refuse_rest(self) -> None:
        """Say of all images without an answer that there will be none; in the event loop."""
        for job in self._jobs:
            job.resolve(stopped())

    def about(self) -> dict[str, Any]:
        """What `/v1/model` says."""
        about = {k: v for k, v in self.workers.about.items() if k not in ("batch", "warm_up")}
        return {**about, "version": workzone.__version__, "limits": vars(self.config.limits)}

    def readiness(self) -> tuple[bool, dict[str, Any]]:
        """Whether requests are taken now, and why."""
        alive, wanted = self.workers.alive, self.workers.wanted
        state = "draining" if self.draining else "ready" if alive else "not-ready"
        return state == "ready", {"status": state, "workers": alive, "wanted": wanted}

    def admit(self) -> None:
        """Refuse what would be refused later, before its body is read.

        Raises:
            Problem: draining, not ready, or overloaded.
        """
        super().admit()
        if not self.workers.alive:
            raise _not_ready()
        self.workers.queue.check()

    def check_loaded(self) -> None:
        """Make sure that the model has been loaded.

        Raises:
            Problem: not ready.
        """
        if not self.workers.about:
            raise _not_ready()

    def deadline(self, request: Request) -> float:
        """When the answer has to be there, of `time.monotonic`.

        Raises:
            Problem: a header X-Deadline-Ms that is no number above 0.
        """
        begin: float = request.scope["workzone"]["begin"]
        told = request.headers.get("x-deadline-ms")
        seconds = self.config.limits.deadline_seconds
        if told is not None:
            if not (told.isascii() and told.isdecimal() and len(told) < 10 and int(told) > 0):
                raise Problem(
                    "option", f"X-Deadline-Ms is {told[:40]!r}: give milliseconds, such as 2000"
                )
            seconds = min(seconds, int(told) / 1000)
        return begin + seconds

    async def one(self, request: Request) -> Answer:
        """The answer for one image.

        Raises:
            Problem: there is none.
            GoneError, ClientDisconnect: the client hung up.
        """
        deadline = self.deadline(request)
        with self.body(request, most=self.config.limits.body_bytes, deadline=deadline) as body:
            order = await self._reader().one(body)
            return await self.judged(request, order, deadline)

    @contextmanager
    def body(
        self, request: Request, *, most: int, deadline: float, proven: bool = True
    ) -> Iterator[Body]:
        """The body of a request, whose bytes count as in memory meanwhile.

        Args:
            request: that nothing has read from.
            most: bytes that are taken.
            deadline: of `time.monotonic`, by which all of it has to be there.
            proven: whether its sender is known; all bodies of which that is not so have half of
                the memory, until `Body.prove`.

        Raises:
            Problem: see `Body`.
        """
        held = self._held if proven else self._unproven
        body = Body(request, held, self.config.limits, most=most, deadline=deadline)
        try:
            yield body
        finally:
            request.scope["workzone"]["bytes"] = body.taken
            body.close()

    async def judged(self, request: Request, order: Order, deadline: float) -> Answer:
        """The answer for an order.

        Args:
            request: whose body has been read.
            order: what is to be judged.
            deadline: of `time.monotonic`, by which the answer has to be there.

        Raises:
            Problem: there is none.
            GoneError: the client hung up.
        """
        ((result, waited),) = await self._judged(request, [order], deadline)
        if isinstance(result, Problem):
            raise result
        return self._complete(request, result, waited)

    async def many(self, request: Request) -> dict[str, Any]:
        """The answer for a batch: an answer or a problem for each of its images.

        Raises:
            Problem: of the batch as a whole.
            GoneError, ClientDisconnect: the client hung up.
        """
        deadline = self.deadline(request)
        with self.body(request, most=self.config.limits.batch_bytes, deadline=deadline) as body:
            items = await self._reader().many(body)
            orders = [item for item in items if isinstance(item, Order)]
            judged = iter(await self._judged(request, orders, deadline))
        request_id = request.scope["workzone"]["id"]
        results: list[dict[str, Any]] = []
        for item in items:
            if isinstance(item, Order):
                name, (result, waited) = item.name, next(judged)
            else:
                (name, result), waited = item, 0.0
                self.metrics.images.labels(result.code).inc()
            if isinstance(result, Problem):
                results.append({"id": name, "problem": result.document(request_id)})
            else:
                answer = self._complete(request, result, waited)
                results.append({"id": name, "answer": answer})
        return {"results": results, "request_id": request_id}

    def _reader(self) -> Reader:
        return Reader(self.config.limits, self.workers.about["options"])

    async def _judged(
        self, request: Request, orders: Sequence[Order], deadline: float
    ) -> list[tuple[Answer | Problem, float]]:
        """Results in order, with the seconds that each waited in the queue."""
        if not orders:
            return []
        loop = asyncio.get_running_loop()
        jobs = [Job(order, deadline, loop.create_future(), loop) for order in orders]
        self.workers.queue.put(jobs)
        self._jobs.update(jobs)
        gone = asyncio.ensure_future(request.receive())
        waiting = loop.create_task(asyncio.wait({job.future for job in jobs}))
        try:
            done, _ = await asyncio.wait(
                {gone, waiting},
                timeout=max(0, deadline - time.monotonic()),
                return_when=asyncio.FIRST_COMPLETED,
            )
            if gone in done and waiting not in done:
                raise GoneError
            return [(self._result(job), job.waited) for job in jobs]
        finally:
            gone.cancel()
            waiting.cancel()
            self._jobs.difference_update(jobs)
            for job in jobs:
                if not job.future.done():
                    self.workers.queue.drop(job)
                    job.future.cancel()

    def _result(self, job: Job) -> Answer | Problem:
        if not job.future.done():
            result: Answer | Problem = Problem(
                "deadline",
                "the answer was not there before the deadline: send less at a time, or allow more "
                f"with X-Deadline-Ms (at most {1000 * self.config.limits.deadline_seconds:.0f})",
                headers={"Retry-After": "1"},
                limit=self.config.limits.deadline_seconds,
            )
        else:
            error = job.future.exception()
            assert error is None or isinstance(error, Problem)
            result = job.future.result() if error is None else error
        outcome = result.code if isinstance(result, Problem) else result["decision"]
        self.metrics.images.labels(outcome).inc()
        return result

    def _complete(self, request: Request, answer: Answer, waited: float) -> Answer:
        told = request.scope["workzone"]
        return answer | {
            "model": self.workers.about["identity"],
            "version": workzone.__version__,
            "request_id": told["id"],
            "milliseconds": {
                "queue": round(1000 * waited, 1),
                "total": round(1000 * (time.monotonic() - told["begin"]), 1),
            },
        }

    def _note_batch(self, jobs: Sequence[Job], seconds: float) -> None:
        self.metrics.batch_size.observe(len(jobs))
        self.metrics.work_seconds.observe(seconds)
        for job in jobs:
            self.metrics.queue_seconds.observe(job.waited)


def _not_ready() -> Problem:
    return Problem(
        "not-ready",
        "no worker has its model loaded: ask again after Retry-After seconds",
        headers={"Retry-After": "2"},
    )
