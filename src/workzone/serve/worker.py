"""A process that loads a model and judges what it is sent, until the service hangs up.

python -m workzone.serve.worker DESCRIPTOR, with the descriptor of a socket; see `wire`.
"""

from __future__ import annotations

import base64
import io
import signal
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from workzone.decide.bundle_json import shipped_bundle, shipped_name
from workzone.errors import BundleError, ImageError, UsageError, WorkzoneError
from workzone.run.images import Encoded
from workzone.run.metadata import sample_from
from workzone.run.model_choice import ModelChoice
from workzone.run.objects import found_objects
from workzone.run.overlay import explained
from workzone.run.pipeline import Pipeline, Result
from workzone.run.predictor import Predictor
from workzone.serve.config import OPTIONS
from workzone.serve.wire import Order, receive, receive_orders, send

if TYPE_CHECKING:
    from workzone.types import Sample

CARD = "MODEL_CARD.md"


class Judge:
    """A loaded model, and what a service wants to know of it."""

    def __init__(self, choice: dict[str, Any]) -> None:
        """Load a model by the fields of `ModelChoice`, and judge a warm-up image.

        Raises:
            WorkzoneError: see :func:`workzone.load`; the model gave no finite probability.
        """
        self._model = choice["model"]
        self._predictor: Predictor = ModelChoice(**choice).load()
        self._pipelines: dict[tuple[bool, bool], Pipeline] = {}  # by masks and unsure
        engine = self._predictor.program.engine
        # With one stream a thread of its own would only be a second copy of the model.
        several = engine.device == "cpu" and engine.streams > 1
        self._stream = ThreadPoolExecutor(1, initializer=engine.begin_stream) if several else None
        self.warm_up = [self._warm_up(alone=alone) for alone in (True, False)]

    def _warm_up(self, *, alone: bool) -> float:
        """The probability of a grey image.

        Raises:
            BundleError: it is no finite number.
        """
        buffer = io.BytesIO()
        Image.fromarray(np.full((240, 320, 3), 127, np.uint8)).save(buffer, "JPEG")
        (answer,) = self.judge([Order("warm-up", buffer.getvalue())], alone=alone)
        if "error" in answer:
            raise BundleError(f"the model fails on a warm-up image: {answer['error']}")
        return float(answer["probability"])

    def about(self) -> dict[str, Any]:
        """What `/v1/model` says, and the options of requests that this model has."""
        program = self._predictor.program
        description, engine = program.description, program.engine
        calibration, with_metadata = description.calibration, description.metadata_calibration
        layout = description.spec.layout
        views = description.views_read
        return {
            "model": str(self._model or shipped_name(None)),
            "identity": self._predictor.identity(),
            "engine": engine.name,
            "precision": engine.precision,
            "device": engine.device,
            "view_size": layout.view_size,
            "takes_metadata": self._predictor.takes_metadata,
            "calibration": asdict(calibration),
            "metadata_calibration": with_metadata and asdict(with_metadata),
            "backbone": description.spec.backbone,
            "backbone_licence": description.backbone_licence,
            "card": self._card(),
            "options": [name for name in OPTIONS if name != "masks" or description.config.masks],
            "doubts": description.doubt_note(),
            "batch": 1 if engine.device == "cpu" else max(1, engine.views_at_once // views),
            "warm_up": self.warm_up,
        }

    def _card(self) -> str:
        name = shipped_name(None if self._model is None else Path(self._model))
        folder = Path(self._model) if name is None else shipped_bundle(name)
        card = folder / CARD
        return card.read_text(encoding="utf-8") if card.is_file() else ""

    def judge(self, orders: Sequence[Order], *, alone: bool) -> list[dict[str, Any]]:
        """Answers in order: the fields of a `Prediction`, or an error with its code."""
        if alone or self._stream is None:
            return self._judge(orders)
        return self._stream.submit(self._judge, orders).result()

    def _pipeline(self, masks: bool, unsure: bool) -> Pipeline:
        """What judges orders that ask for these."""
        if (masks, unsure) not in self._pipelines:
            doubts = "abstain" if unsure else "off"
            made = Pipeline(self._predictor.program, masks=masks, unsure=doubts)
            self._pipelines[masks, unsure] = made
        return self._pipelines[masks, unsure]

    def _judge(self, orders: Sequence[Order]) -> list[dict[str, Any]]:
        def load_order(order: Order) -> Encoded:
            return Encoded(order.data, order.name)

        def sample_of(order: Order) -> Sample:
            return sample_from(order.metadata, order.name)

        kinds = {(order.masks, order.unsure) for order in orders}
        if len(kinds) > 1:
            return [answer for order in orders for answer in self._judge([order])]
        try:
            inputs = [(order.name, order) for order in orders]
            pipeline = self._pipeline(*kinds.pop())
            results = list(pipeline.run(inputs, load_order, sample_of=sample_of))
        except Exception as error:  # whatever it is, the other images and the process go on
            if len(orders) > 1:
                return [answer for order in orders for answer in self._judge([order])]
            if isinstance(error, BundleError):  # as local scoring says it
                return [{"error": str(error), "code": "model-failed"}]
            return [{"error": f"{type(error).__name__}: {error}", "code": "internal"}]
        return [
            self._answer(order, result) for order, (_, result) in zip(orders, results, strict=True)
        ]

    def _answer(self, order: Order, result: Result | ImageError) -> dict[str, Any]:
        if isinstance(result, ImageError):
            return {"error": str(result), "code": "image-unusable", "reason": result.code}
        answer = asdict(result.prediction)
        if order.explain:
            answer["explanation"] = self._explanation(result)
        if order.masks:
            answer["objects"] = [asdict(one) for one in found_objects(result.answer)]
        return answer

    def _explanation(self, result: Result) -> dict[str, Any]:
        overlay, layer = explained(result, self._predictor.description.spec)
        return {
            "overlay": _picture(overlay, "JPEG", quality=90),
            "layer": _picture(layer, "PNG"),
        }


def _picture(image: Image.Image, kind: str, **how: Any) -> dict[str, str]:
    buffer = io.BytesIO()
    image.save(buffer, kind, **how)
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return {"media_type": f"image/{kind.lower()}", "data": data}


def main() -> int:
    """Say what was loaded, then judge until there is nobody to answer."""
    for number in (signal.SIGINT, signal.SIGTERM):  # the service lets its workers finish
        signal.signal(number, signal.SIG_IGN)
    connection = Connection(int(sys.argv[1]))
    try:
        judge = Judge(receive(connection))
        about = judge.about()
    except WorkzoneError as error:
        send(connection, {"failure": str(error), "usage": isinstance(error, UsageError)})
        return 1
    send(connection, about)
    while True:
        try:
            orders, alone = receive_orders(connection)
            begin = time.perf_counter()
            answers = judge.judge(orders, alone=alone)
            seconds = time.perf_counter() - begin
            send(connection, {"answers": answers, "seconds": seconds})
        except (EOFError, OSError):  # the service is gone
            return 0


if __name__ == "__main__":
    sys.exit(main())
