"""Which number format a machine is fast at."""

import torch


def cpu_multiplies_bf16() -> bool:
    """Whether the CPU has instructions for it; without them bfloat16 is slower than float32."""
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16") or able.get("bf16"))


def half_precision() -> torch.autocast:
    """Returns a context for training on the CPU: bfloat16 autocast where that is the faster."""
    return torch.autocast("cpu", torch.bfloat16, enabled=cpu_multiplies_bf16())
