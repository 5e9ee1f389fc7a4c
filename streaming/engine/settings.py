"""What an engine process is started with.

Knows the values and their spelling as flags of `python -m streaming.engine.worker`. Does not know
the environment (`server/settings.py` does) nor the checkpoint's own figures (config.json does).
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, Self, get_args

from streaming.logs import LogFormat

DType = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True, kw_only=True)
class EngineSettings:
    """Settings of one engine process; None leaves the choice to the checkpoint or the machine.

    `max_speech_s` bounds the sound of one reply: a Talker that does not stop is cut short there.
    `max_asides` are conversations beside others, each for one response, with slots of their own;
    `max_transcripts` those that one conversation waits for, and `max_deferred` its edits that wait
    for the end of a reply.
    """

    model: str | None = None
    device: str = "cpu"
    dtype: DType = "auto"
    threads: int | None = None
    max_conversations: int = 4
    max_asides: int = 2
    max_transcripts: int = 16
    max_deferred: int = 64
    context_tokens: int | None = None
    max_speech_s: float = 120.0
    first_packet_target_s: float = 0.3
    seed: int = 0
    log_level: str = "info"
    log_format: LogFormat = "text"
    log_content: bool = False

    def flags(self) -> list[str]:
        """Returns the command line that `from_flags` reads back to an equal value."""
        given = ((f.name, getattr(self, f.name)) for f in fields(self))
        return [
            text
            for name, value in given
            if value is not None and value is not False
            for text in _flag(name, value)
        ]

    @classmethod
    def add_arguments(cls, parser: argparse.ArgumentParser) -> None:
        """Declares the flags."""
        default = cls()
        parser.add_argument("--model", help="checkpoint directory or hub id; none: omni-mini")
        parser.add_argument("--device", default=default.device, help="cpu, cuda or cuda:N")
        parser.add_argument("--dtype", default=default.dtype, choices=get_args(DType))
        parser.add_argument("--threads", type=int, help="torch threads; none: one for each core")
        parser.add_argument("--max-conversations", type=int, default=default.max_conversations)
        parser.add_argument("--max-asides", type=int, default=default.max_asides)
        parser.add_argument("--max-transcripts", type=int, default=default.max_transcripts)
        parser.add_argument("--max-deferred", type=int, default=default.max_deferred)
        parser.add_argument("--context-tokens", type=int, help="positions of one conversation")
        parser.add_argument("--max-speech-s", type=float, default=default.max_speech_s)
        parser.add_argument(
            "--first-packet-target-s", type=float, default=default.first_packet_target_s
        )
        parser.add_argument("--seed", type=int, default=default.seed, help="of sampling and noise")
        parser.add_argument("--log-level", default=default.log_level, help="least that is logged")
        parser.add_argument("--log-format", default=default.log_format, choices=get_args(LogFormat))
        parser.add_argument("--log-content", action="store_true", help="log what is said too")

    @classmethod
    def from_namespace(cls, namespace: argparse.Namespace) -> Self:
        """Returns the settings among parsed flags."""
        return cls(**{f.name: getattr(namespace, f.name) for f in fields(cls)})

    @classmethod
    def from_flags(cls, flags: Sequence[str]) -> Self:
        """Returns the settings of a command line made by `flags`."""
        parser = argparse.ArgumentParser()
        cls.add_arguments(parser)
        return cls.from_namespace(parser.parse_args(flags))


def _flag(name: str, value: Any) -> tuple[str, ...]:
    flag = f"--{name.replace('_', '-')}"
    return (flag,) if value is True else (flag, str(value))


@dataclass(frozen=True, kw_only=True)
class ClientSettings:
    """How the gateway keeps an engine process.

    `start_timeout_s` bounds loading and warming up; `max_deaths` in a row, without a conversation
    opened in between, are one too many; an engine that says nothing for `silence_limit_s`, though
    it is pinged, is not to be counted on, and one that says nothing for `ping_timeout_s` is taken
    for hung and killed. `environment` is the process's; None leaves it ours.
    """

    start_timeout_s: float = 600.0
    stop_timeout_s: float = 5.0
    max_deaths: int = 5
    ping_interval_s: float = 2.0
    silence_limit_s: float = 10.0
    ping_timeout_s: float = 30.0
    queue_messages: int = 4096
    environment: Mapping[str, str] | None = None
