"""Stage by stage: medians for each second of speech, beside the floors."""

import pytest
import torch

from server.bench.floors import Work
from server.bench.machine import Rates
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
