"""The errors a user can meet. Each message names the value, the file or row, and the fix."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class WorkzoneError(Exception):
    """Base of all errors that are the input's or the environment's fault; the CLI exits with 1."""


class UsageError(WorkzoneError):
    """The call itself is wrong (an unknown name, options that exclude each other); exits with 2."""


class ImageError(WorkzoneError):
    """An image that cannot be used.

    ``code`` is a short stable word for tables: ``missing``, ``empty``, ``unreadable``,
    ``truncated``, ``damaged``, ``too-small``, ``too-large``, ``denied``, ``changed``.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class ManifestError(WorkzoneError):
    """A manifest that is missing, not a manifest, or lacks what the job needs."""


class BackboneError(WorkzoneError):
    """A backbone that is unknown, whose weights cannot be had, or that refuses a size."""


class StoreError(WorkzoneError):
    """A feature store that is damaged, in use, or does not fit the request."""


class BundleError(WorkzoneError):
    """A model bundle that is missing, damaged, or does not fit its backbone."""


class TrainingError(WorkzoneError):
    """Data that cannot be learned from, or a run that went wrong."""


class DivergedError(TrainingError):
    """The loss is no longer a finite number."""


class MissingExtraError(WorkzoneError):
    """An optional package is needed."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package!r}: pip install 'workzone[{extra}]'"
        )


def nearest(value: str, allowed: Iterable[str]) -> str:
    """A sentence that lists what is allowed, led by the nearest right spelling if there is one."""
    options = sorted(allowed)
    close = difflib.get_close_matches(value, options, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}allowed: {', '.join(options)}"
