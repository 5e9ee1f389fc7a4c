"""Texts that begin alike, as one tree of tokens: the Thinker reads what they share only once.

Knows a trunk that all of them go on from, and which position may see which. Does not know caches:
the tree is read in one offline pass.

Source: Miao et al., "SpecInfer", 2024 (tree attention); here all branches are only scored.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from model.layers import Attend


@dataclass(slots=True)
class TokenTree:
    """A trunk and the branches that go on from it.

    Attributes:
        ids: token of each node; parents come before their children.
        parents: index of each node's parent; -1 for the root.
    """

    ids: list[int] = field(default_factory=list)
    parents: list[int] = field(default_factory=list)
    _children: dict[tuple[int, int], int] = field(default_factory=dict)

    def add(self, ids: Sequence[int], behind: int = -1) -> list[int]:
        """Adds a run of tokens behind a node -> the nodes it takes, old ones where it can."""
        path = []
        for id_ in ids:
            node = self._children.get((behind, id_))
            if node is None:
                node = self._children[behind, id_] = len(self.ids)
                self.ids.append(id_)
                self.parents.append(behind)
            path.append(node)
            behind = node
        return path

    def position_ids(self) -> Tensor:
        """[3, 1, nodes]: how deep each node is, on all axes of TMRoPE."""
        depths: list[int] = []
        for parent in self.parents:
            depths.append(depths[parent] + 1 if parent >= 0 else 0)
        return torch.tensor(depths).expand(3, 1, -1)

    def sees(self) -> Tensor:
        """[nodes, nodes] bool: row n is true at n and all that it goes on from."""
        seen = torch.eye(len(self.ids), dtype=torch.bool)
        for node, parent in enumerate(self.parents):
            if parent >= 0:
                seen[node] |= seen[parent]
        return seen


def attend_where(sees: Tensor) -> Attend:
    """An `Attend` for positions that may see those that `sees` [T, T] says, and no others."""

    def attend(layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(query, key, value, attn_mask=sees, enable_gqa=True)

    return attend
