"""What ``precision: 'auto'`` means on this machine, and what a Trainer's precision means for gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    import lightning


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
    capabilities = torch.cpu.get_capabilities() if accelerator in ("auto", "cpu") else {}
    # Emulated, bfloat16 is slower than fp32.
    native = any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16", "bf16"))
    return "bf16-mixed" if native else "32-true"


def scales_gradients(trainer: lightning.Trainer) -> bool:
    """Whether the loss is scaled, as fp16 needs it, so that gradients must be unscaled before they are clipped."""
    return getattr(trainer.precision_plugin, "scaler", None) is not None
