"""What every service has: tokens, counts, requests that it has accepted, and an end in peace."""

from __future__ import annotations

import logging
import time
from typing import Any

from workzone.errors import UsageError, WorkzoneError
from workzone.serve.config import HttpConfig
from workzone.serve.metrics import Metrics
from workzone.serve.problems import Problem
from workzone.serve.tokens import Tokens

log = logging.getLogger("workzone.serve")


class BaseService:
    """A service that is ready at once, and has nothing to start or to stop."""

    def __init__(self, config: HttpConfig, metrics: Metrics) -> None:
        """Start nothing yet.

        Raises:
            UsageError: the tokens cannot be read.
        """
        self.config, self.metrics = config, metrics
        self.draining = False
        self.accepted = 0  # requests without their answer
        self.failure: WorkzoneError | None = None  # why it cannot start
        self._tokens = None if config.tokens is None else Tokens(config.tokens)
        self._next_look = 0.0

    def start(self) -> None:
        """Make ready; where that fails, `failure` says why. Called in a thread."""

    def stop(self) -> None:
        """End what `start` started. Called in a thread."""

    def refuse_rest(self) -> None:
        """Say of requests that wait for long that there will be no answer; in the event loop."""

    def readiness(self) -> tuple[bool, dict[str, Any]]:
        """Whether requests are taken now, and why."""
        return not self.draining, {"status": "draining" if self.draining else "ready"}

    def admit(self) -> None:
        """Refuse what would be refused later, before its body is read.

        Raises:
            Problem: draining, or what a service adds.
        """
        if self.draining:
            detail = "the service is about to stop: ask another, or again in a moment"
            raise Problem("draining", detail, headers={"Retry-After": "2", "Connection": "close"})

    def check_token(self, authorization: str | None) -> None:
        """Make sure that who asks may ask.

        Raises:
            Problem: unauthorised.
        """
        if self._tokens is None:
            return
        now = time.monotonic()
        if now >= self._next_look:
            self._next_look = now + 1
            try:
                self._tokens.reload()
            except UsageError as error:
                log.error("%s; those from before go on", error)
        self._tokens.check(authorization)
