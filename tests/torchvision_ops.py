"""torchvision beside a torch without CUDA.

Its wheels on PyPI are built for torch with CUDA, and their operators do not load beside another
build; then torchvision does not even import, for two operators that it only describes. Nothing of
the reference runs them: it scales pictures with torch's own filter.
"""

import importlib.metadata
import importlib.util

OPERATORS = ("nms", "qnms")
SIGNATURE = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_libraries = []


def make_importable():
    """Declares what is missing, where torchvision is installed and torch is without CUDA."""
    if importlib.util.find_spec("torchvision") is None or _libraries:
        return
    if "+cpu" not in importlib.metadata.version("torch"):
        return
    if "+cpu" in importlib.metadata.version("torchvision"):
        return
    import torch

    library = torch.library.Library("torchvision", "DEF")
    for name in OPERATORS:
        library.define(name + SIGNATURE)
    _libraries.append(library)
