"""Hostile video: payloads of VP8, H.264 and neither, through SRTP into a call that lives on."""

import asyncio
import resource
from contextlib import suppress
from types import SimpleNamespace

import pylibsrtp
from aiortc import MediaStreamTrack
from aiortc.codecs.h264 import H264Encoder
from aiortc.rtp import HeaderExtensionsMap, RtpPacket
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.engine.messages.commands import UserFrame, UserVideo
from tests.server.webrtc.rig import calling, question
from tests.server.webrtc.test_camera import SEES
from tests.streaming.media.test_video_headers import coded, forged_vp8

VP8_DESCRIPTOR = b"\x10"  # begins a partition, nothing else
NO_EXTENSIONS = HeaderExtensionsMap()


class BlankTrack(MediaStreamTrack):
    """A camera that shows nothing: its packets are the test's."""

    kind = "video"

    async def recv(self):
        await asyncio.Event().wait()


class Attacker:
    """A peer whose video packets are made by hand."""

    def __init__(self, peer):
        self.peer = peer
        (self._transceiver,) = (t for t in peer.pc.getTransceivers() if t.kind == "video")
        self._sender = self._transceiver.sender
        self.sequence, self.timestamp = 0, 0

    @property
    def payload_types(self):
        """Payload type of each kind that was agreed on."""
        kinds = {}
        for codec in self._transceiver._codecs:
            kinds.setdefault(codec.mimeType.lower().partition("/")[2], codec.payloadType)
        return kinds

    async def send(self, kind, payload, *, skip=1, later=3000):
        self.sequence = (self.sequence + skip) % 2**16
        self.timestamp = (self.timestamp + later) % 2**32
        packet = RtpPacket(
            payload_type=self.payload_types[kind],
            sequence_number=self.sequence,
            timestamp=self.timestamp,
            ssrc=self._sender._ssrc,
            payload=payload,
        )
        with suppress(pylibsrtp.Error):  # what SRTP takes for a replay does not leave
            await self._sender.transport._send_rtp(packet.serialize(NO_EXTENSIONS))

    async def lives(self):
        """The events until the call has answered; it must."""
        self.peer.send("session.update", session={"type": "realtime"})
        events = [await self.peer.hear()]
        while events[-1]["type"] != "session.updated":
            events.append(await self.peer.hear())
        return events


async def attacking(rig):
    peer = rig.peer(camera=BlankTrack())
    await peer.call()
    await peer.until("conversation.created")
    return Attacker(peer)


PAYLOADS = st.one_of(
    st.binary(max_size=60),
    st.builds(lambda tail: VP8_DESCRIPTOR + tail, st.binary(max_size=60)),
    # descriptors with everything that they may have
    st.builds(
        lambda first, flags, tail: bytes([0x80 | first, flags]) + tail,
        st.integers(0, 127),
        st.integers(0, 255),
        st.binary(max_size=40),
    ),
    st.builds(
        lambda columns, rows: VP8_DESCRIPTOR + forged_vp8(columns, rows),
        st.integers(0, 600),
        st.integers(0, 600),
    ),
    # units, aggregates and fragments of H.264
    st.builds(
        lambda kind, tail: bytes([0x60 | kind]) + tail,
        st.sampled_from([1, 5, 6, 7, 8, 24, 28, 29, 31]),
        st.binary(max_size=60),
    ),
)
PACKETS = st.lists(
    st.tuples(
        st.sampled_from(["vp8", "h264", "rtx"]),
        PAYLOADS,
        st.sampled_from([1, 1, 1, 1, 2, 400, 2**14, 2**16 - 3]),
        st.sampled_from([0, 3000, 3000, 3000, 2**31, 2**32 - 1]),
    ),
    min_size=5,
    max_size=60,
)


