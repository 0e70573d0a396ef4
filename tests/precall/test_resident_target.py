"""A resident target through the real openai client, against a scripted server with a tool cache on this machine."""

import json

import pytest

from precall.calls import ToolCall
from precall.chat import ChatClient, Sampling
from precall.errors import BackendError
from precall.events import EventKind, EventRecorder
from precall.policy import LaunchPolicy
from precall.resident_target import ResidentTarget
from precall.speculation import ClientSpeculation
from precall.stream import hash_token_ids
from precall.testing.fake_server import Answer, FakeChatServer, answer_of, chunk, executed_chunk, usage_chunk
from precall.testing.scripted import ScriptedDraft, ScriptedSample
from precall.tool_cache import ToolCachePublisher
from precall.tools import Effect, Tool, run_tool
from precall.turn import TurnRunner
from precall.wire import ExecutedTurn, parse_executed_turns
from tests.precall.worlds import Run

CALL = ToolCall(name="f", arguments='{"x": 1}', call_id="call_a")
EXECUTED = ExecutedTurn(
    reasoning="hm",
    content="",
    calls=(CALL,),
    outputs=("f of 1",),
    num_prompt_tokens=3,
    num_output_tokens=2,
    prompt_token_ids=(1, 2, 3),
    token_ids=(4, 5),
    result_token_ids=(6,),
)
SECOND = ExecutedTurn(
    reasoning="",
    content="more",
    calls=(ToolCall(name="f", arguments='{"x": 2}', call_id="call_b"),),
    outputs=("f of 2",),
    num_prompt_tokens=6,
    num_output_tokens=1,
    token_ids=(7,),
    result_token_ids=(8, 9),
)


def last_turn(content="done", *, num_generated=3):
    """Return the events of a last turn of two tokens after `num_generated` others; 9 tokens before it."""
    return (
        chunk({"role": "assistant", "content": ""}, prompt_token_ids=[1, 2, 3, 4, 5, 6, 7, 8, 9]),
        chunk({"content": content}, token_ids=[10, 11]),
        chunk(finish_reason="stop", token_ids=[]),
        usage_chunk(9 - num_generated, 2 + num_generated),
        "[DONE]",
    )


class Trajectory:
    """One trajectory against `server`, whose draft predicts f(x=1) in the first turn."""

    def __init__(self, server, *, api_key="EMPTY"):
        self.run, self.ran = Run(), []
        self.client = ChatClient(base_url=server.base_url, model="m", api_key=api_key, request_timeout_s=5.0)
        recorder = EventRecorder("t", self.run.events.append)
        publisher = ToolCachePublisher(self.client, recorder)
        parameters = {"type": "object", "properties": {"x": {"type": "number"}}}
        tool = Tool(name="f", description="", parameters=parameters, function=self._f, effect=Effect.PURE)
        draft = ScriptedDraft(turns=[[ScriptedSample(delay_s=0.0, calls=(CALL,))]])
        self.speculation = ClientSpeculation(draft, LaunchPolicy(), run_tool, recorder, publisher)
        target = ResidentTarget(self.client, Sampling(max_tokens=7), publisher, {"return_token_ids": True})
        self.runner = TurnRunner(target, self.speculation, [tool], run_tool, recorder)

    async def _f(self, x):
        self.ran.append(x)
        return f"f of {x}"

    async def finish(self):
        try:
            while self.run.messages[-1]["role"] != "assistant":
                async for turn in self.runner.run_response(self.run.messages):
                    self.run.turns.append(turn)
        finally:
            await self.speculation.aclose()
            await self.client.aclose()


async def follow(*answers, post_status=200, **options):
    async with FakeChatServer(answers=answers, post_status=post_status) as server:
        trajectory = Trajectory(server, **options)
        await trajectory.finish()
    return trajectory, server


async def test_what_was_posted_comes_back_as_an_executed_turn_of_the_same_response():
    answer = Answer(events=(executed_chunk(EXECUTED), executed_chunk(SECOND), *last_turn()), num_posts=1)
    trajectory, server = await follow(answer, api_key="the key")
    ((path, headers, entries),) = server.posts
    assert entries == [{"name": "f", "params": {"x": 1}, "output": "f of 1"}]
    (sent,) = server.headers
    assert path == f"/cache-tool-output/chatcmpl-{sent['x-request-id']}"
    assert headers["x-precall-secret"] == sent["x-precall-secret"]
    assert len(sent["x-precall-secret"]) >= 16
    assert headers["authorization"] == "Bearer the key"
    run = trajectory.run
    assert trajectory.ran == [1], "neither executed call is run again, though nothing here ran the second"
    assert run.messages[1:] == [*EXECUTED.messages(), *SECOND.messages(), {"role": "assistant", "content": "done"}]
    assert run.outcomes == ["ready_hit"] * 2
    assert run.fates == ["used"]
    assert run.data(EventKind.OUTPUT_POSTED, "is_running") == [False]
    assert len(server.requests) == 1


