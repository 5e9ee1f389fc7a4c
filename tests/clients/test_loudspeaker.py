"""The buffer before a sound card: what is played, what is cut, and how much was heard."""

from clients.python.loudspeaker import Loudspeaker


def pull(speaker, size):
    out = bytearray(size)
    speaker.fill(memoryview(out))
    return bytes(out)


def test_samples_come_in_order_and_silence_behind_them():
    speaker = Loudspeaker()
    speaker.write(b"abcd")
    speaker.write(b"ef")
    assert pull(speaker, 4) == b"abcd"
    assert pull(speaker, 4) == b"ef\0\0"


def test_stopping_says_how_much_of_this_reply_was_heard():
    speaker = Loudspeaker()
    speaker.write(bytes(4_800))  # 100 ms of an earlier reply, of which half is still to be played
    pull(speaker, 2_400)
    speaker.begin()
    speaker.write(bytes(48_000))
    pull(speaker, 2_400 + 24_000)
    assert speaker.stop() == 500
    assert pull(speaker, 2) == b"\0\0"


def test_a_reply_played_to_its_end_was_not_cut():
    speaker = Loudspeaker()
    speaker.begin()
    speaker.write(bytes(480))
    pull(speaker, 480)
    assert speaker.stop() is None
