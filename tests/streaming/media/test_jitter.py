"""Packets in order, with bounded waits, whatever the network does to them."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from streaming.media.jitter import MAX_AHEAD_S, JitterBuffer, Packet, Silence

TICKS = 960
FRAME_S = 0.020


def packet(number, *, base=65_530, at=2**32 - 5 * TICKS):
    """The n-th packet of a stream whose counters wrap soon."""
    return Packet(
        sequence=(base + number) & 0xFFFF,
        timestamp=(at + number * TICKS) & 0xFFFFFFFF,
        payload=b"%d" % number,
    )


def buffer():
    return JitterBuffer(lambda payload: TICKS)


def shown(pieces):
    return [
        piece.ticks if isinstance(piece, Silence) else int(piece.payload.decode())
        for piece in pieces
    ]


def play(arrivals):
    """What comes out, and when, of packets that arrive at times; looked at every 5 ms."""
    jitter, out, now = buffer(), [], 0.0
    for at_s, number in sorted(arrivals):
        while now + 0.005 <= at_s:
            now += 0.005
            out += [(now, piece) for piece in shown(jitter.expire(now))]
        now = max(now, at_s)
        out += [(at_s, piece) for piece in shown(jitter.push(packet(number), at_s))]
    for _ in range(10):
        now += 0.005
        out += [(now, piece) for piece in shown(jitter.expire(now))]
    return jitter, out


def test_packets_in_order_pass_at_once():
    _, out = play([(n * FRAME_S, n) for n in range(40)])
    assert out == [(n * FRAME_S, n) for n in range(40)]


def test_what_waits_for_others_is_told():
    late = [(0.0, 0), (0.020, 2), (0.030, 1), (0.040, 3)]
    jitter, out = play(late)
    assert [piece for _, piece in out] == [0, 1, 2, 3]
    assert jitter.given == 4
    assert abs(jitter.held_s - 0.010) < 1e-9  # the third packet waited for the second


def test_a_lost_packet_becomes_silence_and_leaves_no_delay():
    jitter, out = play([(n * FRAME_S, n) for n in range(40) if n != 10])
    assert [piece for _, piece in out] == [*range(10), TICKS, *range(11, 40)]
    delay = {number: at_s - number * FRAME_S for at_s, number in out if number != TICKS}
    assert max(delay.values()) <= 0.040 + 0.005
    assert all(delay[number] < 1e-9 for number in range(13, 40))
    assert jitter.lost == 1


def test_a_swapped_pair_is_put_in_order():
    _, out = play([(0.0, 0), (0.040, 1), (0.030, 2), (0.060, 3)])
    assert [piece for _, piece in out] == [0, 1, 2, 3]


def test_a_packet_that_is_too_late_is_counted_and_not_heard():
    jitter, out = play([(0.0, 0), (0.040, 2), (0.060, 3), (0.200, 1), (0.080, 4)])
    assert [piece for _, piece in out] == [0, TICKS, 2, 3, 4]
    assert jitter.late == 1


def test_a_stall_that_ends_in_a_burst_loses_nothing():
    stall = [(0.0, 0), *((0.15 + n / 1000, n) for n in range(1, 8))]
    _, out = play(stall)
    assert [piece for _, piece in out] == list(range(8))


def test_a_jump_of_the_timestamp_alone_is_silence():
    jitter = buffer()
    jitter.push(packet(0), 0.0)
    later = Packet(sequence=packet(1).sequence, timestamp=packet(6).timestamp, payload=b"6")
    assert shown(jitter.push(later, 0.12)) == [5 * TICKS, 6]


def test_where_nothing_comes_silence_runs_with_the_clock():
    jitter = buffer()
    jitter.push(packet(0), 0.0)
    assert jitter.expire(1.0) == []
    assert sum(shown(jitter.expire(2.0))) == 48_000
    assert sum(shown(jitter.expire(2.5))) == 24_000
    # The rest of the gap is counted once.
    back = Packet(sequence=packet(1).sequence, timestamp=packet(100).timestamp, payload=b"100")
    pieces = shown(jitter.push(back, 2.8))
    assert pieces == [100 * TICKS - TICKS - 72_000, 100]


def test_a_stream_that_begins_anew_is_followed_from_its_second_packet():
    jitter = buffer()
    jitter.push(packet(0), 0.0)
    assert shown(jitter.push(packet(1, base=20_000, at=5), 0.02)) == []
    assert shown(jitter.push(packet(2, base=20_000, at=5), 0.04)) == [2]
    assert shown(jitter.push(packet(3, base=20_000, at=5), 0.06)) == [3]


def test_no_timestamp_makes_hours_of_silence():
    jitter, ticks = buffer(), 0
    for number in range(200):
        wild = Packet(sequence=number, timestamp=number * 2**30 & 0xFFFFFFFF, payload=b"0")
        pieces = jitter.push(wild, number * FRAME_S)
        ticks += sum(piece.ticks if isinstance(piece, Silence) else TICKS for piece in pieces)
    assert ticks / 48_000 <= 200 * FRAME_S + MAX_AHEAD_S


@given(
    lost=st.sets(st.integers(1, 58), max_size=20),
    delays_ms=st.lists(st.integers(0, 35), min_size=60, max_size=60),
)
def test_order_and_time_hold_for_any_loss_and_jitter(lost, delays_ms):
    """As many ticks come out as the stream had, in order, none of them later than the wait."""
    arrivals = [(n * FRAME_S + delays_ms[n] / 1000, n) for n in range(60) if n not in lost]
    _, out = play(arrivals)
    numbers = [piece for _, piece in out if piece < TICKS]
    assert numbers == sorted(numbers)
    came = {n: at_s for at_s, n in arrivals}
    for at_s, number in out:
        if number < TICKS:
            assert at_s - came[number] <= 0.040 + 0.006
    last = numbers[-1]
    ticks = sum(piece if piece >= TICKS else TICKS for _, piece in out)
    assert ticks == (last + 1) * TICKS - numbers[0] * TICKS
    assert list(itertools.accumulate(numbers, max)) == numbers
