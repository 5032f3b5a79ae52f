from __future__ import annotations

import logging

import pytest
import torch

from workzone.model.kernels import activate_fastest_attention


def fails_with(error: Exception):
    def activate(name: str) -> None:
        assert name == "FA3"
        raise error

    return activate


def test_the_kernel_on_a_processor_is_said(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="workzone"):
        line = activate_fastest_attention(torch.device("cpu"))
    assert line == "attention: torch's built-in kernels of scaled_dot_product_attention (cpu)"
    assert caplog.messages == [line]


@pytest.mark.parametrize(
    ("capability", "error", "reason"),
    [
        ((8, 0), None, "it needs compute capability 9.0, this GPU has 8.0"),
        ((10, 0), None, "it needs compute capability 9.0, this GPU has 10.0"),
        ((9, 0), ImportError("no"), "the package flash_attn_interface is not installed"),
        ((9, 0), RuntimeError("Module\n lacks bwd"), "Module lacks bwd"),
        ((9, 0), ValueError("Unknown 'FA3'"), "Unknown 'FA3'"),
    ],
)
def test_why_there_is_no_flash_attention_3(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capability: tuple[int, int],
    error: Exception | None,
    reason: str,
) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    activate = fails_with(error or AssertionError("must not be tried on this GPU"))
    monkeypatch.setattr(torch.nn.attention, "activate_flash_attention_impl", activate)
    with caplog.at_level(logging.INFO, logger="workzone"):
        line = activate_fastest_attention(torch.device("cuda:0"))
    assert line.endswith(f"(cuda:0; no Flash Attention 3: {reason})")
    assert "\n" not in line
    assert caplog.messages == [line]


def test_an_old_torch_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.delattr(torch.nn.attention, "activate_flash_attention_impl", raising=False)
    line = activate_fastest_attention(torch.device("cuda"))
    assert f"no Flash Attention 3: torch {torch.__version__} cannot take it over" in line


def test_flash_attention_3_where_it_can_run(monkeypatch: pytest.MonkeyPatch) -> None:
    activated: list[str] = []
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    monkeypatch.setattr(
        torch.nn.attention, "activate_flash_attention_impl", activated.append, raising=False
    )
    line = activate_fastest_attention(torch.device("cuda:0"))
    assert activated == ["FA3"]
    assert line.startswith("attention: Flash Attention 3 for float16 and bfloat16 without mask")
