"""ONNX Runtime: the engine of the base install, in float32 or int8, as the graph itself is."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from workzone.engine.int8 import check_onnx
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
            threads: of each session; 0: as many as there are cores.
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
        # On a processor one is as fast as many, and takes a fraction of the memory.
        self.views_at_once = 1 if device == "cpu" else 64
        self.precision = precision
        with tempfile.TemporaryDirectory() as folder:
            self._sessions: dict[str, Any] = {}
            for name, file in files.items():
                options = _options(onnxruntime, threads)
                optimised = Path(folder) / file.name
                if precision == "int8" and name == "reader":
                    options.optimized_model_filepath = str(optimised)
                session = _session(onnxruntime, file, options, device)
                if optimised.exists():
                    check_onnx(optimised, file)
                self._sessions[name] = session

    def run(self, graph: GraphName, inputs: Arrays) -> dict[str, Array]:
        """The outputs of a graph, by name; inputs that the graph has no use for are left out.

        Raises:
            UsageError: an input of a size that the graph does not take.
        """
        session = self._sessions[graph]
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
