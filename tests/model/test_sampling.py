import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    LogitsProcessorList,
    RepetitionPenaltyLogitsProcessor,
    SuppressTokensLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from model.config import SamplingConfig
from model.sampling import Sampler


def _reference_support(
    config: SamplingConfig, logits: torch.Tensor, seen: list[int], forbidden: list[int]
) -> torch.Tensor:
    """The reference's probabilities after all its processors."""
    chain = LogitsProcessorList([RepetitionPenaltyLogitsProcessor(config.repetition_penalty)])
    chain.append(SuppressTokensLogitsProcessor(forbidden, device="cpu"))
    chain.append(TemperatureLogitsWarper(config.temperature))
    chain.append(TopKLogitsWarper(config.top_k))
    chain.append(TopPLogitsWarper(config.top_p))
    return chain(torch.tensor([seen]), logits[None])[0].softmax(-1)


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    temperature=st.floats(0.2, 2),
    top_k=st.integers(1, 60),
    top_p=st.floats(0.05, 0.999),
    penalty=st.floats(1, 1.5),
)
def test_the_distribution_is_the_references(
    seed: int, temperature: float, top_k: int, top_p: float, penalty: float
) -> None:
    config = SamplingConfig(
        temperature=temperature, top_k=top_k, top_p=top_p, repetition_penalty=penalty
    )
    random = torch.Generator().manual_seed(seed)
    logits = torch.randn(50, generator=random) * 3
    seen, forbidden = [3, 7, 7, 20], [int(logits.argmax())]
    sampler = Sampler(config, vocab_size=50, seen=seen, forbidden=forbidden)
    got = torch.zeros(50)
    values, tokens = sampler.candidates(sampler.scores(logits))
    got[tokens] = values.softmax(-1)
    expected = _reference_support(config, logits, seen, forbidden)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-5)


def test_draws_follow_the_distribution() -> None:
    config = SamplingConfig(temperature=1.0)
    logits = torch.tensor([0.5, 0.25, 0.15, 0.1]).log()
    sampler = Sampler(config, vocab_size=4, seed=3)
    counts = torch.bincount(torch.tensor([sampler.draw(logits) for _ in range(4000)]), minlength=4)
    torch.testing.assert_close(counts / 4000, logits.exp(), rtol=0, atol=0.03)


def test_greedy_takes_the_best_that_is_allowed_and_remembers_it() -> None:
    config = SamplingConfig(repetition_penalty=2.0)
    sampler = Sampler(config, vocab_size=4, forbidden=[0])
    logits = torch.tensor([9.0, 3.0, 2.0, -1.0])
    assert [sampler.draw(logits) for _ in range(3)] == [1, 2, 1]  # 3 → 1.5; then 2 → 1


def test_a_seed_is_a_stream_of_its_own() -> None:
    config = SamplingConfig(temperature=1.0)
    logits = torch.zeros(1000)
    torch.manual_seed(1)
    first = [Sampler(config, vocab_size=1000, seed=5).draw(logits)]
    torch.manual_seed(2)
    a, b = Sampler(config, vocab_size=1000, seed=5), Sampler(config, vocab_size=1000, seed=6)
    draws = [(a.draw(logits), b.draw(logits)) for _ in range(20)]  # interleaved
    alone = Sampler(config, vocab_size=1000, seed=5)
    assert [x for x, _ in draws] == [alone.draw(logits) for _ in range(20)]
    assert first == [draws[0][0]]
    assert [x for x, _ in draws] != [y for _, y in draws]


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    temperature=st.floats(0.2, 2),
    top_k=st.integers(0, 6),
    top_p=st.floats(0.05, 1),
    penalty=st.floats(1, 1.5),
    among=st.lists(st.integers(0, 49), min_size=1, max_size=6, unique=True),
)
def test_a_draw_among_some_is_one_with_all_others_impossible(
    seed: int, temperature: float, top_k: int, top_p: float, penalty: float, among: list[int]
) -> None:
    config = SamplingConfig(
        temperature=temperature, top_k=top_k, top_p=top_p, repetition_penalty=penalty
    )
    logits = torch.randn(50, generator=torch.Generator().manual_seed(seed)) * 3
    others = sorted(set(range(50)) - set(among))
    some = Sampler(config, vocab_size=50, seed=seed, seen=[3, 7, 20])
    full = Sampler(config, vocab_size=50, seed=seed, seen=[3, 7, 20], forbidden=others)
    for _ in range(3):  # what was drawn counts as seen from then on
        supports = []
        for sampler, scores, ids in (
            (some, some.scores_among(logits, torch.tensor(among)), torch.tensor(among)),
            (full, full.scores(logits), torch.arange(50)),
        ):
            support = torch.zeros(50)
            values, places = sampler.candidates(scores)
            support[ids[places]] = values.softmax(-1)
            supports.append(support)
        torch.testing.assert_close(*supports)
        drawn = some.draw_among(logits, among)
        assert drawn in among
        full._seen[drawn] = True
