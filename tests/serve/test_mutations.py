"""Whatever is sent, the answer is a finite one or says what is wrong, and the next one is right."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

from hypothesis import HealthCheck, given, seed, settings

from serving import Running, picture
from workzone.run.predictor import Predictor

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"

sys.path.append(str(BENCHMARKS))
import serving_mutations as mutations  # noqa: E402

sys.path.remove(str(BENCHMARKS))


def probabilities(value: object) -> list[float]:
    """All that are in an answer, at any depth."""
    if isinstance(value, dict):
        own = [value["probability"]] if "probability" in value else []
        return own + [p for part in value.values() for p in probabilities(part)]
    return [p for part in value for p in probabilities(part)] if isinstance(value, list) else []


@seed(20)
@settings(max_examples=250, database=None, suppress_health_check=list(HealthCheck))
@given(asked=mutations.requests())
def test_mutated_requests(asked: mutations.Asked, service: Running, local: Predictor) -> None:
    said = service.ask("POST", asked.path, asked.body, asked.headers)
    assert said.status in (200, 400, 408, 413, 414, 415, 422), (said.status, said.body)
    if said.status == 200:
        found = probabilities(said.json)
        assert all(math.isfinite(p) and 0 <= p <= 1 for p in found)
        assert b"NaN" not in said.body and b"Infinity" not in said.body
        codes = [i["problem"]["status"] for i in said.json.get("results", ()) if "problem" in i]
        assert all(400 <= code < 500 for code in codes), said.body
    else:
        assert said.headers["Content-Type"] == "application/problem+json"
        assert set(said.json) >= {"type", "title", "status", "detail", "code"}


def test_after_them_it_answers_as_ever(service: Running, local: Predictor) -> None:
    assert service.service.workers.replaced == 0
    (expected,) = local.predict(picture(5))
    assert abs(service.predict(picture(5)).json["probability"] - expected.probability) < 1e-5
    assert json.loads(service.ask("GET", "/readyz").body)["status"] == "ready"
