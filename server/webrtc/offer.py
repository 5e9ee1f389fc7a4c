"""An SDP offer: read, checked, and rid of what the server will not use.

Knows the forms of SDP that calls have. Does not know connections. Every refusal says what is wrong.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from dataclasses import dataclass

from aiortc import sdp as aiortc_sdp

from server.webrtc.errors import OfferError, reason_of

MAX_SECTIONS = 3
DEFAULT_MESSAGE_BYTES = 65_536
# What aiortc sends in one message at most.
MAX_MESSAGE_BYTES = 262_144
TAKES_AUDIO = ("sendrecv", "recvonly")
SENDS_VIDEO = ("sendrecv", "sendonly")


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a peer offers.

    Attributes:
        sdp: The offer as it is given to the connection.
        has_channel: Whether it has a section for data channels.
        has_camera: Whether it sends video.
        max_message_bytes: Largest message that its data channel takes.
    """

    sdp: str
    has_channel: bool
    has_camera: bool
    max_message_bytes: int


def read_offer(text: str, *, max_candidates: int) -> Offer:
    """Returns the offer in an SDP text with `max_candidates` at most.

    Raises:
        OfferError: It is no SDP, or no call that this server can hold.
    """
    text = _without_idle_candidates(text, max_candidates)
    try:
        description = aiortc_sdp.SessionDescription.parse(text)
    except Exception as error:  # the parser's own ways of failing are many, and all mean this
        raise OfferError(f"the offer is no SDP: {reason_of(error)}", "sdp") from None
    media = description.media
    kinds = Counter(section.kind for section in media)
    if kinds["audio"] != 1 or kinds["video"] > 1 or kinds["application"] > 1:
        raise _sections_wrong(kinds)
    if len(media) > MAX_SECTIONS:
        raise _sections_wrong(kinds)
    for section in media:
        _check_section(section)
    _check_bundle(description)
    by_kind = {section.kind: section for section in media}
    audio, video = by_kind["audio"], by_kind.get("video")
    if not any(codec.mimeType.lower() == "audio/opus" for codec in audio.rtp.codecs):
        raise OfferError("the audio section does not offer opus, the one codec taken", "sdp")
    if audio.direction not in TAKES_AUDIO:
        raise OfferError(
            f"the audio section is {audio.direction}; it must be sendrecv or recvonly", "sdp"
        )
    channel = by_kind.get("application")
    return Offer(
        sdp=text,
        has_channel=channel is not None,
        has_camera=video is not None and video.direction in SENDS_VIDEO,
        max_message_bytes=_message_limit(channel),
    )


def _sections_wrong(kinds: Counter[str]) -> OfferError:
    has = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()) if count) or "none"
    return OfferError(
        "an offer has one audio section, at most one video section and at most one for data "
        f"channels; this one has {has}",
        "sdp",
    )


def _check_section(section: aiortc_sdp.MediaDescription) -> None:
    ice = section.ice
    if ice is None or not ice.usernameFragment or not ice.password:
        raise OfferError(f"the {section.kind} section has no ice-ufrag and ice-pwd", "sdp")
    if section.dtls is None or not section.dtls.fingerprints:
        raise OfferError(f"the {section.kind} section has no DTLS fingerprint", "sdp")
    if section.kind != "application" and not section.rtcp_mux:
        raise OfferError(f"the {section.kind} section does not use rtcp-mux", "sdp")


def _check_bundle(description: aiortc_sdp.SessionDescription) -> None:
    bundled: set[str] = set()
    for group in description.group:
        if group.semantic == "BUNDLE":
            bundled.update(str(item) for item in group.items)
    mids = [section.rtp.muxId for section in description.media]
    if len(set(mids)) != len(mids) or not all(mids):
        raise OfferError("the sections need a mid each, no two the same", "sdp")
    if len(mids) > 1 and not bundled.issuperset(mids):
        raise OfferError("all sections must be in one group (a=group:BUNDLE)", "sdp")


def _message_limit(channel: aiortc_sdp.MediaDescription | None) -> int:
    capabilities = None if channel is None else channel.sctpCapabilities
    if capabilities is None:
        return DEFAULT_MESSAGE_BYTES
    # Zero stands for any size (RFC 8841).
    return min(capabilities.maxMessageSize or MAX_MESSAGE_BYTES, MAX_MESSAGE_BYTES)


def _without_idle_candidates(text: str, most: int) -> str:
    """The offer without candidates that lead nowhere from here.

    A name (mDNS, by which browsers hide addresses) would have to be looked up, which takes a second
    when it fails, and no name is looked up for a client. TCP is not spoken here. Such a peer is
    found all the same: it sends to our candidates, and we answer where that came from.
    """
    lines = text.splitlines()
    useful = [line for line in lines if not line.startswith("a=candidate:") or _is_useful(line)]
    if len(useful) < len(lines):
        useful = [line for line in useful if line != "a=end-of-candidates"]
    if sum(line.startswith("a=candidate:") for line in useful) > most:
        raise OfferError(f"the offer has more than {most} candidates (max_candidates)", "sdp")
    return "\r\n".join(useful) + "\r\n"


def _is_useful(line: str) -> bool:
    fields = line.split()
    if len(fields) < 8 or fields[2].lower() != "udp":
        return False
    try:
        ipaddress.ip_address(fields[4])
    except ValueError:
        return False
    return True