@given(PACKETS)
@settings(max_examples=40, deadline=None)
async def test_a_call_lives_on_whatever_its_video_is(packets):
    async with calling(inputs=SEES) as rig:
        attacker = await attacking(rig)
        other = rig.peer()
        await other.call()
        await other.until("conversation.created")
        for kind, payload, skip, later in packets:
            await attacker.send(kind, payload, skip=skip, later=later)
        events = await attacker.lives()
        assert {e["error"]["code"] for e in events if e["type"] == "error"} <= {"camera_off"}
        other.send("session.update", session={"type": "realtime"})
        await other.until("session.updated")
        assert not other.closed.is_set()


async def test_real_pictures_come_through_after_any_garbage():
    async with calling(inputs=SEES) as rig:
        attacker = await attacking(rig)
        for n in range(40):
            await attacker.send("vp8", VP8_DESCRIPTOR + bytes([n]) * n)
        picture = coded("libvpx", 160, 120)
        for _ in range(30):
            await attacker.send("vp8", VP8_DESCRIPTOR + picture)
            await asyncio.sleep(0.05)
        assert [e["type"] for e in await attacker.lives()] == ["session.updated"]
        attacker.peer.voice.say(question())
        await attacker.peer.until("input_audio_buffer.committed")
        shown = rig.engine.of(UserFrame) + rig.engine.of(UserVideo)
        assert shown


async def test_h264_is_seen_too():
    async with calling(inputs=SEES) as rig:
        attacker = await attacking(rig)
        units = H264Encoder._split_bitstream(coded("libx264", 160, 128, profile="Baseline"))
        payloads = H264Encoder._packetize(units)
        for _ in range(30):
            for number, payload in enumerate(payloads):  # of one moment
                await attacker.send("h264", payload, later=0 if number else 3000)
            await asyncio.sleep(0.05)
        assert [e["type"] for e in await attacker.lives()] == ["session.updated"]
        attacker.peer.voice.say(question())
        await attacker.peer.until("input_audio_buffer.committed")
        frames = [shown.frame for shown in rig.engine.of(UserFrame)]
        frames += [f for shown in rig.engine.of(UserVideo) for f in shown.video.frames]
        assert {(frame.rows, frame.columns) for frame in frames} == {(128, 160)}


async def test_a_picture_that_claims_to_be_huge_is_never_made_room_for():
    async with calling(inputs=SEES) as rig:
        attacker = await attacking(rig)
        other = rig.peer()
        await other.call()
        await other.until("conversation.created")
        before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for _ in range(3):
            await attacker.send("vp8", VP8_DESCRIPTOR + forged_vp8(16_383, 16_383))
        error = (await attacker.peer.until("error"))[-1]["error"]
        assert error["code"] == "camera_off"
        assert "16383 × 16383" in error["message"]
        assert "max_frame_pixels" in error["message"]
        await attacker.lives()
        other.voice.say(question())
        await other.until("response.done")
        grown_mb = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb) // 1024
        assert grown_mb < 200, "libvpx takes 900 for such a frame"


async def test_more_frames_than_may_wait_turn_the_camera_off():
    async with calling(inputs=SEES, max_waiting_frames=2) as rig:
        attacker = await attacking(rig)
        (call,) = rig.gateway.calls._calls.values()
        _, guard = call._ends.peer.video
        guard._frames = SimpleNamespace(qsize=lambda: 3)  # a decoder that does not keep up
        for _ in range(2):
            await attacker.send("vp8", VP8_DESCRIPTOR + forged_vp8(160, 120))
        error = (await attacker.peer.until("error"))[-1]["error"]
        assert error["code"] == "camera_off"
        assert "2 (max_waiting_frames)" in error["message"]
        await attacker.lives()


async def test_a_huge_parameter_set_turns_the_camera_off_too():
    async with calling(inputs=SEES, max_frame_pixels=100_000) as rig:
        attacker = await attacking(rig)
        nals = coded("libx264", 640, 480, profile="Baseline").split(b"\0\0\1")
        (parameters,) = (nal.rstrip(b"\0") for nal in nals if nal[:1] == b"\x67")
        for _ in range(2):
            await attacker.send("h264", parameters)
        error = (await attacker.peer.until("error"))[-1]["error"]
        assert error["code"] == "camera_off"
        assert "100000 (max_frame_pixels)" in error["message"]
        await attacker.lives()
