"""Images judged by actors of Ray Data: on all cores of this machine, or on a cluster.

Ray Data places the actors, feeds them and starts them anew when they die. What it does not promise
is that each image comes out once and none is lost when processes die: that is seen to here, image
by image, and by the ledger of :mod:`workzone.run.bulk`.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from workzone.cores import core_count
from workzone.data.remote import is_remote
from workzone.errors import ImageError, UsageError, WorkzoneError
from workzone.parallel import in_batches
from workzone.ray_import import import_ray
from workzone.run.images import Encoded
from workzone.run.model_choice import ModelChoice
from workzone.run.predictor import Predictor
from workzone.run.ray_actor import Judge, OfActor, result_of
from workzone.run.sources import Item
from workzone.types import Sample

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
_MOST_FOLDERS = 1000
"""That every actor looks for before it judges."""
_STARTS = 4
"""Attempts to start Ray on this machine."""
_STORE_BYTES = 256 << 20
"""Ray's object store on this machine; Ray's own default is a third of the memory."""


@dataclass(frozen=True)
class Actors:
    """Where images are judged, and by how many."""

    address: str = LOCAL
    fewest: int | None = None  # None: on this machine as many as cores, on a cluster one
    most: int | None = None  # None: as many as the cluster has room for


def folders_to_see(items: Iterable[Item]) -> list[str]:
    """Folders and archives that images are read from, which every machine must see.

    Of very many the folders above them.
    """
    found = {
        item.root / item.ref.path if item.ref.member else (item.root / item.ref.path).parent
        for item in items
        if item.data is None and not is_remote(item.ref.path)
    }
    while len(found) > _MOST_FOLDERS:
        found = {path.parent for path in found}
    return sorted(map(str, found))


class RayScorer:
    """What stands for a predictor: actors of Ray that each hold the same model.

    It is a :class:`workzone.run.scorer.Scorer`.
    """

    fetches_ahead = True

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
        self._remote, self._cpus = remote, 1
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
    ) -> Iterator[tuple[str, OfActor | ImageError]]:
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
            options |= {"include_dashboard": False, "object_store_memory": _STORE_BYTES}
            if self._on_gpu:
                options["num_cpus"] = core_count() + 1
            else:
                few = few or most or core_count()
                most = max(few, most or few)
                # One more than there are actors: with none free, Ray's own steps would wait.
                options["num_cpus"] = most + 1
        _start(address, options)
        try:
            resources = ray.cluster_resources()
            room = int(resources.get("GPU" if self._on_gpu else "CPU", 0))
            if room < (few or 1) and (address == LOCAL or most is None):
                kind = "GPUs" if self._on_gpu else "CPUs"
                raise WorkzoneError(
                    f"Ray at {address!r} has {room} {kind}, {few or 1} workers were asked for; on "
                    "a cluster that grows say how far: --workers MIN:MAX"
                )
            if self._on_gpu:  # cores that make views for it, one left to Ray
                self._cpus = max(1, (int(resources.get("CPU", 0)) - 1) // max(1, room))
            yield few or 1, most or room, sum(node["Alive"] for node in ray.nodes())
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
    ) -> Iterator[tuple[str, OfActor | ImageError]]:
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
        if len(waiting) == len(inputs) and not self._comes_up(load, sample_of, actors):
            raise WorkzoneError(
                "no process that judges came up: too little memory for a worker per core, or a "
                "library that does not run on these machines; try --workers 1, Ray's logs tell more"
            )
        for name in waiting:
            yield (
                name,
                ImageError(
                    "worker-died", f"{name}: the processes that judged it died, {_TRIES} times"
                ),
            )

    def _comes_up(
        self,
        load: Callable[[T], Encoded],
        sample_of: Callable[[T], Sample | None] | None,
        actors: tuple[int, int],
    ) -> bool:
        """Whether an actor answers that is given no image."""
        nothing: list[tuple[str, T]] = []
        return any(True for _ in self._rows([nothing], load, sample_of, actors))

    def _once(
        self,
        chunks: Sequence[Sequence[tuple[str, T]]],
        load: Callable[[T], Encoded],
        sample_of: Callable[[T], Sample | None] | None,
        actors: tuple[int, int],
    ) -> Iterator[tuple[str, OfActor | ImageError]]:
        """Results of chunks; those whose actors died too often do not come out."""
        for row in self._rows(chunks, load, sample_of, actors):
            for name, result in json.loads(row):
                yield name, result_of(result)

    def _rows(
        self,
        chunks: Sequence[Sequence[tuple[str, T]]],
        load: Callable[[T], Encoded],
        sample_of: Callable[[T], Sample | None] | None,
        actors: tuple[int, int],
    ) -> Iterator[str]:
        """One run of Ray Data: what actors say of each chunk, as JSON.

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
                Judge,
                fn_constructor_kwargs={"job": dumps(job)},
                batch_size=1,
                compute=pool,
                num_cpus=self._cpus,
                num_gpus=1 if self._on_gpu else 0,
                max_restarts=-1,
                max_task_retries=_DEATHS,
            )
        try:
            for row in judged.iter_rows():
                yield row["results"]
        except ray.exceptions.RayError as error:
            raise WorkzoneError(
                f"Ray gave up: {error}. What is scored is kept: run the same command again"
            ) from error


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
                    f"Ray at {address!r} does not start, or cannot be reached: {error}. On a busy "
                    "machine wait and try again; of a cluster name the address that `ray status` "
                    "shows on a machine of it"
                ) from error


def _ray() -> Any:
    return import_ray("data", "scoring on Ray")
