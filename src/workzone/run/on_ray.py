"""Images judged by actors of Ray Data: on all cores of this machine, or on a cluster.

Ray Data places the actors, feeds them and starts them anew when they die. What it does not promise
is that each image comes out once and none is lost when processes die: that is seen to here, image
by image, and by the ledger of :mod:`workzone.run.bulk`.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from workzone.cores import core_count
from workzone.errors import ImageError, MissingExtraError, UsageError, WorkzoneError
from workzone.parallel import in_batches
from workzone.run.fetching import fetched_ahead, load_fetched
from workzone.run.images import Encoded
from workzone.run.model_choice import ModelChoice
from workzone.run.predictor import Predictor
from workzone.types import Prediction, Sample

T = TypeVar("T")

LOCAL = "local"
"""The address of a cluster on this machine, started for one job."""
_AT_ONCE = 20_000
"""Images per actor that are given to Ray together; no more than this waits in its memory."""
_CHUNK_SECONDS = 4.0
"""Of work that an actor is given at a time: what its death costs."""
_TURNS = 16
"""Chunks that every actor has at least, where there are images enough: none waits long at the end
for the last one."""
_TRIES = 3
"""Of an image whose actors die, the first time among others, then alone."""
_DEATHS = 3
"""Of an actor over the same chunk, in one try."""
_STARTS = 4
"""Attempts to start Ray on this machine."""
_STORE_BYTES = 256 << 20
"""Ray's object store on this machine; Ray's own default is a third of the memory."""


@dataclass(frozen=True)
class Judged:
    """A prediction that an actor made."""

    prediction: Prediction


@dataclass(frozen=True)
class Actors:
    """Where images are judged, and by how many."""

    address: str = LOCAL
    fewest: int | None = None  # None: on this machine as many as cores, on a cluster one
    most: int | None = None  # None: as many as the cluster has room for


class RayScorer:
    """What stands for a predictor: actors of Ray that each hold the same model.

    It is a :class:`workzone.run.bulk.Scorer`.
    """

    def __init__(
        self,
        choice: ModelChoice,
        predictor: Predictor,
        actors: Actors,
        *,
        seconds_each: float,
        remote: bool = False,
        folders: Sequence[str] = (),
    ) -> None:
        """Start nothing yet.

        Args:
            choice: of the model, as every actor loads it.
            predictor: the same, loaded here.
            actors: where, and how many.
            seconds_each: that an image is expected to take one actor.
            remote: whether images are read over a network, and fetched ahead.
            folders: and files that every machine must see.

        Raises:
            MissingExtraError: Ray is not installed.
            UsageError: no actors, or fewer at most than at least.
        """
        _ray()
        few = 1 if actors.fewest is None else actors.fewest
        most = sys.maxsize if actors.most is None else actors.most
        if not 1 <= few <= most:
            raise UsageError(f"--workers {few}:{most}: at least 1, the most not the smaller one")
        self._choice, self._actors = choice, actors
        own = [path for path in (choice.model, choice.weights) if path and Path(path).exists()]
        self._folders = (*folders, *own)
        self._remote = remote
        self._size: tuple[int, int, int] | None = None
        self._chunk = max(1, min(256, round(_CHUNK_SECONDS / max(seconds_each, 1e-6))))
        self.engine, self.precision = predictor.engine, predictor.precision
        self.takes_metadata, self._identity = predictor.takes_metadata, predictor.identity()

    def identity(self) -> str:
        """See :meth:`workzone.run.predictor.Predictor.identity`."""
        return self._identity

    def score(
        self,
        inputs: Iterable[tuple[str, T]],
        load: Callable[[T], Encoded],
        *,
        sample_of: Callable[[T], Sample | None] | None = None,
    ) -> Iterator[tuple[str, Judged | ImageError]]:
        """As a predictor's, but in the order in which actors are done.

        An image at which actors die again and again comes out as an error with the code
        ``worker-died``.

        Raises:
            WorkzoneError: Ray cannot be reached or gives up, or an actor has another model, or
                does not see the images.
        """
        inputs = iter(inputs)
        first = next(inputs, None)
        if first is None:
            return
        with self.running() as (few, most, _):
            for some in in_batches(chain([first], inputs), _AT_ONCE * min(most, 1000)):
                yield from self._judged(some, load, sample_of, (few, most))

    @contextmanager
    def running(self) -> Iterator[tuple[int, int, int]]:
        """Ray, as long as this lasts; `score` starts it itself where it does not run.

        Yields:
            The fewest and the most actors, and the machines that Ray has.

        Raises:
            WorkzoneError: Ray cannot be reached, or has too little room.
        """
        if self._size is not None:
            yield self._size
            return
        with self._cluster() as size:
            self._size = size
            try:
                yield size
            finally:
                self._size = None

    @contextmanager
    def _cluster(self) -> Iterator[tuple[int, int, int]]:
        os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # it writes to standard error
        ray = _ray()
        address, few, most = self._actors.address, self._actors.fewest, self._actors.most
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        if address == LOCAL:
            few = few or most or core_count()
            most = max(few, most or few)
            # One more than there are actors: with none free, Ray's own steps would wait for ever.
            options |= {"num_cpus": most + 1, "include_dashboard": False}
            options |= {"object_store_memory": _STORE_BYTES}
        _start(address, options)
        try:
            room = int(ray.cluster_resources().get("GPU" if self._on_gpu else "CPU", 0))
            least, top = few or 1, max(few or 1, min(most or room, room))
            if room < least:
                kind = "GPUs" if self._on_gpu else "CPUs"
                raise WorkzoneError(
                    f"the cluster at {address!r} has {room} {kind}, {least} workers were asked for"
                )
            yield least, top, sum(node["Alive"] for node in ray.nodes())
        finally:
            ray.shutdown()

    @property
    def _on_gpu(self) -> bool:
        return self._choice.device != "cpu"

    def _judged(
        self,
        inputs: Sequence[tuple[str, T]],
        load: Callable[[T], Encoded],
        sample_of: Callable[[T], Sample | None] | None,
        actors: tuple[int, int],
    ) -> Iterator[tuple[str, Judged | ImageError]]:
        """Each of some images once."""
        waiting = dict(inputs)
        share = len(waiting) // (_TURNS * actors[1])
        for attempt in range(_TRIES):
            chunk = max(1, min(self._chunk, share)) if attempt == 0 else 1
            chunks = list(in_batches(waiting.items(), chunk))
            for name, result in self._once(chunks, load, sample_of, actors):
                if waiting.pop(name, None) is not None:  # else it came out before
                    yield name, result
            if not waiting:
                return
        for name in waiting:
            yield (
                name,
                ImageError(
                    "worker-died", f"{name}: the processes that judged it died, {_TRIES} times"
                ),
            )

    def _once(
        self,
        chunks: Sequence[Sequence[tuple[str, T]]],
        load: Callable[[T], Encoded],
        sample_of: Callable[[T], Sample | None] | None,
        actors: tuple[int, int],
    ) -> Iterator[tuple[str, Judged | ImageError]]:
        """One run of Ray Data; chunks whose actors died too often do not come out.

        Raises:
            WorkzoneError: an actor has another model, or does not see the images.
        """
        ray = _ray()
        from ray import data
        from ray.cloudpickle import dumps  # as Ray sends everything; nothing of it is kept

        context = data.DataContext.get_current()
        context.enable_progress_bars = False
        context.max_errored_blocks = -1
        logging.getLogger("ray.data").setLevel(logging.CRITICAL)
        few, most = actors
        job = {
            "choice": self._choice,
            "identity": self._identity,
            "folders": self._folders,
            "load": load,
            "sample_of": sample_of,
            "remote": self._remote,
        }
        rows = data.from_items(
            [{"chunk": dumps(chunk)} for chunk in chunks], override_num_blocks=len(chunks)
        )
        pool = data.ActorPoolStrategy(
            min_size=min(few, len(chunks)), max_size=min(most, len(chunks))
        )
        with warnings.catch_warnings():  # Ray 2.60 has no other way to bound the deaths of a task
            warnings.simplefilter("ignore")
            judged = rows.map_batches(
                _Judge,
                fn_constructor_kwargs={"job": dumps(job)},
                batch_size=1,
                compute=pool,
                num_cpus=1,
                num_gpus=1 if self._on_gpu else 0,
                max_restarts=-1,
                max_task_retries=_DEATHS,
            )
        try:
            for row in judged.iter_rows():
                for name, result in json.loads(row["results"]):
                    yield name, _result(result)
        except ray.exceptions.RayError as error:
            raise WorkzoneError(f"Ray gave up: {error}") from error


def _result(told: dict[str, Any]) -> Judged | ImageError:
    """What an actor said of an image.

    Raises:
        WorkzoneError: it could not go on.
    """
    if "failure" in told:
        raise WorkzoneError(told["failure"])
    if "code" in told:
        return ImageError(told["code"], told["message"])
    return Judged(Prediction(**told | {"box": tuple(told["box"])}))


class _Judge:
    """An actor: it loads the model once, and judges chunks of images."""

    def __init__(self, job: bytes) -> None:
        from ray.cloudpickle import loads

        self._job = loads(job)
        self._failure: str | None = None
        try:
            self._predictor = self._load()
        except WorkzoneError as error:  # raised here, Ray would try for ever
            self._failure = str(error)

    def _load(self) -> Predictor:
        for folder in self._job["folders"]:
            if not Path(folder).exists():
                raise WorkzoneError(
                    f"{folder} is not on the machine {socket.gethostname()}: give a path that all "
                    "machines of the cluster see, or an address such as s3://"
                )
        predictor: Predictor = self._job["choice"].load()
        if predictor.identity() != self._job["identity"]:
            raise WorkzoneError(
                f"the model on the machine {socket.gethostname()} is not the one here: install the "
                "same version of workzone, and name a model that all machines see"
            )
        return predictor

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        return {"results": [json.dumps(self._judged(chunk)) for chunk in batch["chunk"]]}

    def _judged(self, chunk: bytes) -> list[tuple[str, dict[str, Any]]]:
        from ray.cloudpickle import loads

        if self._failure is not None:
            return [("", {"failure": self._failure})]
        results: list[tuple[str, dict[str, Any]]] = []
        try:
            for name, result in self._scored(loads(chunk)):
                if isinstance(result, ImageError):
                    results.append((name, {"code": result.code, "message": str(result)}))
                else:
                    results.append((name, asdict(result.prediction)))
        except WorkzoneError as error:
            return [("", {"failure": str(error)})]
        return results

    def _scored(self, chunk: list[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
        load, sample_of = self._job["load"], self._job["sample_of"]
        if not self._job["remote"]:
            return self._predictor.score(chunk, load, sample_of=sample_of)
        return self._predictor.score(
            fetched_ahead(chunk, load),
            load_fetched,
            sample_of=None if sample_of is None else lambda fetched: sample_of(fetched[0]),
        )


def _start(address: str, options: dict[str, Any]) -> None:
    """Start Ray, or connect to it; on this machine several times.

    Ray gives its own processes half a minute to start, which a busy machine may not keep.

    Raises:
        WorkzoneError: it does not start, or cannot be reached.
    """
    ray = _ray()
    for left in reversed(range(_STARTS if address == LOCAL else 1)):
        try:
            ray.init(address=address, **options)
            return
        except Exception as error:  # Ray has no class for it
            ray.shutdown()
            if not left:
                raise WorkzoneError(
                    f"Ray at {address!r} does not start, or cannot be reached: {error}"
                ) from error


def _ray() -> Any:
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise MissingExtraError("ray", "ray", "scoring on Ray") from error
    return ray
