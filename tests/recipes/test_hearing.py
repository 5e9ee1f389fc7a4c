import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers

from model.errors import CheckpointError
from model.figures import AudioEncoderConfig, DecoderConfig, ThinkerConfig
from model.recipes.omni_mini import (
    adapt,
    ear,
    hearing,
    hearing_data,
    lessons,
    letters,
    training,
    whisper_start,
)
from model.recipes.omni_mini.hearing_data import Utterance
from model.thinker import Thinker

TOWER = AudioEncoderConfig(
    num_mel_bins=80,
    d_model=16,
    encoder_layers=1,
    encoder_attention_heads=2,
    encoder_ffn_dim=32,
    max_source_positions=100,
    n_window=100,
    output_dim=12,
)
TEXT = DecoderConfig(
    hidden_size=12,
    intermediate_size=24,
    num_hidden_layers=2,
    num_attention_heads=2,
    num_key_value_heads=1,
    head_dim=6,
    vocab_size=300,
    rms_norm_eps=1e-5,
    rope_theta=1e4,
    mrope_section=(1, 1, 1),
    max_position_embeddings=512,
    tie_word_embeddings=True,
)
TEXTS = ("Where is Rome?", "Is Rome old?", "Tell me where it is.")


@pytest.fixture(scope="module")
def tokenizer():
    """A byte-level vocabulary with a few whole words, as the Thinker's is."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = ["Ġw", "Ġwh", "er", "Ġwher", "Ġwhere"]
    merges = [("Ġ", "w"), ("Ġw", "h"), ("e", "r"), ("Ġwh", "er"), ("Ġwher", "e")]
    reserved = [f"<{number}>" for number in range(13)]
    vocabulary = {token: index for index, token in enumerate([*reserved, *alphabet, *words])}
    built = Tokenizer(models.BPE(vocabulary, merges))
    built.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    return built


def spoken(text, seconds=1.2, seed=0):
    noise = np.random.default_rng(seed).standard_normal(int(16_000 * seconds))
    return Utterance(text=text, voice="test", samples=(noise * 3000).astype(np.int16))


def test_whisper_file_is_read_and_split_into_our_names():
    rng = np.random.default_rng(0)
    variables = {
        f"encoder/{conv}/{kind}": rng.standard_normal(4).astype(np.float16)
        for conv in ("conv1", "conv2")
        for kind in ("weight", "bias")
    }
    names = [
        *whisper_start.LAYER_NAMES.values(),
        "self_attention/linear_0/weight",
        "self_attention/linear_0/bias",
    ]
    for name in names:
        variables[f"encoder/layer_0/{name}"] = rng.standard_normal((6, 2)).astype(np.float16)
    for kind in ("gamma", "beta"):
        variables[f"encoder/layer_norm/{kind}"] = rng.standard_normal(4).astype(np.float16)

    read = dict(whisper_start.read_ctranslate2(written(variables)))
    state = whisper_start.encoder_state(read, 1)

    fused = variables["encoder/layer_0/self_attention/linear_0/weight"]
    assert np.array_equal(state["layers.0.self_attn.k_proj.weight"].numpy(), fused[2:4])
    assert "layers.0.self_attn.k_proj.bias" not in state
    assert {f"layers.0.{n.split('.', 2)[2]}" for n in state if n.startswith("layers.")} == {
        n for n in state if n.startswith("layers.")
    }


def written(variables, version=6):
    """A CTranslate2 file of float16 variables."""
    text = lambda name: len(name + "\0").to_bytes(2, "little") + name.encode() + b"\0"  # noqa: E731
    u32 = lambda number: number.to_bytes(4, "little")  # noqa: E731
    body = u32(version) + text("WhisperSpec") + u32(3) + u32(len(variables))
    for name, array in variables.items():
        raw = array.tobytes()
        body += (
            text(name)
            + bytes([array.ndim])
            + b"".join(map(u32, array.shape))
            + b"\x04"
            + u32(len(raw))
            + raw
        )
    return body


def test_foreign_and_cut_whisper_files_are_refused():
    data = written({"a": np.zeros(3, np.float16)})
    with pytest.raises(CheckpointError, match="version 5, need 6"):
        list(whisper_start.read_ctranslate2(written({}, version=5)))
    for size in range(4, len(data)):
        with pytest.raises(CheckpointError, match="ends at byte"):
            list(whisper_start.read_ctranslate2(data[:size]))


def test_held_out_and_dev_voices_are_never_planned():
    pairs = hearing_data.plan(["Where is Rome?"] * 40, ["It is old."] * 40)
    voices = {voice for voice, _ in pairs}
    assert not voices & {hearing_data.HELD_OUT_VOICE, hearing_data.DEV_VOICE}
    assert set(hearing_data.FLITE_VOICES) <= voices


def test_augmented_recordings_stay_in_range_and_are_repeatable():
    samples = spoken("x").samples
    first = hearing_data.augment(samples, np.random.default_rng(4))
    assert np.array_equal(first, hearing_data.augment(samples, np.random.default_rng(4)))
    for seed in range(20):
        x = hearing_data.augment(samples, np.random.default_rng(seed))
        assert x.dtype == np.float32
        assert np.isfinite(x).all()
        assert np.abs(x).max() <= 1.0


def test_alignment_finds_the_spoken_frames():
    path = [0, 3, 3, 0, 3, 5, 5, 0, 0]
    log_probs = torch.full((len(path), 6), -9.0)
    log_probs[range(len(path)), path] = 0.0
    assert ear.align(log_probs, [3, 3, 5]) == [2, 4, 6]
    assert ear.align(log_probs, [1] * 9) == []


@pytest.mark.parametrize(
    ("frames", "count", "expected"),
    [([1, 1, 1], 9, [1, 2, 3]), ([7, 8, 8], 9, [6, 7, 8]), ([2, 5], 9, [2, 5]), ([0, 0], 1, [])],
)
def test_tokens_get_frames_of_their_own(frames, count, expected):
    assert hearing.place(frames, count) == expected


def test_spelling_ends_each_token_at_its_last_letter(tokenizer):
    speller = hearing.Speller(tokenizer, TEXTS)
    spelling = speller.spell("Where is Rome?")
    assert (
        tokenizer.decode(spelling.ids, skip_special_tokens=False).replace(" ", "").replace("Ġ", "")
        == "whereisRome"
    )
    said = [ear.LETTERS[i] for i in ear.letters_of("Where is Rome?")]
    assert said[spelling.last_letters[0]] == "e"
    assert spelling.last_letters[-1] == len(said) - 1
    assert spelling.last_letters == sorted(spelling.last_letters)


def test_blocks_come_back_in_order():
    listener = ear.Ear(TOWER)
    batch = ear.make_batch([spoken("a", 2.6), spoken("b", 0.8, 1)], listener.mel, None)
    hidden = listener.hidden(batch)
    for seconds, length in zip((2.6, 0.8), batch.lengths.tolist(), strict=True):
        assert length >= seconds * 50
    one = ear.make_batch([spoken("b", 0.8, 1)], listener.mel, None)
    torch.testing.assert_close(hidden[1, : batch.lengths[1]], listener.hidden(one)[0])


def make_ear(tokenizer):
    speller = hearing.Speller(tokenizer, TEXTS)
    known = sorted({i for text in TEXTS for i in speller.spell(text).ids})
    table = torch.randn(300, 12, generator=torch.Generator().manual_seed(0))
    listener = hearing.HearingEar(hearing.TokenTargets(table, 13, known), speller)
    listener.tower = ear.Ear(TOWER).tower
    listener.letter_norm = torch.nn.LayerNorm(16)
    listener.letter_head = torch.nn.Linear(16, len(ear.LETTERS))
    return listener


def test_stages_a_and_b_learn_and_resume(tokenizer, tmp_path):
    torch.manual_seed(0)
    utterances = [spoken(text, seed=i) for i, text in enumerate(TEXTS)]
    plan = letters.TrainingPlan(
        steps=6,
        batch_utterances=2,
        warmup_steps=1,
        cooldown_steps=1,
        measure_every_steps=3,
        head_rate=2e-2,
    )
    listener = make_ear(tokenizer)
    none = lambda _: {}  # noqa: E731
    assert (
        letters.train_ear(listener, utterances, plan, tmp_path / "a", letters.letters_only, none)
        == 6
    )
    # Continuing does nothing more: the steps are done.
    again = make_ear(tokenizer)
    assert (
        letters.train_ear(again, utterances, plan, tmp_path / "a", letters.letters_only, none) == 6
    )
    for one, other in zip(listener.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)
    loss = hearing.HearingLoss(letters_steps=3)
    measured = lambda e: hearing.token_errors(e, utterances)  # noqa: E731
    letters.train_ear(again, utterances, plan, tmp_path / "b", loss, measured)
    tensors = hearing.export_tensors(tmp_path / "b")
    assert set(tensors) == {f"thinker.audio_tower.{name}" for name in again.tower.state_dict()}


def test_a_run_of_another_version_is_named(tmp_path):
    torch.save({"ear": {}, "optimiser": {}, "step": 1}, tmp_path / "state.pt")
    with pytest.raises(ValueError, match=r"state\.pt was saved by another version .*model, opt"):
        training.trained(tmp_path)


def make_student():
    torch.manual_seed(1)
    config = ThinkerConfig(
        text=TEXT,
        audio=TOWER,
        vision=None,
        audio_token_index=4,
        image_token_index=8,
        video_token_index=9,
        audio_start_token_id=3,
        audio_end_token_id=5,
        vision_start_token_id=6,
        vision_end_token_id=7,
        position_id_per_seconds=25,
        seconds_per_chunk=2,
        user_token_id=1,
    )
    return adapt.Student(Thinker(config), rank=2)


def test_adaptation_learns_resumes_and_leaves_the_base_alone(tokenizer, tmp_path):
    student = make_student()
    table = student.thinker.model.embed_tokens.weight.detach()
    chat = lessons.Chat(tokenizer, table)
    before = student.hidden([chat.opening[False]])
    stream = lessons.simulate(
        [20, 30], table, table[13], np.random.default_rng(0), torch.tensor([20, 30])
    )

    def draw(rng):
        return [
            lessons.Lesson(question="Rome?", reply=[40, 41, 2], transcribe=False, stream=stream),
            lessons.Lesson(question="Rome?", reply=[50, 2], transcribe=True, stream=stream),
        ]

    plan = letters.TrainingPlan(
        steps=30, warmup_steps=1, cooldown_steps=1, head_rate=3e-2, measure_every_steps=99
    )
    first = adapt.distillation_loss(student, chat, draw(None))["loss"]
    adapt.train_adaptation(student, chat, draw, plan, tmp_path, dict)
    last = adapt.distillation_loss(student, chat, draw(None))["loss"]
    assert last < 0.8 * first
    student.switch(active=False)
    assert torch.equal(student.hidden([chat.opening[False]]), before)
    fresh = make_student()
    fresh.load_tensors(adapt.export_tensors(tmp_path))
    torch.testing.assert_close(
        adapt.distillation_loss(fresh, chat, draw(None))["loss"], last, atol=0.05, rtol=0.02
    )


def test_simulated_streams_hold_the_tokens():
    table = torch.eye(40)
    rng = np.random.default_rng(3)
    stream = lessons.simulate([7, 8, 9], table, table[0], rng, torch.tensor([7, 8, 9]))
    assert stream.shape[1] == 40
    assert len(stream) > 20
    assert {int(row[1:].argmax()) + 1 for row in stream if row[1:].max() > 0.5} <= {7, 8, 9}
