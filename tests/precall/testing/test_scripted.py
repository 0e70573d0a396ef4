"""The scripted models keep to their script."""

import pytest

from precall.calls import ToolCall
from precall.errors import BackendError
from precall.events import now_s
from precall.testing.scripted import ScriptedDraft, ScriptedGeneration, ScriptedSample, ScriptedTarget
from precall.testing.virtual_time import run_virtual

USER = {"role": "user", "content": "go"}
ASSISTANT = {"role": "assistant", "content": "went"}
CALL = ToolCall(name="f", arguments="{}")


async def collect(stream):
    return [(now_s(), item) async for item in stream]


def test_a_target_yields_the_turns_of_a_response_after_their_times_and_marks_all_but_the_last():
    target = ScriptedTarget(
        [
            [ScriptedGeneration(duration_s=2.0, calls=(CALL, CALL)), ScriptedGeneration(duration_s=3.0, content="x")],
            [ScriptedGeneration(duration_s=1.0, calls=(CALL,), num_output_tokens=9)],
        ]
    )

    async def main():
        return await collect(target.turns([USER], ())) + await collect(target.turns([USER, ASSISTANT], ()))

    (at_2, first), (at_5, second), (at_6, third) = run_virtual(main())
    assert (at_2, at_5, at_6) == (2.0, 5.0, 6.0)
    assert [generation.is_continued for generation in (first, second, third)] == [True, False, False]
    assert [generation.sent_s for generation in (first, second, third)] == [0.0, 2.0, 5.0]
    assert [call.call_id for call in first.tool_calls + third.tool_calls] == ["call_1", "call_2", "call_3"]
    assert (second.content, second.finish_reason, third.num_output_tokens) == ("x", "stop", 9)
    assert target.requests == [[USER], [USER, ASSISTANT]]


def test_a_target_fails_when_its_script_says_so_and_when_its_script_is_at_its_end():
    async def main():
        target = ScriptedTarget([[ScriptedGeneration(duration_s=2.0, failure="gone")]])
        with pytest.raises(BackendError, match="gone"):
            await collect(target.turns([USER], ()))
        assert now_s() == 2.0
        with pytest.raises(AssertionError, match="request 2 reached a target whose script holds 1 responses"):
            await collect(target.turns([USER], ()))

    run_virtual(main())


def test_a_draft_yields_the_samples_of_the_turn_in_the_order_of_their_delays():
    samples = [ScriptedSample(delay_s=3.0, calls=(CALL,)), ScriptedSample(delay_s=1.0)]
    draft = ScriptedDraft(turns=[[], samples])

    async def main():
        assert await collect(draft.predict([USER], ())) == []
        answers = await collect(draft.predict([USER, ASSISTANT], ()))
        assert await collect(draft.predict([USER, ASSISTANT, ASSISTANT], ())) == []
        return answers

    answers = run_virtual(main())
    assert [(time_s, p.sample, p.calls) for time_s, p in answers] == [(1.0, 1, ()), (3.0, 0, (CALL,))]
    assert {prediction.sent_s for _, prediction in answers} == {0.0}
    assert (draft.num_asked, draft.num_running) == (3, 0)
