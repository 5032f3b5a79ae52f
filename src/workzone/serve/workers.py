"""Processes that judge, each fed by a thread of the service; one that dies is replaced.

A process of its own per core: they share no interpreter lock, and an image that brings down a
decoder brings down one of them and not the service.
"""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from multiprocessing.connection import Connection
from typing import Any

from workzone.cores import core_count
from workzone.errors import UsageError, WorkzoneError
from workzone.serve.config import ServeConfig
from workzone.serve.problems import Problem
from workzone.serve.queue import Job, JobQueue
from workzone.serve.wire import receive, send, send_orders

_GLANCE = 0.2
"""Seconds between two looks at whether an idle worker lives."""
_MOMENT = 1.0
"""Seconds for the work that workers have when the service ends."""
_LONGEST_PAUSE = 10.0
"""Seconds before a worker that dies again and again is started once more."""

log = logging.getLogger("workzone.serve")


class WorkerProcess:
    """One process and the socket to it."""

    def __init__(self, config: ServeConfig) -> None:
        """Start it; it loads its model meanwhile."""
        ours, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-P", "-m", "workzone.serve.worker", str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        self.connection = Connection(ours.detach())
        send(self.connection, asdict(config.model))

    def hello(self) -> dict[str, Any]:
        """What the worker says of its model, once that is loaded.

        Raises:
            WorkzoneError: it cannot load it, or died over it.
        """
        try:
            about = receive(self.connection)
        except (EOFError, OSError) as error:
            raise WorkzoneError(
                f"a worker ended while it loaded the model (exit code {self.process.wait()}): "
                "see what it said before"
            ) from error
        if "failure" in about:
            raise (UsageError if about["usage"] else WorkzoneError)(about["failure"])
        return about

    @property
    def lives(self) -> bool:
        """Whether it has not ended."""
        return self.process.poll() is None

    def end(self) -> None:
        """Hang up, and make sure that it ends."""
        self.connection.close()
        try:
            self.process.wait(2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Workers:
    """All worker processes, and the queue that they are fed from."""

    def __init__(
        self, config: ServeConfig, *, on_batch: Callable[[Sequence[Job], float], None]
    ) -> None:
        """Start nothing yet.

        Args:
            config: of the service.
            on_batch: called in a thread for each batch that was judged, with its seconds.
        """
        one = config.model.device != "cpu"
        self.wanted = config.workers or (1 if one else core_count())
        self.queue = JobQueue(config.limits.queue)
        self.about: dict[str, Any] = {}
        self.replaced = 0
        self._config, self._on_batch = config, on_batch
        self._lock = threading.Lock()
        self._alive: dict[int, WorkerProcess] = {}
        self._stopping = threading.Event()
        self._loading: list[WorkerProcess] = []
        self._threads: list[threading.Thread] = []

    @property
    def alive(self) -> int:
        """How many have a model loaded and live."""
        return len(self._alive)

    @property
    def pids(self) -> list[int]:
        """Of the processes that live."""
        with self._lock:
            return [process.process.pid for process in self._alive.values()]

    def start(self) -> None:
        """Start all, and wait until each has judged its warm-up image.

        Raises:
            WorkzoneError: the model cannot be loaded.
        """
        processes = self._loading
        try:
            for _ in range(self.wanted):
                processes.append(WorkerProcess(self._config))
            if self._stopping.is_set():  # `stop` may have looked before they were there
                raise WorkzoneError("the service was stopped before its model was loaded")
            hellos = [process.hello() for process in processes]
        except BaseException as error:
            for process in processes:
                process.process.kill()
                process.end()
            if isinstance(error, OSError):
                raise WorkzoneError(f"a worker cannot be started: {error}") from error
            raise
        finally:
            self._loading = []
        self.about = hellos[0]
        for number, process in enumerate(processes):
            self._alive[number] = process
            name = f"worker {number}"
            thread = threading.Thread(target=self._feed, args=(number, process), name=name)
            self._threads.append(thread)
            thread.start()

    def stop(self) -> None:
        """End all; a worker has a moment to finish what nobody may be waiting for any more."""
        self._stopping.set()
        for process in list(self._loading):
            process.process.kill()
        self.queue.close()
        end = time.monotonic() + _MOMENT
        for thread in self._threads:
            thread.join(max(0.0, end - time.monotonic()))
        with self._lock:
            for process in self._alive.values():
                process.process.kill()
        for thread in self._threads:
            thread.join()

    def _feed(self, number: int, process: WorkerProcess | None) -> None:
        pause = 0.0
        while not self._stopping.is_set():
            if process is None:
                if self._stopping.wait(pause):
                    break
                process, pause = self._replacement(number), min(_LONGEST_PAUSE, 2 * pause + 0.5)
                continue
            jobs, alone = self.queue.take(self.about["batch"], seconds=_GLANCE)
            alone = alone or self.wanted == 1  # the other cores are nobody's
            if not jobs:
                alive = process.lives
            elif alive := self._judge(process, jobs, alone=alone):
                pause = 0.0
            if not alive:
                with self._lock:
                    del self._alive[number]
                    self.replaced += 1
                process.end()
                log.error("a worker died", extra={"exit_code": process.process.returncode})
                process = None
        if process is not None:
            process.end()

    def _replacement(self, number: int) -> WorkerProcess | None:
        """A new worker that has its model; None: it did not come so far."""
        try:
            process = WorkerProcess(self._config)
        except OSError as error:  # as where there is no memory for it
            log.error("a worker did not start: %s", error)
            return None
        self._loading.append(process)
        if self._stopping.is_set():  # `stop` may have looked before it was there
            process.process.kill()
        try:
            process.hello()
        except WorkzoneError as error:
            log.error("a worker did not start: %s", error)
            process.end()
            return None
        finally:
            self._loading.remove(process)
        with self._lock:
            self._alive[number] = process
        return process

    def _judge(self, process: WorkerProcess, jobs: Sequence[Job], *, alone: bool) -> bool:
        """Have jobs judged; False: the worker died over them."""
        seconds = None
        results: list[dict[str, Any] | Problem]
        # It may hang before it has read all, or with half an answer: killed, it ends the wait.
        clock = threading.Timer(self._config.limits.worker_seconds, process.process.kill)
        clock.start()
        try:
            send_orders(process.connection, [job.order for job in jobs], alone=alone)
            message = receive(process.connection)
            results = [_checked(one) for one in message["answers"]]
            if len(results) != len(jobs):
                raise ValueError(f"{len(results)} answers for {len(jobs)} images")
            seconds = float(message["seconds"])
        except Exception as error:  # it is gone, or says what no worker says
            if not isinstance(error, EOFError | OSError):
                log.error("a worker's answer cannot be read: %s", error)
            process.process.kill()
            results = [_died()]
        finally:
            clock.cancel()
        self.queue.finished(len(jobs), seconds, self.alive)
        if seconds is not None:
            self._on_batch(jobs, seconds)
        elif len(jobs) > 1:  # it died of one of them, which is to be found
            self.queue.put_back(jobs)
            return False
        for job, result in zip(jobs, results, strict=True):
            job.resolve(result)
        return seconds is not None


def _died() -> Problem:
    return Problem(
        "worker-died",
        "the process that judged this image ended over it, or was ended; it is being replaced. Ask "
        "again; if that goes on, report the image",
        headers={"Retry-After": "1"},
    )


def _checked(answer: dict[str, Any]) -> dict[str, Any] | Problem:
    """An answer of a worker, or its error as a problem."""
    if "error" not in answer:
        return answer
    members = {"reason": answer["reason"]} if "reason" in answer else {}
    if answer["code"] in ("internal", "model-failed"):
        log.error("an image was not judged: %s", answer["error"])
    if answer["code"] == "internal":
        return Problem("internal", "the image was not judged; the log says why")
    return Problem(answer["code"], answer["error"], **members)
