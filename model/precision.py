"""Which number format a machine is fast at."""

import torch


def cpu_multiplies_bf16() -> bool:
    """Whether the CPU has instructions for it; without them bfloat16 is slower than float32."""
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16") or able.get("bf16"))


def cpu_steps_in_bf16() -> bool:
    """Whether decode steps, products with one row, are faster in bfloat16 than in float32.

    Where there is AMX they are not: the library's products are made for many rows, and a step of
    omni-mini's Thinker took 73 ms, where float32 with packed matrices (`model.single_rows`) took
    30 ms and 36 ms without (two cores of a Xeon, Sapphire Rapids or later).
    """
    return cpu_multiplies_bf16() and not torch.cpu.get_capabilities().get("amx_bf16")


def half_precision() -> torch.autocast:
    """Returns a context for training on the CPU: bfloat16 autocast where that is the faster."""
    return torch.autocast("cpu", torch.bfloat16, enabled=cpu_multiplies_bf16())
