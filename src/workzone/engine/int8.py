"""What a program in int8 asks of a graph and of the processor."""

from __future__ import annotations

import platform
from pathlib import Path

from workzone.errors import BundleError, UsageError

INT8 = ("int8", "int8-bfloat16")
"""Precisions whose products with weights are products of bytes; what is left computes in float32,
or in bfloat16."""

_FUSED = (b"QLinearConv", b"QLinearMatMul", b"MatMulIntegerToFloat", b"QGemm")
"""Operations of ONNX Runtime that multiply bytes."""


def check_processor(*, cpuinfo: Path = Path("/proc/cpuinfo")) -> None:
    """Make sure that the processor multiplies bytes without saturation.

    x86 without VNNI adds pairs of products in 16 bits, which overflow in silence (onnxruntime and
    NNCF docs): answers would differ from those that passed the gate. Where nothing tells, as
    outside Linux, it is taken for able.

    Raises:
        UsageError: it does not.
    """
    if platform.machine().lower() not in ("x86_64", "amd64") or not cpuinfo.is_file():
        return
    if "vnni" not in cpuinfo.read_text(encoding="utf-8", errors="replace"):
        raise UsageError(
            "int8: this processor lacks VNNI and would overflow in silence; use a model "
            "exported with --precision float32"
        )


def check_onnx(optimised: Path, file: Path) -> None:
    """Make sure that ONNX Runtime made operations on bytes of a graph.

    Args:
        optimised: the graph as ONNX Runtime runs it; operations stand in it by name.
        file: the graph as exported, to name.

    Raises:
        BundleError: it did not.
    """
    held = optimised.read_bytes()
    if not any(name in held for name in _FUSED):
        raise _not_int8(file)


def check_openvino(types: list[tuple[str, str]], file: Path) -> None:
    """Make sure that OpenVINO multiplies bytes.

    Args:
        types: of every operation as it is run, its kind and the type that it computes in.
        file: the graph, to name.

    Raises:
        BundleError: it does not.
    """
    heavy = ("Convolution", "FullyConnected", "MatMul")
    if not any(kind in heavy and computed in ("u8", "i8") for kind, computed in types):
        raise _not_int8(file)


def _not_int8(file: Path) -> BundleError:
    return BundleError(
        f"{file} says that it is int8, and no convolution or product in it is: export the model "
        "again (workzone export)"
    )
