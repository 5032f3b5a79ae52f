"""The default model behind plain FastAPI: a function that is no coroutine, so in its thread pool.

python benchmarks/serving_plain.py PORT
"""

from __future__ import annotations

import sys
from typing import Any

import uvicorn
from fastapi import Body, FastAPI

import workzone

app, model = FastAPI(), workzone.load()


@app.post("/predict")
def predict(data: bytes = Body(media_type="image/jpeg")) -> dict[str, Any]:
    """Judge one image."""
    (prediction,) = model.predict(data)
    return {"probability": prediction.probability, "decision": prediction.decision}


@app.get("/health")
def health() -> str:
    """Say that it runs."""
    return "ok"


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error")
