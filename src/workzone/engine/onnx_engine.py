"""ONNX Runtime: the engine of the base install, in float32 (or int8, as the graph itself is)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from workzone.engine.program import Array, Arrays, GraphName
from workzone.errors import UsageError


class OnnxEngine:
    """Sessions on the processor, one per graph."""

    name = "onnx"
    views_at_once = 1  # as fast as many on a processor, and a fraction of the memory

    def __init__(
        self, files: Mapping[GraphName, Path], *, precision: str = "float32", threads: int = 0
    ) -> None:
        """Load the graphs.

        Args:
            files: the graphs.
            precision: of the graphs as they were exported: ONNX Runtime computes in the types that
                stand in the graph.
            threads: of each session; 0: as many as there are cores.

        Raises:
            UsageError: ONNX Runtime is not installed.
        """
        try:
            import onnxruntime
        except ModuleNotFoundError as error:
            raise UsageError(
                "engine onnx: ONNX Runtime is not installed: pip install onnxruntime"
            ) from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        # Threads that spin while they wait take the processor from whatever runs beside them.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        providers = ["CPUExecutionProvider"]
        self.precision = precision
        self._sessions: dict[str, Any] = {
            name: onnxruntime.InferenceSession(str(file), options, providers=providers)
            for name, file in files.items()
        }

    def run(self, graph: GraphName, inputs: Arrays) -> dict[str, Array]:
        """The outputs of a graph, by name; inputs that the graph has no use for are left out."""
        session = self._sessions[graph]
        wanted = {slot.name for slot in session.get_inputs()}
        feed = {n: np.ascontiguousarray(value) for n, value in inputs.items() if n in wanted}
        names = [slot.name for slot in session.get_outputs()]
        return dict(zip(names, session.run(names, feed), strict=True))
