"""Ray Serve: what can be told without a cluster, and the whole where Ray is installed."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI
from typer.testing import CliRunner

from serving import QUICK
from workzone.cli import app
from workzone.errors import BundleError, MissingExtraError, UsageError, WorkzoneError
from workzone.serve import on_ray
from workzone.serve.config import Limits, ModelChoice, ServeConfig


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"workzone\[ray\]"):
        on_ray.deployment(ServeConfig(), replicas=(1, 2))


@pytest.mark.parametrize("replicas", ["2", "0:1", "3:2", "a:b", ":"])
def test_replicas_that_cannot_be(replicas: str) -> None:
    result = CliRunner().invoke(app, ["serve", "--ray", "local", "--replicas", replicas])
    assert result.exit_code == 2 and "--replicas" in result.stderr


class Recorded:
    """Stands for `ray.serve`: keeps what a deployment is made of."""

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}

    def deployment(self, **settings: Any) -> Any:
        self.settings = settings
        return lambda target: SimpleNamespace(bind=lambda: target)

    def ingress(self, build: Any) -> Any:
        return lambda: build


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    module, found = ModuleType("ray"), Recorded()
    module.serve = found  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ray", module)
    monkeypatch.setitem(sys.modules, "ray.serve", found)
    return found


def test_a_replica_is_the_application_with_one_worker(ray: Recorded) -> None:
    limits = Limits(queue=40, drain_seconds=11)
    config = ServeConfig(model=QUICK, workers=4, limits=limits)
    application = on_ray.deployment(config, replicas=(2, 5))()
    assert isinstance(application, FastAPI)
    service = application.state.service
    try:
        assert service.readiness() == (True, {"status": "ready", "workers": 1, "wanted": 1})
        service.start()  # as the application does when Ray starts it
        assert service.workers.alive == 1
    finally:
        service.stop()
    assert ray.settings["max_queued_requests"] == 40
    assert ray.settings["graceful_shutdown_timeout_s"] == 11
    scaling = ray.settings["autoscaling_config"]
    assert (scaling["min_replicas"], scaling["max_replicas"]) == (2, 5)
    assert ray.settings["ray_actor_options"] == {"num_cpus": 1, "num_gpus": 0}


def test_a_replica_without_its_model_fails(ray: Recorded) -> None:
    config = ServeConfig(model=ModelChoice(model="/nowhere"))
    build = on_ray.deployment(config, replicas=(1, 1))
    with pytest.raises(WorkzoneError, match="no model bundle at") as told:
        build()
    assert not isinstance(told.value, UsageError | BundleError)
