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
from workzone.run.model_choice import ModelChoice
from workzone.serve import on_ray
from workzone.serve.config import Limits, ServeConfig


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"workzone\[ray\]"):
        on_ray.deployment(ServeConfig(), replicas=(1, 2))


@pytest.mark.parametrize("replicas", ["2", "0:1", "3:2", "a:b", ":"])
def test_replicas_that_cannot_be(replicas: str) -> None:
    result = CliRunner().invoke(app, ["serve", "--ray", "local", "--replicas", replicas])
    assert result.exit_code == 2 and "--replicas" in result.stderr


class Recorded:
    """Stands for `ray` and `ray.serve`: keeps what is asked of them, and fails where it is told."""

    def __init__(self) -> None:
        self.settings: dict[str, Any] = {}
        self.asked: list[str] = []
        self.failing: dict[str, Exception] = {}

    def called(self, name: str) -> Any:
        def call(*_: Any, **settings: Any) -> None:
            self.asked.append(name)
            self.settings |= {name: settings}
            if name in self.failing:
                raise self.failing[name]

        return call

    def deployment(self, **settings: Any) -> Any:
        self.settings = settings
        return lambda target: SimpleNamespace(bind=lambda: target)

    def ingress(self, build: Any) -> Any:
        return lambda: build


@pytest.fixture
def ray(monkeypatch: pytest.MonkeyPatch) -> Recorded:
    module, found = ModuleType("ray"), Recorded()
    for name in ("init", "shutdown"):
        setattr(module, name, found.called(name))
    for name in ("start", "run", "delete"):
        setattr(found, name, found.called(name))
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


def test_a_cluster_is_taken_down_again(ray: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(on_ray, "_wait_for_signal", lambda: ray.asked.append("served"))
    config = ServeConfig(port=8123)
    on_ray.serve_on_ray(config, "local", replicas=(2, 2))
    assert ray.asked == ["init", "start", "run", "served", "delete", "shutdown"]
    assert ray.settings["start"] == {"http_options": {"host": "127.0.0.1", "port": 8123}}
    assert ray.settings["init"]["num_cpus"] >= 3
    on_ray.serve_on_ray(config, "head:6379", replicas=(2, 2))
    assert ray.settings["init"] == {"address": "head:6379"}


def test_what_ray_cannot_do_is_told(ray: Recorded) -> None:
    ray.failing = {"init": ConnectionError("no GCS there")}
    with pytest.raises(WorkzoneError, match=r"Ray at 'head:1' does not start.*no GCS there"):
        on_ray.serve_on_ray(ServeConfig(), "head:1", replicas=(1, 1))
    assert ray.asked == ["init"]
    ray.failing = {"run": RuntimeError("Deploying application workzone failed.")}
    with pytest.raises(WorkzoneError, match=r"not deploy: Deploying .*What its replicas said"):
        on_ray.serve_on_ray(ServeConfig(), "local", replicas=(1, 1))
    assert ray.asked[-3:] == ["run", "delete", "shutdown"]
    ray.failing = {"start": ValueError("a trace\nof lines\naddress in use.")}
    with pytest.raises(
        WorkzoneError, match=r"127\.0\.0\.1 port 8080: address in use\. Name another"
    ):
        on_ray.serve_on_ray(ServeConfig(), "local", replicas=(1, 1))
    assert ray.asked[-3:] == ["start", "delete", "shutdown"]


def test_what_went_wrong_first_is_told(
    ray: Recorded, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """And not what the clearing up says of it."""
    ray.failing = {
        "run": RuntimeError("no replica"),
        "delete": RuntimeError("no such application"),
        "shutdown": OSError("no cluster"),
    }
    with pytest.raises(WorkzoneError, match="no replica"):
        on_ray.serve_on_ray(ServeConfig(), "local", replicas=(1, 1))
    assert ray.asked[-3:] == ["run", "delete", "shutdown"]
    assert "no such application" in caplog.text and "no cluster" in caplog.text
    del ray.failing["run"]
    monkeypatch.setattr(on_ray, "_wait_for_signal", lambda: None)
    on_ray.serve_on_ray(ServeConfig(), "local", replicas=(1, 1))
