"""Where ONNX Runtime computes: the device, as its execution providers and their options.

ONNX Runtime falls back to the processor without a word, and rounds float32 to TF32 on GPUs. So the
provider is asked for by name, with each switch that rounds turned off, and both are read back.

Sources: onnxruntime.ai/docs/execution-providers (CUDA: ``use_tf32``; TensorRT: ``trt_fp16_enable``,
``trt_int8_enable``); that TensorRT has no switch of its own for TF32: onnxruntime issue 26029.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Protocol

from workzone.errors import UsageError, nearest

_CUDA = {"use_tf32": "0"}

PROVIDERS: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "cpu": {"CPUExecutionProvider": {}},
    "cuda": {"CUDAExecutionProvider": _CUDA},
    "tensorrt": {
        "TensorrtExecutionProvider": {"trt_fp16_enable": "0", "trt_int8_enable": "0"},
        "CUDAExecutionProvider": _CUDA,  # of what TensorRT does not take
    },
}
"""By device, the providers in order of preference, and the options that keep float32 so."""

TF32_SWITCH = "NVIDIA_TF32_OVERRIDE"
"""Environment variable; libraries read it once, when the first of them starts."""


class _Session(Protocol):
    def get_providers(self) -> Sequence[str]: ...

    def get_provider_options(self) -> Mapping[str, Mapping[str, str]]: ...


def check_device(device: str, precision: str, available: Sequence[str]) -> None:
    """Make sure, before a session is made, that a device is there and computes in a precision.

    Args:
        device: of `PROVIDERS`.
        precision: float32 or int8.
        available: the providers that this ONNX Runtime was built with.

    Raises:
        UsageError: it is unknown, not there, or would compute in another precision.
    """
    if device not in PROVIDERS:
        raise UsageError(f"engine onnx: device {device!r} is unknown; {nearest(device, PROVIDERS)}")
    if device == "cpu":
        return
    if precision != "float32":
        raise UsageError(
            f"engine onnx computes in {precision} on the processor alone: leave out --device, or "
            "export the model in float32"
        )
    missing = [name for name in PROVIDERS[device] if name not in available]
    if missing:
        more = " and NVIDIA's TensorRT libraries" if device == "tensorrt" else ""
        raise UsageError(
            f"engine onnx: this ONNX Runtime has no {missing[0]}: pip uninstall onnxruntime, then "
            f"pip install onnxruntime-gpu{more}; or leave out --device"
        )
    if device == "tensorrt" and os.environ.get(TF32_SWITCH) != "0":
        raise UsageError(
            f"TensorRT rounds float32 to TF32 unless {TF32_SWITCH} is 0 when the program starts: "
            f"set {TF32_SWITCH}=0 in the environment"
        )


def check_session(device: str, session: _Session) -> None:
    """Make sure that a session runs where it was asked to, with the options that it was given.

    Raises:
        UsageError: it runs elsewhere, or rounds.
    """
    first = next(iter(PROVIDERS[device]))
    chosen = session.get_providers()
    if not chosen or chosen[0] != first:
        raise UsageError(
            f"engine onnx: asked for {first}, ONNX Runtime fell back to "
            f"{', '.join(chosen) or 'nothing'}: its CUDA, cuDNN or TensorRT libraries do not load; "
            "install those that its version asks for, or leave out --device"
        )
    chosen_options = session.get_provider_options()
    for provider, options in PROVIDERS[device].items():
        for name, value in options.items():
            found = chosen_options.get(provider, {}).get(name)
            if found != value:
                raise UsageError(
                    f"engine onnx: asked {provider} for {name}={value}, it has {found}, which is "
                    "not float32; use another version of onnxruntime-gpu, or leave out --device"
                )
