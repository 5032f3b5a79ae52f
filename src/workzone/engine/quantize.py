"""From a graph in float32 to one in int8, with ranges measured on images (static, per channel).

Products with weights become products of bytes: unsigned activations, signed weights with a scale
per channel. What a graph computes beside them stays in floats; where all together do not pass the
gate, so do the first and last of them (Krishnamoorthi 2018, arXiv 1806.08342). The tool is ONNX
Runtime's quantiser; its nodes (QuantizeLinear, DequantizeLinear) stand in the ONNX standard, and
OpenVINO reads them too.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from workzone.engine.program import Seen
from workzone.engine.tracing import quiet
from workzone.errors import MissingExtraError
from workzone.views import ViewLayout, halved

KEPT_FLOAT = ((0, 0), (3, 0), (3, 3), (9, 9))
"""How many weights at the beginning and at the end of a graph stay in floats, tried in this order
until one passes: of the embedded backbones the first bring most."""

_PRODUCTS = ("Conv", "MatMul", "Gemm")


def given_to_reader(images: Sequence[Seen], layout: ViewLayout) -> list[npt.NDArray[np.uint8]]:
    """What a reader is given of images, uint8 ``[V, 3, h, w]`` each: views, and their halves."""
    views = [image.pixels for image in images]
    if layout.halves:
        views += [np.stack([halved(view) for view in pixels]) for pixels in views]
    return views


def quantise(
    file: Path, images: Sequence[npt.NDArray[np.uint8]], made: Path, *, kept: tuple[int, int]
) -> bool:
    """Write a graph in int8.

    Args:
        file: the reader's graph, ``.onnx`` in float32.
        images: uint8 ``[V, 3, h, w]`` each, to measure ranges on.
        made: ``.onnx`` to write.
        kept: how many weights at the beginning and at the end stay in floats.

    Returns:
        Whether there is one left to be int8; if not, nothing is written.

    Raises:
        MissingExtraError: what quantises is not installed.
    """
    try:
        import onnx
        from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
        from onnxruntime.quantization.shape_inference import quant_pre_process
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name), "train", "int8") from error
    with tempfile.TemporaryDirectory() as folder, quiet():
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(file, prepared, skip_symbolic_shape=True)
        plain, left = _ends(onnx.load(prepared), kept)
        if not left:
            return False
        quantize_static(
            prepared,
            made,
            _Views(images),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=[*_PRODUCTS, "Clip", "Relu"],
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=plain,
            extra_options={"MatMulConstBOnly": True},  # attention's products stay in floats
        )
    return True


class _Views:
    """Calibration images, one after the other, as ONNX Runtime's quantiser asks for them."""

    def __init__(self, images: Sequence[npt.NDArray[np.uint8]]) -> None:
        self._left: Iterator[npt.NDArray[np.uint8]] = iter(images)

    def get_next(self) -> dict[str, npt.NDArray[np.uint8]] | None:
        views = next(self._left, None)
        return None if views is None else {"pixels": views}


def _ends(model: Any, kept: tuple[int, int]) -> tuple[list[str], int]:
    """Names of the products with the first and last so many weights, and how many weights are left.

    A weight that is used twice counts once.
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    by_weight: dict[str, list[str]] = {}
    for node in model.graph.node:
        if node.op_type in _PRODUCTS:
            for name in set(node.input[:2]) & constants:
                by_weight.setdefault(name, []).append(node.name)
    users = list(by_weight.values())
    first, last = kept
    left = max(0, len(users) - first - last)
    ends = [*users[:first], *users[first + left :]]
    return sorted({name for names in ends for name in names}), left
