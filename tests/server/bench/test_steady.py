"""Stage by stage: medians for each second of speech, beside the floors."""

import numpy as np
import pytest
import torch

from clients.python.report import TurnReport
from server.bench import steady as bench
from server.bench.floors import Work
from server.bench.machine import Rates
from server.bench.options import BenchOptions
from server.bench.steady import cost_table, stage_costs
from server.bench.turns import EngineTurn
from streaming.engine.messages.events import ResponseDone, StageTimings

RATES = Rates(read_bytes_s=1.0, operations_s={torch.float32: 1.0})


def turn(talker_s, speech_s):
    timings = StageTimings(talker_busy_s=talker_s, token2wav_busy_s=1.0)
    done = ResponseDone(conversation_id="c", response_id="r", status="completed", timings=timings)
    return EngineTurn(done=done, speech_s=speech_s, chunks=1)


def floors(talker):
    def work(operations):
        return Work(operations=operations, read_bytes=0.0, dtype=torch.float32)

    return {"encode": work(0), "talker": work(talker), "token2wav": work(1), "vocoder": work(0.5)}


def test_costs_are_medians_for_a_second_of_speech():
    turns = [turn(1.0, 2.0), turn(9.0, 3.0), turn(2.0, 2.0)]
    costs = {c.stage: c for c in stage_costs(turns, [floors(0.4)] * 3, RATES)}
    assert costs["talker"].busy == 1.0  # of 0.5, 3 and 1
    assert costs["talker"].floor == pytest.approx(0.2)
    assert costs["vocoder"].busy is None


def test_table_sets_parts_in_and_divides_by_no_zero():
    rows = cost_table(stage_costs([turn(1.0, 2.0)], [floors(0.5)], RATES))
    assert rows[0].split()[-3:] == ["busy", "÷", "floor"]
    by_stage = {row.split()[0]: row.split() for row in rows[1:]}
    assert by_stage["talker"] == ["talker", "0.5000", "0.2500", "2.0"]
    assert by_stage["encode"] == ["encode", "0.0000", "0.0000"]
    assert by_stage["of"] == ["of", "it", "vocoder", "0.2500"]


def report(speech_rtf, underruns):
    return TurnReport(
        question_transcript=None,
        answer_transcript="Yes.",
        first_text_s=0.1,
        first_audio_s=0.2,
        speech_s=2.0,
        speech_rtf=speech_rtf,
        underruns=underruns,
        underrun_s=0.25 * underruns,
        status="completed",
        usage={},
        samples=np.zeros(0, np.int16),
        sample_rate_hz=24_000,
    )


@pytest.mark.parametrize(
    ("rtf", "underruns", "met"), [(0.4, [0, 0], True), (0.4, [2, 1], False), (0.6, [0, 0], False)]
)
def test_underruns_of_all_runs_together_are_judged(machine, monkeypatch, rtf, underruns, met):
    runs = bench._Runs(
        turns=[report(rtf, count) for count in underruns], inside=[turn(1.0, 2.0), turn(1.0, 2.0)]
    )

    async def measured(*_):
        return runs

    monkeypatch.setattr(bench, "_measure", measured)
    monkeypatch.setattr(bench, "load_checkpoint", lambda *_, **__: Unmade())
    monkeypatch.setattr(bench, "pack_for_steps", lambda decoder: None)
    monkeypatch.setattr(bench, "reply_size", lambda *_: None)
    monkeypatch.setattr(bench, "reply_floors", lambda *_: floors(0.4))
    monkeypatch.setattr(bench, "measure_rates", lambda dtypes: RATES)
    figures = bench.steady(BenchOptions(), machine).figures()
    assert (figures["underruns"], figures["underrun_s"]) == (
        sum(underruns),
        0.25 * sum(underruns),
    )
    assert figures["met"] is met


class Unmade:
    """A model that nobody looks into."""

    thinker = talker = None
