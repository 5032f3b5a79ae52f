"""One miner that the tests share which leave it as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mining import Mining, mining


@pytest.fixture(scope="package")
def miner(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mining]:
    with mining(tmp_path_factory.mktemp("miner"), model_url="https://example.org/m") as found:
        yield found
