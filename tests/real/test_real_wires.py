"""Real clients of bittensor 9, 10 and 11 ask a miner on loopback.

Their environments are made in the folder that WORKZONE_WIRES names, half a gigabyte in all; without
it, or where no registry can be reached, the tests are skipped.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from workzone.run.predictor import load

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
import wires

sys.path.pop()

ENVIRONMENTS = os.environ.get("WORKZONE_WIRES", "")


@pytest.fixture(scope="module")
def place() -> Iterator[wires.Place]:
    with wires.miner() as found:
        yield found


@pytest.mark.skipif(not ENVIRONMENTS, reason="WORKZONE_WIRES names no folder for environments")
@pytest.mark.parametrize("client", wires.CLIENTS)
def test_a_client_sees_the_statuses_that_it_should(client: str, place: wires.Place) -> None:
    script, requirements = wires.CLIENTS[client]
    folder = Path(ENVIRONMENTS) / client.replace(" ", "-")
    try:
        python = wires.environment(folder, requirements)
    except wires.Unavailable as why:
        pytest.skip(str(why))
    outcomes = wires.ask_by_client(python, script, place)
    assert len(outcomes) >= 25
    seen = {case: one["status"] for case, one in outcomes.items()}
    assert seen == {case: wires.EXPECTED[case] for case in outcomes}
    local = load(engine="onnx").predict(wires.picture(1))[0].probability
    for case in ("right", "extended synapse", "keep-alive, three", "16 in parallel"):
        assert outcomes[case]["prediction"] == pytest.approx(local, abs=1e-6), case
    assert all(one["prediction"] == -1 for one in outcomes.values() if one["status"] != 200)


def test_raw_sockets_see_the_statuses_that_they_should(place: wires.Place) -> None:
    outcomes = wires.ask_raw(place)
    seen = {case: one["status"] for case, one in outcomes.items()}
    assert seen == {case: wires.EXPECTED[case] for case in outcomes}
