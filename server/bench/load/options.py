"""What `bench load` is told.

Knows names, bounds, defaults, and what does not go together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlsplit

from typer import Option

from model.omni import DTypeName
from model.recipes.omni_mini.evaluate import people
from server.bench.errors import OptionError
from server.bench.load.orders import Transport, Voices

Transports = Literal["websocket", "webrtc", "both"]
# A server has 1024 seats at most, some of which are for callers that have just vanished.
MOST = 1000
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
    """How the bench is run; each field is a flag of the command, and its help says what it means.

    Some defaults depend on what is measured: the properties below say them.
    """

    url: Annotated[
        str | None, Option(help="a server on this machine that runs already; none: start one")
    ] = None
    key: Annotated[str | None, Option(help="bearer key for it")] = None
    is_scripted: Annotated[
        bool,
        Option(
            "--scripted-engine",
            help="the gateway alone on one core, with an engine that only plays a tone, "
            "beside a bare echo",
        ),
    ] = False
    transport: Annotated[
        Transports, Option(help="how the callers come; both: one after the other")
    ] = "websocket"
    callers: Annotated[
        int,
        Option(
            min=1,
            max=MOST,
            help="wanted at the same time, where the search begins; with --rate: in all",
        ),
    ] = 4
    rate: Annotated[
        float | None,
        Option(
            min=0.01,
            max=1000,
            help="callers a second that come, talk and leave; "
            "none: all stay, and their largest number is searched for",
        ),
    ] = None
    turns: Annotated[int, Option(min=1, max=1000, help="counted turns of a caller")] = 4
    barge_ins: Annotated[
        float, Option(min=0, max=1, help="share of the replies that are spoken into")
    ] = 0.2
    slow: Annotated[
        float | None,
        Option(
            min=0,
            max=1,
            help="share of callers that read slowly; "
            "none: 0.1 over WebSocket, 0 with the scripted engine",
        ),
    ] = None
    vanishing: Annotated[
        float | None,
        Option(
            min=0, max=1, help="share of callers that vanish; none: 0.1, 0 with the scripted engine"
        ),
    ] = None
    target_s: Annotated[
        float | None,
        Option(min=0.001, help="most that 95 of 100 may wait for the first sound; none: 1"),
    ] = None
    slack_s: Annotated[
        float | None,
        Option(
            min=0.001, help="with the scripted engine: most above one caller's median; none: 0.1"
        ),
    ] = None
    most: Annotated[
        int | None,
        Option(
            min=1,
            max=MOST,
            help="callers at most that a search tries; none: 64, 512 with the scripted engine",
        ),
    ] = None
    steps: Annotated[
        int | None, Option(min=1, max=50, help="numbers of callers that a search tries; none: 10")
    ] = None
    step_limit_s: Annotated[
        float, Option(min=5, max=3600, help="longest that one of them takes")
    ] = 240.0
    minutes: Annotated[
        float | None,
        Option(min=0.1, max=600, help="after which a search tries nothing more; none: 15"),
    ] = None
    processes: Annotated[
        int | None,
        Option(
            min=1,
            max=64,
            help="processes that callers live in; none: one, or one for "
            "each core beside the gateway's",
        ),
    ] = None
    speech: Annotated[
        list[Path] | None, Option(help="sound file to say; may be given again and again")
    ] = None
    voices: Annotated[
        Voices | None,
        Option(
            help="what is said without --speech: people's readings (package moonshine-voice), or "
            "synthetic questions; none: people's where they are installed"
        ),
    ] = None
    model: Annotated[str | None, Option(help="checkpoint directory or hub id; none: omni-mini")] = (
        None
    )
    dtype: Annotated[DTypeName | None, Option(help="type of the weights; none: auto")] = None
    seed: Annotated[int, Option(min=0, help="of arrivals, questions, barge-ins and sampling")] = 0
    max_reply_tokens: Annotated[
        int, Option(min=1, max=4096, help="text tokens of a reply at most")
    ] = 64

    def __post_init__(self) -> None:
        if self.url is not None:
            check_loopback(self.url)
        self._check_effects()
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

    def _check_effects(self) -> None:
        """Makes sure that everything that was told has an effect.

        Raises:
            OptionError: Something has none; says what, and why.
        """
        scripted = self.is_scripted or None
        engine = {"--model": self.model, "--dtype": self.dtype}
        search = {"--most": self.most, "--steps": self.steps, "--minutes": self.minutes}
        without_effect: tuple[tuple[bool, str, Mapping[str, object]], ...] = (
            (self.url is not None, "with --url", {"--scripted-engine": scripted, **engine}),
            (self.url is None, "without --url", {"--key": self.key}),
            (
                self.is_scripted,
                "with --scripted-engine, which has no model, and --slack-s for its limit",
                {**engine, "--target-s": self.target_s},
            ),
            (not self.is_scripted, "without --scripted-engine", {"--slack-s": self.slack_s}),
            (not self.is_searched, "with --rate, where no number is searched for", search),
        )
        for applies, when, flags in without_effect:
            told = [flag for flag, value in flags.items() if value is not None]
            if applies and told:
                raise OptionError(f"{', '.join(told)}: no effect {when}")

    @property
    def is_searched(self) -> bool:
        """Whether the largest number is searched for."""
        return self.rate is None or self.is_scripted

    @property
    def limit_s(self) -> float:
        """What the 95th percentile may be with a real engine."""
        return 1.0 if self.target_s is None else self.target_s

    @property
    def above_one_s(self) -> float:
        """How far it may lie above one caller's median with the scripted engine."""
        return 0.1 if self.slack_s is None else self.slack_s

    @property
    def trials(self) -> int:
        """Numbers of callers that a search tries."""
        return self.steps or 10

    @property
    def search_s(self) -> float:
        """After which a search tries nothing more."""
        return 60 * (self.minutes or 15.0)

    @property
    def weights(self) -> DTypeName | None:
        """Type of the weights; None where they are not the bench's to choose."""
        return None if self.is_scripted or self.url is not None else self.dtype or "auto"

    @property
    def transports(self) -> tuple[Transport, ...]:
        """Those that are measured, in their order."""
        every: tuple[Transport, ...] = get_args(Transport)
        return tuple(name for name in every if self.transport in (name, "both"))

    @property
    def most_callers(self) -> int:
        """How many there may be: where the search ends, or who comes in all."""
        if not self.is_searched:
            return self.callers
        return self.most or (SCRIPTED_MOST if self.is_scripted else REAL_MOST)

    def caller_processes(self, free_cores: int) -> int:
        """In how many processes the callers live, with so many cores for them alone."""
        own = max(1, min(MOST_PROCESSES, free_cores)) if self.is_scripted else 1
        return self.processes or own

    @property
    def files(self) -> list[str]:
        """Paths of the sound files to say."""
        return [str(path) for path in self.speech or ()]

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
            "dtype": self.weights or "auto",
            "threads": threads,
            "seed": self.seed,
            "log_level": "error",
            "max_conversations": self.most_callers + SPARE_SEATS,
            "context_tokens": CONTEXT_TOKENS,
            "max_openings_per_address": OPENINGS_A_MINUTE,
            "max_conversations_per_address": None,
        }


def check_loopback(url: str) -> None:
    """Keeps load away from other people's machines.

    Raises:
        OptionError: The address is not one of this machine's loopback.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        is_own = parts.port != 0 and (host == "localhost" or ip_address(host).is_loopback)
    except ValueError:
        is_own = False
    if not is_own:
        raise OptionError(
            f"--url {url}: load is only sent to this machine (127.0.0.1, ::1, localhost)"
        )
