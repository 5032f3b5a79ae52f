"""The default model behind LitServe: a worker per core, each with one thread.

python benchmarks/serving_litserve.py PORT FOLDER

FOLDER holds LitServe; images come as base64 in JSON, which is its own way.
"""

from __future__ import annotations

import base64
import os
import sys
from typing import Any

sys.path.append(sys.argv[2])

import litserve as ls

import workzone
from workzone.cores import core_count


class Judge(ls.LitAPI):
    """The model in a worker."""

    def setup(self, device: str) -> None:
        """Load it."""
        self.model = workzone.load()

    def decode_request(self, request: dict[str, str]) -> bytes:
        """The image's file."""
        return base64.b64decode(request["image"])

    def predict(self, data: bytes) -> workzone.Prediction:
        """Judge one image."""
        return self.model.predict(data)[0]

    def encode_response(self, prediction: workzone.Prediction) -> dict[str, Any]:
        """What is answered."""
        return {"probability": prediction.probability, "decision": prediction.decision}


if __name__ == "__main__":
    cores = core_count()
    os.environ["OMP_NUM_THREADS"] = "1"  # of each worker
    server = ls.LitServer(Judge(), accelerator="cpu", workers_per_device=cores, timeout=120)
    server.run(
        host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="error"
    )