async def test_tokens_and_contexts_are_told_per_turn():
    answer = Answer(events=(executed_chunk(EXECUTED, SECOND), *last_turn()))
    trajectory, _ = await follow(answer)
    turns = [turn.generation for turn in trajectory.run.turns]
    assert [(turn.num_prompt_tokens, turn.num_output_tokens) for turn in turns] == [(3, 2), (6, 1), (9, 2)]
    assert [turn.output_token_ids for turn in turns] == [(4, 5), (7,), (10, 11)]
    contexts = [[1, 2, 3], [1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6, 7, 8, 9]]
    hashes = [hash_token_ids(context) for context in contexts]
    assert trajectory.run.data(EventKind.GENERATION_FINISHED, "prompt_hash") == hashes
    assert [turn.is_continued for turn in turns] == [True, True, False]
    assert [turn.first_token_s for turn in turns] == [None] * 3
    assert turns[0].sent_s < turns[0].finished_s == turns[1].sent_s
    assert turns[1].finished_s == turns[2].sent_s < turns[2].finished_s


async def test_each_request_has_an_id_and_a_secret_of_its_own_and_an_ordinary_response_has_one_turn():
    trajectory, server = await follow(answer_of(calls=[CALL]), answer_of(content="done"))
    first, second = server.headers
    assert first["x-request-id"] != second["x-request-id"]
    assert first["x-precall-secret"] != second["x-precall-secret"]
    assert [turn.generation.is_continued for turn in trajectory.run.turns] == [False, False]
    assert trajectory.run.turns[0].generation.num_prompt_tokens == 10
    assert server.requests[0]["max_tokens"] == 7 and server.requests[0]["return_token_ids"] is True


@pytest.mark.parametrize("status", [401, 404, 410, None])
async def test_a_refused_or_lost_post_is_recorded_and_the_trajectory_goes_on(status):
    answers = [Answer(events=answer_of(calls=[CALL]).events, num_posts=1), answer_of(content="done")]
    trajectory, _ = await follow(*answers, post_status=status, api_key="wrong")
    assert trajectory.run.data(EventKind.POST_FAILED, "status") == [status]
    assert trajectory.run.messages[-1]["content"] == "done"
    assert trajectory.ran == [1]
    assert trajectory.run.outcomes == ["ready_hit"]


async def test_a_stream_that_breaks_off_after_an_executed_turn_ends_the_response():
    answer = Answer(events=(executed_chunk(EXECUTED),), is_broken_off=True)
    with pytest.raises(BackendError, match=r"The request to m at http://127\.0\.0\.1:\d+/v1 failed"):
        await follow(answer)


async def test_an_executed_turn_of_a_tool_that_the_client_does_not_have_is_refused():
    strange = ExecutedTurn(
        reasoning="",
        content="",
        calls=(ToolCall(name="g", arguments="{}", call_id="c"),),
        outputs=("x",),
        num_prompt_tokens=3,
        num_output_tokens=2,
    )
    with pytest.raises(BackendError, match=r"the result of a call that cannot be run: .*name='g'"):
        await follow(Answer(events=(executed_chunk(strange), *last_turn())))


@pytest.mark.parametrize("harm", ["no messages", "other id", "no calls"])
async def test_executed_turns_that_cannot_be_read_are_a_fault_of_the_server(harm):
    turn = EXECUTED.to_json()
    if harm == "no messages":
        del turn["messages"]
    elif harm == "other id":
        turn["messages"][1]["tool_call_id"] = "another"
    else:
        del turn["messages"][0]["tool_calls"]
    event = json.dumps({"id": "chatcmpl-1", "choices": [], "precall": {"executed_turns": [turn]}})
    with pytest.raises(BackendError, match="executed turns that cannot be read"):
        await follow(Answer(events=(event, *last_turn())))


@pytest.mark.parametrize("turn", [EXECUTED, SECOND], ids=["with a prompt", "without one"])
def test_an_executed_turn_is_read_as_it_was_written(turn):
    assert parse_executed_turns({"executed_turns": [turn.to_json()]}) == (turn,)
