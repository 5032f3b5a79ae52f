"""One service that the tests share which leave it as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from serving import Running, running
from workzone.run.predictor import Predictor, load


@pytest.fixture(scope="package")
def service() -> Iterator[Running]:
    with running() as found:
        yield found


@pytest.fixture(scope="package")
def local() -> Predictor:
    """The same model as the service's."""
    predictor = load(engine="onnx")
    return predictor.described(predictor.description.with_view_size(128))
