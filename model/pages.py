"""Memory of a CPU that counts as used only where it was written, and that can be given back.

Knows the system's anonymous mappings (Linux). Does not know what is kept in them.
"""

from __future__ import annotations

import math
import mmap
import sys
from collections.abc import Sequence

import torch
from torch import Tensor

# Elsewhere a mapping of one's own, or giving a part of it back, is not to be had in this way.
CAN_BE_HAD = sys.platform == "linux"


class Pages:
    """Zeros of a shape, in a mapping of their own.

    Args:
        shape: of `tensor`, with at least one element.
        dtype: of it.

    Raises:
        OSError: the system promises no memory of that size.
    """

    def __init__(self, shape: Sequence[int], dtype: torch.dtype) -> None:
        self._width_bytes = dtype.itemsize
        size_bytes = math.prod(shape) * self._width_bytes
        self._mapping = mmap.mmap(-1, size_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        # One position is a few bytes in many places: each would take two MiB with large pages.
        self._mapping.madvise(mmap.MADV_NOHUGEPAGE)
        self.tensor: Tensor = torch.frombuffer(self._mapping, dtype=dtype).view(*shape)

    def give_back(self, start: int, count: int) -> None:
        """Gives back the whole pages among `count` elements from `start` on; they are zeros again.

        What lies on a page with other elements stays as it is.
        """
        first = -(-start * self._width_bytes // mmap.PAGESIZE) * mmap.PAGESIZE
        last = (start + count) * self._width_bytes // mmap.PAGESIZE * mmap.PAGESIZE
        if last > first:
            self._mapping.madvise(mmap.MADV_DONTNEED, first, last - first)
