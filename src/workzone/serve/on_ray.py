"""The same application as a Ray Serve deployment: replicas on the machines of a cluster.

Each replica is the whole service with one worker process. How many there are, where requests go and
how many may wait is Ray's business.
"""

from __future__ import annotations

import dataclasses
import logging
import signal
import threading
from typing import Any

from workzone.cores import core_count
from workzone.errors import UsageError, WorkzoneError
from workzone.ray_import import import_ray
from workzone.serve.app import create_app
from workzone.serve.config import MEGABYTE, ServeConfig
from workzone.serve.service import Service

log = logging.getLogger("workzone.serve")

NAME = "workzone"
_ONGOING = 4
"""Requests that a replica has at a time: one is judged, the next ones are read meanwhile."""
_OBJECT_STORE = 100 * MEGABYTE
"""Of a cluster that is started for this alone: requests do not pass through it."""


def deployment(config: ServeConfig, *, replicas: tuple[int, int]) -> Any:
    """The application for `ray.serve.run`.

    Args:
        config: of each replica; its port and number of workers are not used.
        replicas: the fewest and the most.

    Raises:
        MissingExtraError: Ray Serve is not installed.
        UsageError: no replicas, or fewer than the fewest.
    """
    few, many = replicas
    if not 1 <= few <= many:
        raise UsageError(
            f"--replicas {few}:{many}: at least 1, and the most is not the smaller one"
        )
    serve = import_ray("serve", "workzone serve --ray").serve
    of_replica = dataclasses.replace(config, workers=1)

    def build() -> Any:
        service = Service(of_replica)
        service.start()  # a replica is ready once its model is
        if service.failure is not None:
            raise service.failure
        return create_app(service)

    on_gpu = config.model.device != "cpu"
    deploy = serve.deployment(
        name=NAME,
        ray_actor_options={"num_cpus": 1, "num_gpus": 1 if on_gpu else 0},
        max_ongoing_requests=_ONGOING,
        max_queued_requests=config.limits.queue,
        health_check_period_s=2,
        graceful_shutdown_timeout_s=config.limits.drain_seconds,
        autoscaling_config={
            "min_replicas": few,
            "max_replicas": many,
            "target_ongoing_requests": _ONGOING / 2,
        },
    )
    return deploy(serve.ingress(build)()).bind()


def serve_on_ray(config: ServeConfig, address: str, *, replicas: tuple[int, int]) -> None:
    """Deploy to a cluster and wait for SIGTERM or Ctrl-C; then the deployment is taken down.

    Args:
        config: of each replica, and where Ray's proxy listens.
        address: of the cluster; ``local`` starts one on this machine.
        replicas: the fewest and the most.

    Raises:
        MissingExtraError: Ray Serve is not installed.
        UsageError: see `deployment`.
        WorkzoneError: the cluster does not start or cannot be reached, or no replica comes up.
    """
    application = deployment(config, replicas=replicas)
    ray = import_ray("serve", "workzone serve --ray")
    serve = ray.serve
    own: dict[str, Any] = {"address": address}
    if address == "local":
        own = {
            "num_cpus": max(core_count(), replicas[0] + 1),
            "include_dashboard": False,
            "object_store_memory": _OBJECT_STORE,
        }
    try:
        ray.init(**own)
    except Exception as error:  # Ray has no class for it
        raise WorkzoneError(
            f"Ray at {address!r} does not start, or cannot be reached: {error}. It gives its own "
            "processes few seconds to start: on a busy machine wait, and try again"
        ) from error
    try:
        try:
            serve.start(http_options={"host": config.host, "port": config.port})
        except Exception as error:  # as above; its text is a whole trace, with the cause below
            cause = (str(error).splitlines() or [type(error).__name__])[-1].rstrip(".")
            raise WorkzoneError(
                f"Ray's proxy does not start at {config.host} port {config.port}: {cause}. Name "
                "another --host or --port"
            ) from error
        try:
            serve.run(application, name=NAME, route_prefix="/")
        except RuntimeError as error:
            raise WorkzoneError(
                f"Ray could not deploy: {error} What its replicas said stands above"
            ) from error
        _wait_for_signal()
    finally:
        for end in (lambda: serve.delete(NAME), ray.shutdown):
            try:
                end()
            except Exception as error:  # what came before it says more
                log.warning("Ray was not taken down as a whole: %s", error)


def _wait_for_signal() -> None:
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    while not stopped.wait(1):
        pass
