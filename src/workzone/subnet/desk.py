"""Miners that are started for a while: on loopback, in this process, with workers of their own."""

from __future__ import annotations

import contextlib
import logging
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from workzone.decide.bundle_json import DEFAULT_MODEL
from workzone.errors import WorkzoneError
from workzone.run.model_choice import ModelChoice
from workzone.serve.config import ServeConfig
from workzone.serve.server import listen
from workzone.subnet.keys import new_key
from workzone.subnet.miner import MinerConfig, make_miner, miner_limits, miner_model
from workzone.subnet.rates import Rates
from workzone.subnet.replays import Replays
from workzone.subnet.wire.posting import Target

LOADING = 300.0
"""Seconds for a model to load."""
_FAST = Rates(per_second=1000.0, burst=1000)


class Only:
    """One hotkey may ask."""

    def __init__(self, hotkey: str) -> None:
        self._hotkey = hotkey

    def why_not(self, hotkey: str) -> str:
        """See `workzone.subnet.callers.Callers`."""
        return "" if hotkey == self._hotkey else "only the desk's own validator may ask"


@contextlib.contextmanager
def running(config: ServeConfig, address: str, validator: str) -> Iterator[str]:
    """The address of a miner that runs meanwhile, at 127.0.0.1.

    Args:
        config: of its service.
        address: its hotkey.
        validator: the one hotkey that may ask.

    Raises:
        UsageError: its port cannot be listened at.
        WorkzoneError: its model cannot be loaded, in time.
    """
    with contextlib.ExitStack() as stack:
        log = logging.getLogger("workzone.serve")
        stack.callback(log.setLevel, log.level)
        log.setLevel(logging.WARNING)  # a line for each request is nothing for a terminal
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        replays = stack.enter_context(contextlib.closing(Replays(folder / "accepted.sqlite")))
        own = MinerConfig(hotkey=address, rates=_FAST)
        server = make_miner(config, own, Only(validator), replays)
        listener = stack.enter_context(listen(config))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            end = time.monotonic() + LOADING
            while not server.service.readiness()[0]:
                if server.service.failure is not None:
                    raise server.service.failure
                if time.monotonic() > end:
                    raise WorkzoneError(f"the model was not loaded in {LOADING:.0f} s")
                time.sleep(0.05)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@contextlib.contextmanager
def started(
    models: Sequence[str | None],
    validator: str,
    *,
    workers: int | None = None,
    engine: str | None = None,
    size: int | None = None,
) -> Iterator[list[Target]]:
    """A miner for each model, side by side.

    Args:
        models: folders or names; None: the model that comes with workzone.
        validator: the one hotkey that may ask.
        workers: processes of each.
        engine: that runs the models.
        size: of their views; None: as `miner_model` chooses.

    Raises:
        WorkzoneError: a model cannot be loaded.
    """
    targets: list[Target] = []
    with contextlib.ExitStack() as stack:
        for model in models:
            config = ServeConfig(
                port=0,
                workers=workers,
                model=miner_model(ModelChoice(model=model, engine=engine, size=size)),
                limits=miner_limits(),
            )
            address = new_key().ss58_address
            url = stack.enter_context(running(config, address, validator))
            targets.append(Target(address, url, model or DEFAULT_MODEL))
        yield targets
