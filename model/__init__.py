"""The networks of Qwen2.5-Omni in plain PyTorch, one readable file each, with their streaming forms."""
