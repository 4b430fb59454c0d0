"""What ``precision: 'auto'`` means on this machine."""

from __future__ import annotations

import torch


def best_precision(accelerator: str = "auto") -> str:
    """The fastest precision that trains as well as fp32 on the hardware that a run will use.

    Args:
        accelerator: Lightning's name; ``auto`` and ``gpu`` take the GPU where there is one.

    Returns:
        A value for the Trainer's ``precision``: ``bf16-mixed`` where the hardware computes in bfloat16,
        ``16-mixed`` on older CUDA GPUs, else ``32-true``.
    """
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"
    if accelerator in ("auto", "cpu") and _cpu_computes_bf16():
        return "bf16-mixed"
    return "32-true"


def _cpu_computes_bf16() -> bool:
    """Whether this processor multiplies bfloat16 natively; emulated, it is slower than fp32."""
    capabilities: dict = getattr(torch.cpu, "get_capabilities", dict)()
    if capabilities:
        return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    probe = getattr(torch.cpu, "_is_avx512_bf16_supported", None)  # before torch 2.12
    return bool(probe and probe())
