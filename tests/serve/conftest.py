"""One service, and one browser, that the tests share which leave them as they were."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from browser import browsing, opened
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


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as found:
        yield found


@pytest.fixture
def page(browser: Browser, service: Running) -> Iterator[Page]:
    with opened(browser, service.port) as found:
        yield found
