"""An actor of Ray: a process that holds the model and judges chunks of images."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from workzone.errors import ImageError, WorkzoneError
from workzone.run.fetching import fetched_ahead, load_fetched
from workzone.run.predictor import Predictor
from workzone.types import Prediction


@dataclass(frozen=True)
class OfActor:
    """A prediction that an actor made."""

    prediction: Prediction


def result_of(row: dict[str, Any]) -> OfActor | ImageError:
    """What an actor said of an image.

    Raises:
        WorkzoneError: it could not go on.
    """
    if "failure" in row:
        raise WorkzoneError(row["failure"])
    if "code" in row:
        return ImageError(row["code"], row["message"])
    return OfActor(Prediction(**row | {"box": tuple(row["box"])}))


class Judge:
    """An actor: it loads the model once, and judges chunks of images."""

    def __init__(self, job: bytes) -> None:
        from ray.cloudpickle import loads

        self._job = loads(job)
        self._failure: str | None = None
        try:
            self._predictor = self._load()
        except WorkzoneError as error:  # raised here, Ray would try for ever
            self._failure = str(error)
        except Exception as error:  # of a library
            at = f"{type(error).__name__} on the machine {socket.gethostname()}: {error}"
            self._failure = f"the model could not be loaded: {at}"

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
        """Results of the chunks in a batch, each as JSON."""
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
        except Exception as error:  # of the model, on any image: raised, Ray would drop the chunk
            at = f"{type(error).__name__} on the machine {socket.gethostname()}: {error}"
            return [("", {"failure": f"the model could not go on: {at}"})]
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
