"""What `bench load` is told.

Knows names, defaults and what does not go together. Does not know the command line (`cli.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

from model.omni import DTypeName
from model.recipes.omni_mini.evaluate import people
from server.bench.errors import OptionError
from server.bench.load.orders import Transport, Voices

Transports = Literal["websocket", "webrtc", "both"]
DEFAULT_TARGET_S, DEFAULT_SLACK_S = 1.0, 0.1
# So long may a silence be before the server takes the turn for over; the session says so itself.
SILENCE_MS = 500
# The same address calls again and again, which at a real door would be too often.
OPENINGS_A_MINUTE = 10**6
SPARE_SEATS = 16
# A bench's conversations are short, and many seats of full length would not fit into the memory of
# a small machine; one that outgrows this forgets its oldest turns, as any does.
CONTEXT_TOKENS = 2048
REAL_MOST, SCRIPTED_MOST, MOST_PROCESSES = 64, 512, 8


@dataclass(frozen=True, kw_only=True)
class LoadOptions:
    """How the bench is run.

    Attributes:
        url: A server that runs already, on this machine; None starts one.
        key: Bearer key for it.
        is_scripted: Measure the gateway alone, on one core, with the scripted engine.
        transport: Over which the callers come; both are measured one after the other.
        model: Checkpoint directory or hub id; None for omni-mini.
        dtype: Of the weights.
        seed: Of all chance: arrivals, questions, barge-ins, sampling.
        callers: How many are wanted at the same time; with a `rate`, how many come in all.
        rate: Callers a second that arrive, each to leave after its turns; None lets all stay.
        turns: Counted turns of each caller.
        barge_ins: Share of the replies that are spoken into.
        slow: Share of the callers that read slowly; None is a tenth, and none of the scripted
            engine's.
        vanishing: Share of the callers that vanish; likewise.
        target_s: What 95 of 100 waits for the first sound may not exceed.
        slack_s: With the scripted engine: how much later than a caller alone instead.
        most: The search looks no further than so many callers; None is 64, or 512 with the
            scripted engine.
        steps: Numbers of callers that a search may try.
        step_limit_s: The longest that one of them may take.
        minutes: After so many a search tries nothing more.
        processes: In how many processes the callers live; None is one, or with the scripted engine
            one for each core that is not the gateway's.
        max_reply_tokens: Thinker tokens of a reply at most.
        speech: Sound files to say; none means what `voices` says.
        voices: Whose; None means people's where their readings are installed.
    """

    url: str | None = None
    key: str | None = None
    is_scripted: bool = False
    transport: Transports = "websocket"
    model: str | None = None
    dtype: DTypeName = "auto"
    seed: int = 0
    callers: int = 4
    rate: float | None = None
    turns: int = 4
    barge_ins: float = 0.2
    slow: float | None = None
    vanishing: float | None = None
    target_s: float = DEFAULT_TARGET_S
    slack_s: float = DEFAULT_SLACK_S
    most: int | None = None
    steps: int = 10
    step_limit_s: float = 240.0
    minutes: float = 15.0
    processes: int | None = None
    max_reply_tokens: int = 64
    speech: Sequence[str] = ()
    voices: Voices | None = None

    def __post_init__(self) -> None:
        if self.url is not None:
            check_loopback(self.url)
            if self.is_scripted or self.model is not None:
                raise OptionError(
                    "--url is a server with an engine of its own: no --model then, "
                    "and no --scripted-engine"
                )
        if self.slow and self.transport != "websocket":
            raise OptionError(
                f"--slow {self.slow:g}: a call cannot be read slowly; only with "
                "--transport websocket"
            )
        if self.slow_share + self.vanishing_share >= 1:
            raise OptionError("--slow and --vanishing leave no caller to measure")
        if self.voices == "people" and not people.are_there():
            raise OptionError(f"--voices people: package {people.PACKAGE} is not installed")
        if self.callers > self.most_callers:
            raise OptionError(f"--callers {self.callers}: more than --most {self.most_callers}")

    @property
    def transports(self) -> tuple[Transport, ...]:
        """Those that are measured, in their order."""
        every: tuple[Transport, ...] = get_args(Transport)
        return tuple(name for name in every if self.transport in (name, "both"))

    @property
    def most_callers(self) -> int:
        """Where the search ends."""
        return self.most or (SCRIPTED_MOST if self.is_scripted else REAL_MOST)

    def caller_processes(self, free_cores: int) -> int:
        """In how many processes the callers live, with so many cores for them alone."""
        own = max(1, min(MOST_PROCESSES, free_cores)) if self.is_scripted else 1
        return self.processes or own

    @property
    def spoken_by(self) -> Voices:
        """Whose voices the callers have, where they are given no files."""
        return self.voices or ("people" if people.are_there() else "synthetic")

    @property
    def slow_share(self) -> float:
        """Share of slow callers where there can be some."""
        default = 0.0 if self.is_scripted or self.transport != "websocket" else 0.1
        return default if self.slow is None else self.slow

    @property
    def vanishing_share(self) -> float:
        """Share of vanishing callers."""
        default = 0.0 if self.is_scripted else 0.1
        return default if self.vanishing is None else self.vanishing

    @property
    def session(self) -> dict[str, Any]:
        """What each caller updates its session with."""
        detection = {"type": "server_vad", "silence_duration_ms": SILENCE_MS}
        return {
            "audio": {"input": {"turn_detection": detection, "transcription": None}},
            "max_output_tokens": self.max_reply_tokens,
        }

    def settings(self, threads: int | None) -> dict[str, Any]:
        """Settings of the server that is started: its door has room for every caller."""
        return {
            "model": None if self.is_scripted else self.model,
            "dtype": self.dtype,
            "threads": threads,
            "seed": self.seed,
            "log_level": "error",
            "max_conversations": self.most_callers + SPARE_SEATS,
            "context_tokens": CONTEXT_TOKENS,
            "max_openings_per_address": OPENINGS_A_MINUTE,
        }


def check_loopback(url: str) -> None:
    """Keeps load away from other people's machines.

    Raises:
        OptionError: The address is not one of this machine's loopback.
    """
    host = urlsplit(url).hostname or ""
    try:
        is_own = host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        is_own = False
    if not is_own:
        raise OptionError(
            f"--url {url}: load is only sent to this machine (127.0.0.1, ::1, localhost)"
        )
