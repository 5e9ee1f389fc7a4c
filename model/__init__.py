"""The Qwen2.5-Omni networks in plain PyTorch: maths, streaming forms, weights."""
