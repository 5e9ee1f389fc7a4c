"""What a caller makes of events and sounds, told by scripts of them at given moments."""

import base64

import pytest

from clients.python.errors import ServerSaidError
from server.bench.load.exchange import Exchange
from server.bench.load.speech import Saying

ONSET_S, END_S = 8.0, 10.0
STARTED = {"type": "input_audio_buffer.speech_started"}
STOPPED = {"type": "input_audio_buffer.speech_stopped"}


def saying():
    return Saying(utterance=None, sound_at_s=ONSET_S, onset_at_s=ONSET_S, ended_at_s=END_S)


def created(name):
    return {"type": "response.created", "response": {"id": name}}


def done(name, status="completed"):
    return {"type": "response.done", "response": {"id": name, "status": status}}


def sound(duration_s, item="i"):
    pcm = base64.b64encode(bytes(int(24_000 * duration_s) * 2)).decode()
    return {"type": "response.output_audio.delta", "delta": pcm, "item_id": item}


def made(name):
    return {"type": "response.output_audio.done", "response_id": name}


def played(name):
    return {"type": "output_audio_buffer.stopped", "response_id": name}


def asked(exchange, *script):
    exchange.take_event(STARTED, 8.2)
    exchange.question_sent(saying())
    exchange.take_event(STOPPED, 10.5)
    return run(exchange, *script)


def run(exchange, *script):
    for moment_s, what in script:
        if isinstance(what, float):
            exchange.take_sound(what, moment_s)
        else:
            exchange.take_event(what, moment_s)
    return exchange


def test_over_a_socket_the_player_is_the_callers():
    exchange = asked(
        Exchange(server_plays=False),
        (10.6, created("r")),
        (11.0, sound(1.0)),
        (12.5, sound(1.0)),
        (12.6, done("r")),
    )
    assert exchange.answered.is_set()
    figures = exchange.figures()
    assert figures["first_sound_s"] == pytest.approx(1.0)
    assert (figures["underruns"], figures["underrun_s"]) == (1, pytest.approx(0.5))
    assert figures["speech_rtf"] == pytest.approx((12.5 - 10.6) / 2.0)
    assert exchange.left_s(12.6) == pytest.approx(0.9)
    assert exchange.played_ms(12.6) == pytest.approx(1100, abs=1)


def test_a_call_ends_when_it_was_played_and_pauses_in_it_are_underruns():
    exchange = asked(Exchange(server_plays=True), (10.6, created("r")), (11.0, 0.02))
    assert exchange.sounding.is_set()
    run(exchange, (11.02, 0.02), (11.3, 0.02), (11.3, done("r")))
    assert not exchange.answered.is_set()
    run(exchange, (11.32, 0.02), (11.4, played("r")))
    assert exchange.answered.is_set()
    figures = exchange.figures()
    assert figures["first_sound_s"] == pytest.approx(1.0)
    assert (figures["underruns"], figures["underrun_s"]) == (1, pytest.approx(0.28))
    assert figures["speech_s"] == pytest.approx(0.08)


def test_on_a_call_the_server_says_when_all_of_the_sound_was_made():
    exchange = asked(
        Exchange(server_plays=True),
        (10.6, created("r")),
        (10.9, 1.0),
        (11.1, made("r")),
        (11.1, done("r")),
        (11.9, 1.0),
    )
    assert exchange.figures()["speech_rtf"] is None  # not heard to its end
    run(exchange, (12.9, played("r")))
    assert exchange.figures()["speech_rtf"] == pytest.approx((11.1 - 10.6) / 2.0)


def test_a_reply_that_began_too_soon_does_not_count():
    """A pause in the question was taken for its end; then it went on."""
    exchange = Exchange(server_plays=False)
    run(
        exchange,
        (8.2, STARTED),
        (8.9, STOPPED),
        (9.0, created("early")),
        (9.2, sound(0.2)),
        (9.3, STARTED),
        (9.3, done("early", "cancelled")),
    )
    assert not exchange.sounding.is_set()
    exchange.question_sent(saying())
    run(exchange, (10.5, STOPPED), (10.6, created("r")), (11.5, sound(1.0)), (11.6, done("r")))
    assert exchange.figures()["first_sound_s"] == pytest.approx(1.5)


@pytest.mark.parametrize("server_plays", [True, False])
def test_speaking_into_a_reply(server_plays):
    first = Exchange(server_plays=server_plays)
    first.question_sent(saying())
    heard = 0.02 if server_plays else sound(0.5, "first")
    run(first, (6.0, created("a")), (7.0, heard))
    second = Exchange(server_plays=server_plays, interrupts=first)
    # What still comes is the first one's until the second has a reply of its own.
    run(second, (8.15, heard), (8.2, STARTED), (8.2, done("a", "cancelled")))
    assert second.silenced_after_s(saying()) == pytest.approx(0.15 if server_plays else 0.2)
    assert second.first_sound_s is None
    later = 0.02 if server_plays else sound(0.5, "second")
    run(second, (10.6, created("b")), (11.0, later))
    assert second.first_sound_s == 11.0
    assert second.silenced_after_s(saying()) == pytest.approx(0.15 if server_plays else 0.2)
    if not server_plays:
        assert (first.item_id, second.item_id) == ("first", "second")
        assert first.log.playout.received_s == pytest.approx(1.0)


@pytest.mark.parametrize("server_plays", [True, False])
def test_nothing_was_silenced_where_the_reply_was_over_before_the_onset(server_plays):
    """Two seconds of a reply, heard to their end just before the caller speaks."""
    reply = [1.0] if server_plays else [sound(1.0)]
    first = Exchange(server_plays=server_plays)
    first.question_sent(saying())
    run(first, (5.0, created("a")), *((6.0, part) for part in reply), (6.9, done("a")))
    second = Exchange(server_plays=server_plays, interrupts=first)
    run(second, (8.2, STARTED))
    assert second.silenced_after_s(saying()) is None


def test_over_a_socket_a_reply_that_still_plays_is_silenced_though_all_of_it_had_come():
    first = Exchange(server_plays=False)
    first.question_sent(saying())
    run(first, (5.0, created("a")), (6.0, sound(3.0)), (6.1, done("a")))
    second = Exchange(server_plays=False, interrupts=first)
    run(second, (8.2, STARTED))
    assert second.silenced_after_s(saying()) == pytest.approx(0.2)


def test_a_reply_that_never_sounded_was_not_silenced():
    first = Exchange(server_plays=True)
    assert Exchange(True, interrupts=first).silenced_after_s(saying()) is None


def test_nothing_was_silenced_where_nothing_was_spoken_into():
    assert Exchange(server_plays=False).silenced_after_s(saying()) is None


def test_a_silent_reply_over_a_socket_is_over_and_has_no_first_sound():
    exchange = asked(Exchange(server_plays=False), (10.6, created("r")), (10.7, done("r")))
    assert exchange.sounding.is_set()
    assert exchange.answered.is_set()
    assert exchange.first_sound_s is None


def test_an_error_is_raised():
    error = {"type": "error", "error": {"code": "server_error", "message": "no"}}
    with pytest.raises(ServerSaidError, match="no"):
        Exchange(server_plays=True).take_event(error, 0.0)
