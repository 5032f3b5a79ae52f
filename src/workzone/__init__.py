"""Road work in street images: whether it is there, how sure, and where.

>>> import workzone
>>> workzone.ViewLayout().count
12
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workzone.errors import WorkzoneError
    from workzone.run.predictor import Predictor, load
    from workzone.serve.client import Client
    from workzone.types import OBJECT_CLASSES, Prediction
    from workzone.views import ViewLayout

__version__ = "0.1.0"

__all__ = [
    "OBJECT_CLASSES",
    "Client",
    "Prediction",
    "Predictor",
    "ViewLayout",
    "WorkzoneError",
    "load",
]

_HOMES = {
    "Client": "workzone.serve.client",
    "OBJECT_CLASSES": "workzone.types",
    "Prediction": "workzone.types",
    "Predictor": "workzone.run.predictor",
    "ViewLayout": "workzone.views",
    "WorkzoneError": "workzone.errors",
    "load": "workzone.run.predictor",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: `workzone --help` need not wait for torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'workzone' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
