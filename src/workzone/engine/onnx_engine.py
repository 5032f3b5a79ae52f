"""ONNX Runtime: the engine of the base install, in float32 or int8, as the graph itself is."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from workzone.cores import core_count
from workzone.engine.int8 import check_onnx
from workzone.engine.per_core import OnePerCore
from workzone.engine.program import Array, Arrays, GraphName
from workzone.engine.providers import PROVIDERS, check_device, check_session
from workzone.engine.sizes import check_sizes
from workzone.errors import UsageError


class OnnxEngine:
    """Sessions, one per graph."""

    name = "onnx"

    def __init__(
        self,
        files: Mapping[GraphName, Path],
        *,
        precision: str = "float32",
        threads: int = 0,
        device: str = "cpu",
    ) -> None:
        """Load the graphs.

        Args:
            files: the graphs.
            precision: of the graphs as they were exported: ONNX Runtime computes in the types that
                stand in the graph.
            threads: to use in all; 0: as many as there are cores.
            device: of :data:`workzone.engine.providers.PROVIDERS`.

        Raises:
            UsageError: ONNX Runtime is not installed, or does not compute on the device.
            BundleError: the graphs are not in int8, and should be.
        """
        try:
            import onnxruntime
        except ModuleNotFoundError as error:
            raise UsageError(
                "engine onnx: ONNX Runtime is not installed: pip install onnxruntime"
            ) from error
        check_device(device, precision, onnxruntime.get_available_providers())
        self.precision, self.device = precision, device
        # On a processor one is as fast as many, and takes a fraction of the memory.
        self.views_at_once = 1 if device == "cpu" else 64
        self.streams = (threads or core_count()) if device == "cpu" else 1
        self._files = files
        self._sessions = self._load(self.streams)
        if precision == "int8" and files:
            self._check_int8()
        self._of_streams = OnePerCore(lambda: self._load(1) if self.streams > 1 else self._sessions)

    def _load(self, threads: int) -> dict[str, Any]:
        """Sessions of so many threads, by graph."""
        import onnxruntime

        return {
            name: _session(onnxruntime, file, _options(onnxruntime, threads), self.device)
            for name, file in self._files.items()
        }

    def _check_int8(self) -> None:
        """Read back, from the reader as it is run, what it computes in."""
        import onnxruntime

        file = self._files["reader"]
        with tempfile.TemporaryDirectory() as folder:
            options = _options(onnxruntime, 1)
            optimised = Path(folder) / file.name
            options.optimized_model_filepath = str(optimised)
            _session(onnxruntime, file, options, self.device)
            check_onnx(optimised, file)

    def begin_stream(self) -> None:
        """Let the calling thread take one core from here on."""
        self._of_streams.begin()

    def run(self, graph: GraphName, inputs: Arrays) -> dict[str, Array]:
        """The outputs of a graph, by name; inputs that the graph has no use for are left out.

        Raises:
            UsageError: an input of a size that the graph does not take.
        """
        session = (self._of_streams.mine() or self._sessions)[graph]
        wanted = {slot.name: slot.shape for slot in session.get_inputs()}
        for name, sizes in wanted.items():
            fixed = [size if isinstance(size, int) else None for size in sizes]
            check_sizes(graph, name, inputs[name].shape, fixed)
        feed = {n: np.ascontiguousarray(value) for n, value in inputs.items() if n in wanted}
        names = [slot.name for slot in session.get_outputs()]
        return dict(zip(names, session.run(names, feed), strict=True))


def _session(onnxruntime: Any, file: Path, options: Any, device: str) -> Any:
    providers = [(provider, dict(more)) for provider, more in PROVIDERS[device].items()]
    try:
        session = onnxruntime.InferenceSession(
            str(file), options, providers=providers, enable_fallback=0
        )
    except Exception as error:
        if device == "cpu":
            raise
        raise UsageError(
            f"engine onnx does not start on {device} ({error}): look after its driver and "
            "libraries, or leave out --device"
        ) from error
    check_session(device, session)
    return session


def _options(onnxruntime: Any, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Threads that spin while they wait take the processor from whatever runs beside them.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return options
