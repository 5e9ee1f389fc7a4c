"""Reads one JSON object into one frozen dataclass, checking every key and type.

Knows how a field's annotation becomes a check, and which keys of a published config.json are
bookkeeping of the library that wrote it. Does not know what any figure means: `model.config` does.
"""

import dataclasses
import logging
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from model.errors import ConfigError

_log = logging.getLogger("omnilive.model.config")

T = TypeVar("T")

# The published networks have 36 at most.
MAX_LAYERS = 1_000

# Written into every section by the library that published the checkpoints; none of them is a figure
# of the architecture. Keys that begin with "_" are its private ones.
BOOKKEEPING = frozenset(
    {
        "add_cross_attention", "architectures", "attention_dropout", "activation_dropout",
        "attn_implementation", "bad_words_ids", "begin_suppress_tokens", "bos_token_id",
        "chunk_size_feed_forward", "cross_attention_hidden_size", "decoder_start_token_id",
        "diversity_penalty", "do_sample", "dropout", "dtype", "early_stopping",
        "enable_audio_output", "enable_talker", "encoder_no_repeat_ngram_size",
        "eos_token_id", "exponential_decay_length_penalty", "finetuning_task",
        "forced_bos_token_id", "forced_eos_token_id", "id2label", "ignore_index",
        "init_std", "initializer_range", "is_decoder", "is_encoder_decoder", "label2id",
        "layer_types", "length_penalty", "max_length", "max_window_layers", "min_length",
        "model_type", "no_repeat_ngram_size", "num_beam_groups", "num_beams",
        "num_return_sequences", "output_attentions", "output_hidden_states",
        "output_scores", "pad_token_id", "prefix", "problem_type", "pruned_heads",
        "remove_invalid_values", "repetition_penalty", "return_dict",
        "return_dict_in_generate", "sep_token_id", "sliding_window", "suppress_tokens",
        "task_specific_params", "temperature", "tf_legacy_loss", "tie_encoder_decoder",
        "tokenizer_class", "top_k", "top_p", "torch_dtype", "torchscript",
        "transformers_version", "typical_p", "use_bfloat16", "use_cache",
    }
)  # fmt: skip


def read(
    cls: type[T],
    data: object,
    path: str,
    *,
    aliases: Mapping[str, str] | None = None,
    ignored: frozenset[str] = frozenset(),
    strict: bool = False,
    given: Mapping[str, object] | None = None,
) -> T:
    """Builds `cls` from the JSON object `data`.

    Args:
        cls: a dataclass whose fields are int, float, bool, str, nested tuples of them, or `| None`.
        data: what json gave for this section.
        path: where the section lies ("thinker_config.text_config"), for messages.
        aliases: older key -> field name.
        ignored: keys this section may hold that are not figures of `cls`.
        strict: an unknown key is an error; otherwise it is a warning, because each release of the
            library that writes config.json adds bookkeeping keys of its own.
        given: fields that the caller has read already.

    Raises:
        ConfigError: names every missing key, or the bad value and what would do.
    """
    section = as_section(data, path)
    section = {(aliases or {}).get(key, key): value for key, value in section.items()}
    hints = typing.get_type_hints(cls)
    fields = {field.name: field for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    values: dict[str, Any] = dict(given or {})
    missing = []
    for name, field in fields.items():
        if name in values:
            continue
        if name in section:
            values[name] = convert(hints[name], section[name], f"{path}.{name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            missing.append(name)
    if missing:
        raise ConfigError(f"{path} lacks {', '.join(missing)}")
    _report_unknown(section, set(fields) | ignored, path, strict=strict)
    try:
        return cls(**values)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def require_positive(**figures: float) -> None:
    """Refuses a figure that is not above 0.

    Raises:
        ConfigError: names the figure and its value.
    """
    for name, value in figures.items():
        if value <= 0:
            raise ConfigError(f"{name} must be above 0, got {value}")


def require_counts(figures: object, *, but: frozenset[str] = frozenset()) -> None:
    """Refuses a dataclass with a whole number below 1, in a field or in a tuple of one.

    Args:
        figures: the dataclass.
        but: fields that are no counts.

    Raises:
        ConfigError: names the field and its value.
    """
    for field in dataclasses.fields(figures):  # type: ignore[arg-type]
        value = getattr(figures, field.name)
        if field.name not in but and any(number < 1 for number in _whole_numbers(value)):
            shown = list(value) if isinstance(value, tuple) else value
            raise ConfigError(f"{field.name} must be above 0, got {shown}")


def require_layers(name: str, layers: int) -> None:
    """Refuses a stack of layers that no memory holds, before it is built.

    Raises:
        ConfigError: names the figure and the limit.
    """
    if not 1 <= layers <= MAX_LAYERS:
        raise ConfigError(f"{name} must be from 1 to {MAX_LAYERS}, got {layers}")


def require_same_lengths(**figures: tuple[object, ...]) -> None:
    """Refuses tuples that do not pair up, or are empty.

    Raises:
        ConfigError: names them and their lengths.
    """
    lengths = {name: len(value) for name, value in figures.items()}
    if len(set(lengths.values())) > 1 or 0 in lengths.values():
        said = ", ".join(f"{name} has {length}" for name, length in lengths.items())
        raise ConfigError(f"as many entries are needed in each, and at least one: {said}")


def _whole_numbers(value: object) -> Iterator[int]:
    if isinstance(value, tuple):
        for each in value:
            yield from _whole_numbers(each)
    elif isinstance(value, int) and not isinstance(value, bool):
        yield value


def as_section(data: object, path: str) -> dict[str, Any]:
    """`data` if it is a JSON object.

    Raises:
        ConfigError: it is anything else, or absent.
    """
    if not isinstance(data, dict):
        raise ConfigError(f"{path} must be a JSON object, got {type(data).__name__}")
    return data


def convert(hint: Any, value: object, path: str) -> object:
    """`value` as the type `hint` asks; JSON's lists become tuples.

    Raises:
        ConfigError: names the key, its value and the type wanted.
    """
    origin = typing.get_origin(hint)
    if origin is types.UnionType:
        if value is None:
            return None
        (hint,) = (choice for choice in typing.get_args(hint) if choice is not types.NoneType)
        return convert(hint, value, path)
    if origin is typing.Literal:
        choices = typing.get_args(hint)
        if value not in choices:
            raise ConfigError(f"{path} is {value!r}; choices: {', '.join(map(str, choices))}")
        return value
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{path} must be a list, got {value!r}")
        item = typing.get_args(hint)[0]
        return tuple(convert(item, each, f"{path}[{i}]") for i, each in enumerate(value))
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is not bool and isinstance(value, bool)):
        raise ConfigError(f"{path} must be {hint.__name__}, got {value!r}")
    return value


def _report_unknown(
    section: Mapping[str, object], known: set[str], path: str, *, strict: bool
) -> None:
    unknown = sorted(
        key
        for key in section
        if key not in known and key not in BOOKKEEPING and not key.startswith("_")
    )
    if not unknown:
        return
    text = f"{path} has unknown keys {', '.join(unknown)}; known: {', '.join(sorted(known))}"
    if strict:
        raise ConfigError(text)
    _log.warning("%s; they are not used", text)
