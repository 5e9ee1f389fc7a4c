"""Which number format a machine is fast at."""

import torch


def cpu_multiplies_bf16() -> bool:
    """Whether the CPU has instructions for it; without them bfloat16 is slower than float32."""
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16") or able.get("bf16"))


def cpu_steps_in_bf16() -> bool:
    """Whether decode steps, products with one row, are faster in bfloat16 than in float32.

    On two cores of a Xeon with AMX they were not: a step of omni-mini's Thinker took 73 ms, and in
    float32 30 ms with packed matrices (`model.single_rows`), 36 ms without. Why is not known: kept
    from using AMX, the library's bfloat16 took 52 ms. No other CPU was measured.
    """
    return cpu_multiplies_bf16() and not torch.cpu.get_capabilities().get("amx_bf16")


def half_precision() -> torch.autocast:
    """Returns a context for training on the CPU: bfloat16 autocast where that is the faster."""
    return torch.autocast("cpu", torch.bfloat16, enabled=cpu_multiplies_bf16())
