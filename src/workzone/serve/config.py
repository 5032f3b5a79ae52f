"""Every setting of a service, its default and range."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from workzone.errors import UsageError
from workzone.run.model_choice import ModelChoice

MEGABYTE = 1_000_000
OPTIONS = ("explain", "masks", "unsure")
"""What a request may ask for beside the decision; a model's worker says which of them it has."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What is refused, and when.

    Raises:
        UsageError: a limit out of range, all of them at once.
    """

    body_bytes: int = 8 * MEGABYTE
    """Of one image's request, and of one part of a batch."""
    batch_bytes: int = 64 * MEGABYTE
    batch_parts: int = 32
    pixels: int = 50 * MEGABYTE
    """Width times height, read in the header before anything is decoded."""
    scans: int = 64
    """Of a JPEG, counted before it is decoded: each is a pass over all of its pixels. Cameras and
    programs that save pictures write 1 to 12."""
    query_bytes: int = 16_000
    """Of a request's query; longer metadata belong into a form or JSON."""
    queue: int = 64
    """Images that wait for a worker; one more is refused with 429."""
    held_bytes: int = 256 * MEGABYTE
    """Of all bodies in memory at a time."""
    connections: int = 1024
    deadline_seconds: float = 10.0
    """From a request's arrival to its answer; a client may ask for less with X-Deadline-Ms."""
    header_seconds: float = 10.0
    body_seconds: float = 20.0
    send_seconds: float = 20.0
    worker_seconds: float = 60.0
    """A worker that is busy with one batch for longer is replaced."""
    drain_seconds: float = 25.0
    """From SIGTERM to the end, at most."""

    def __post_init__(self) -> None:
        wrong = [
            f"{name} {value}" for name, value in vars(self).items() if not 0 < value < float("inf")
        ]
        if self.batch_parts > self.queue:
            wrong.append(f"batch_parts {self.batch_parts} above queue {self.queue}")
        if wrong:
            raise UsageError(f"limits out of range: {', '.join(wrong)}; each must be above 0")


@dataclass(frozen=True, kw_only=True)
class HttpConfig:
    """Where something listens, and who may ask.

    Raises:
        UsageError: a port out of range.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    tokens: Path | None = None
    """File of bearer tokens, one a line; None: anybody may ask."""
    origins: tuple[str, ...] = ()
    """Of other sites whose pages may ask (CORS)."""
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise UsageError(f"--port {self.port}: ports are 0 (any free one) to 65535")


@dataclass(frozen=True, kw_only=True)
class ServeConfig(HttpConfig):
    """A service that judges images.

    Raises:
        UsageError: a port or number of workers out of range.
    """

    workers: int | None = None
    """Processes that judge; None: one per core, or a single one where a GPU computes."""
    model: ModelChoice = field(default_factory=ModelChoice)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"--workers {self.workers}: at least 1 process has to judge")
