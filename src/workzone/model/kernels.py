"""Which kernels attention runs on, and the fastest of them switched on."""

from __future__ import annotations

import logging

import torch

from workzone.model.config import DetectorConfig

logger = logging.getLogger(__name__)


def log_attention_kernel(config: DetectorConfig, device: torch.device) -> None:
    """`activate_fastest_attention` for a detector on ``device``, if it attends to views at all."""
    in_encoder = config.encoder.depth > 0 and config.encoder.mixer == "softmax"
    if in_encoder or config.fusion == "gated":
        activate_fastest_attention(device)


def activate_fastest_attention(device: torch.device) -> str:
    """Switch on Flash Attention 3 where it can run, and say which kernels attention will use.

    Flash Attention 3 (Shah et al. 2024, arXiv 2407.08608) needs a GPU of compute capability 9.0,
    a torch that can take it over, and its package. It then serves calls in half precision without
    mask, bias and second derivatives; torch picks a built-in kernel for all others.

    Returns:
        One line, which is also logged at level INFO.
    """
    if device.type == "cuda":
        obstacle = _activate_flash_attention_3(device)
        if obstacle is None:
            line = (
                "attention: Flash Attention 3 for float16 and bfloat16 without mask or bias, "
                f"torch's built-in kernels otherwise ({device})"
            )
        else:
            line = (
                "attention: torch's built-in kernels of scaled_dot_product_attention "
                f"({device}; no Flash Attention 3: {obstacle})"
            )
    else:
        line = f"attention: torch's built-in kernels of scaled_dot_product_attention ({device})"
    logger.info(line)
    return line


def _activate_flash_attention_3(device: torch.device) -> str | None:
    """Activate it for this process; what stood in the way, or None."""
    capability = torch.cuda.get_device_capability(device)
    if capability != (9, 0):
        return f"it needs compute capability 9.0, this GPU has {capability[0]}.{capability[1]}"
    activate = getattr(torch.nn.attention, "activate_flash_attention_impl", None)
    if activate is None:
        return f"torch {torch.__version__} cannot take it over"
    try:
        activate("FA3")
    except ImportError:
        return "the package flash_attn_interface is not installed"
    except (RuntimeError, ValueError) as error:
        return " ".join(str(error).split())
    return None
