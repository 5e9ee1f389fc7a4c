"""A tiny random checkpoint on disk, in the published layout: what `--model DIR` takes."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from model.config import OmniConfig
from model.omni import Networks
from tests.model import text, tiny

CONTROL_KEYS = {
    "audio_token_index": "<|AUDIO|>",
    "image_token_index": "<|IMAGE|>",
    "video_token_index": "<|VIDEO|>",
    "audio_start_token_id": "<|audio_bos|>",
    "audio_end_token_id": "<|audio_eos|>",
    "vision_start_token_id": "<|vision_bos|>",
    "vision_end_token_id": "<|vision_eos|>",
}
VOICES = ("Ada", "Bob")
MAX_SHARD_TENSORS = 100


def write_checkpoint(directory: Path, *, talkative: bool = False, sees: bool = False) -> Path:
    """Writes it and returns the directory; the same weights every time.

    A `talkative` one never writes a control token nor ends its speech, so that a reply goes on to
    its limits; and it closes a bracket at once, so that a call that must be made is a whole one.
    One that `sees` takes images and videos too.
    """
    backend = text.backend()
    backend.save(str(directory / "tokenizer.json"))
    data = config_dict(backend)
    if sees:
        data["omnilive"]["inputs"] += ["image", "video"]
    (directory / "config.json").write_text(json.dumps(data))
    config = OmniConfig.from_dict(data)
    networks = Networks(config)
    tiny.randomise(networks, scale=0.1)
    if talkative:
        controls = [backend.token_to_id(name) for name in text.CONTROLS]
        networks.thinker.lm_head.weight.data[controls] = 0.0
        # Nor does it end its speech at once: with no weight an end is never among the likeliest.
        networks.talker.codec_head.weight.data[sorted(networks.talker.end_codes)] = 0.0
        write_after(networks.thinker, backend.token_to_id("{"), backend.token_to_id("}"))
    write_weights(directory, networks)
    write_voices(directory / "spk_dict.pt", config, data["talker_config"])
    return directory


def write_after(thinker: torch.nn.Module, token: int, successor: int) -> None:
    """Makes it write `successor` behind `token`, and seldom elsewhere.

    The first dimension is kept for that: only the token's embedding is anything there, and only
    the successor looks at it.
    """
    for layer in thinker.model.layers:
        layer.self_attn.o_proj.weight.data[0] = 0.0
        layer.mlp.down_proj.weight.data[0] = 0.0
    embeddings, head = thinker.model.embed_tokens.weight.data, thinker.lm_head.weight.data
    embeddings[:, 0] = 0.0
    embeddings[token, 0] = 20.0
    thinker.model.norm.weight.data[0] = 1.0
    head[:, 0] = 0.0
    head[successor] = 0.0
    head[successor, 0] = 20.0


def config_dict(backend) -> dict:
    """The tiny config of the parity tests, with this tokenizer's ids and a fast solver."""
    data = tiny.config_dict()
    ids = {key: backend.token_to_id(name) for key, name in CONTROL_KEYS.items()}
    thinker, talker = data["thinker_config"], data["talker_config"]
    thinker.update(ids, user_token_id=backend.token_to_id("user") or 0)
    talker.update(ids)
    thinker["text_config"]["vocab_size"] = backend.get_vocab_size() + 3
    for offset, key in enumerate(("start", "end", "pad")):
        talker[f"tts_text_{key}_token_id"] = backend.get_vocab_size() + offset
    data["omnilive"] = {
        "inputs": ["text", "audio"],
        "solver": {"method": "euler", "num_steps": 3, "guidance_scale": 0.0},
        "system_prompt": "Be brief.",
        "transcribe_prompt": "What was said?",
    }
    return data


def write_weights(directory: Path, networks: torch.nn.Module) -> None:
    """Writes the tensors in shards with their index, as large checkpoints have them."""
    tensors = {name: t.detach().contiguous() for name, t in networks.named_parameters()}
    names = sorted(tensors)
    shards = [names[i : i + MAX_SHARD_TENSORS] for i in range(0, len(names), MAX_SHARD_TENSORS)]
    weight_map = {}
    for number, shard in enumerate(shards, start=1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        save_file({name: tensors[name] for name in shard}, directory / file)
        weight_map |= dict.fromkeys(shard, file)
    index = {"metadata": {}, "weight_map": weight_map}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index))


def add_shard(directory: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Gives a written checkpoint more tensors."""
    path = directory / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    file = "model-more.safetensors"
    save_file(tensors, directory / file)
    index["weight_map"] |= dict.fromkeys(tensors, file)
    path.write_text(json.dumps(index))


def write_voices(path: Path, config: OmniConfig, talker: dict) -> None:
    """Writes two random voices."""
    dit = config.token2wav.dit
    random = torch.Generator().manual_seed(1)
    voices = {
        name: {
            "cond": torch.randn(1, dit.enc_emb_dim, generator=random),
            "ref_mel": torch.randn(1, 60, dit.mel_dim, generator=random),
            "bos_token": talker["tts_text_start_token_id"],
        }
        for name in VOICES
    }
    torch.save(voices, path)
