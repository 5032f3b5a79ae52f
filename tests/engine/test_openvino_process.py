"""What OpenVINO does to the process that it runs in."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import fresh_process
from workzone.engine.openvino_engine import OpenVinoEngine


def one_product(file: Path) -> None:
    """A graph of a single matrix product."""
    import numpy as np
    import openvino
    from openvino import opset13

    pixels = opset13.parameter([1, 64], np.float32, name="pixels")
    product = opset13.matmul(pixels, np.eye(64, dtype=np.float32), False, False)
    openvino.save_model(openvino.Model([product], [pixels]), file)


def signalled_after_two_engines(file: Path) -> None:
    """Leave with 3 from a handler, as it ought to be."""
    first = OpenVinoEngine({"reader": file})
    second = OpenVinoEngine({"reader": file})
    del first
    del second
    signal.signal(signal.SIGUSR1, lambda *_: os._exit(3))
    os.kill(os.getpid(), signal.SIGUSR1)


def test_signals_arrive_when_one_engine_was_replaced_by_another(tmp_path: Path) -> None:
    one_product(tmp_path / "reader.xml")
    process = fresh_process.start(signalled_after_two_engines, tmp_path / "reader.xml")
    process.join()
    assert process.exitcode == 3
