"""A tree of texts, read at once, against each text by itself."""

import pytest
import torch

from model.thinker import Thinker
from model.token_tree import TokenTree, attend_where
from tests.model import tiny

TRUNK = [5, 9, 2]
BRANCHES = [[7, 1, 4], [7, 1], [7, 3, 3, 8], [6], []]


@pytest.fixture(scope="module")
def thinker() -> Thinker:
    made = Thinker(tiny.config(inputs=["text"]).thinker)
    tiny.randomise(made)
    return made


@torch.no_grad()
def test_every_branch_reads_as_it_would_alone(thinker: Thinker) -> None:
    tree = TokenTree()
    root = tree.add(TRUNK)[-1]
    paths = [tree.add(branch, root) for branch in BRANCHES]
    assert len(tree.ids) == 3 + 7  # 7, 1, 4, 3, 3, 8 and 6: what is shared is there once
    embeds = thinker.embed(torch.tensor([tree.ids]))
    together = thinker.model(embeds, tree.position_ids(), attend_where(tree.sees()))[0]
    for branch, path in zip(BRANCHES, paths, strict=True):
        ids = torch.tensor([[*TRUNK, *branch]])
        alone = thinker.model(thinker.embed(ids), torch.arange(ids.shape[1]).expand(3, 1, -1))[0]
        nodes = [*range(len(TRUNK)), *path]
        torch.testing.assert_close(together[nodes], alone, rtol=1e-4, atol=1e-4)


def test_an_empty_tree_has_no_positions() -> None:
    assert TokenTree().position_ids().shape == (3, 1, 0)
    assert TokenTree().sees().shape == (0, 0)
