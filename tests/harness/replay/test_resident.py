"""The replayed target on a server with the tool cache: what it forces, and what it does not let pass."""

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.replay.models import ReplayDivergenceError
from harness.replay.rendering import HermesRenderer
from harness.replay.resident import ReplayResidentTarget
from harness.replay.trajectories import RecordedObservation, RecordedTrajectory, RecordedTurn
from precall.calls import ToolCall
from precall.chat import ChatClient
from precall.events import EventRecorder
from precall.stream import Generation
from precall.testing.fake_server import Answer, FakeChatServer, call_deltas, chunk, executed_chunk, usage_chunk
from precall.tool_cache import ToolCachePublisher
from precall.wire import ExecutedTurn

ASKED = [{"role": "user", "content": "Find."}]
FIRST, SECOND = ToolCall(name="find", arguments='{"x": 1}'), ToolCall(name="sort", arguments="{}")


def turn(user_turn: int, *calls: ToolCall, content: str = "", **fields: Any) -> RecordedTurn:
    return RecordedTurn(user_turn=user_turn, reasoning="", content=content, calls=calls, **fields)


SEEN = (RecordedObservation(content="seen", duration_s=None),)
TURNS = (
    turn(0, FIRST, observations=SEEN),
    turn(0, SECOND),
    turn(0, content="Done, with more words than a call has tokens, so that this turn is by far the longest of all."),
    turn(1, content="Again."),
)
TRAJECTORY = RecordedTrajectory(task_id="t", turns=TURNS)


@pytest.fixture(scope="module")
def renderer(tiny_folder: Path) -> HermesRenderer:
    return HermesRenderer(tiny_folder)


def executed(call: ToolCall, token_ids: list[int], text: str = "seen") -> str:
    return executed_chunk(
        ExecutedTurn(
            reasoning="",
            content="",
            calls=(replace(call, call_id="c"),),
            outputs=(text,),
            num_prompt_tokens=5,
            num_output_tokens=len(token_ids),
            token_ids=tuple(token_ids),
        )
    )


def last(token_ids: list[int], *calls: ToolCall) -> tuple[str, ...]:
    deltas = [delta for index, call in enumerate(calls) for delta in call_deltas(index, replace(call, call_id="d"))]
    events = [chunk({"role": "assistant", "content": ""}), *map(chunk, deltas), chunk({}, token_ids=token_ids)]
    return (*events, chunk(finish_reason="tool_calls" if calls else "stop"), usage_chunk(9, 9), "[DONE]")


Ask = Callable[..., Any]


@pytest.fixture
async def ask(renderer: HermesRenderer) -> AsyncIterator[Ask]:
    """Run the responses of a target whose server gives these answers; return their turns and the server."""
    clients: list[ChatClient] = []

    async def ask(*answers: tuple[str, ...]) -> tuple[list[list[Generation]], FakeChatServer]:
        async with FakeChatServer(answers=[Answer(events=events) for events in answers]) as server:
            clients.append(ChatClient(base_url=server.base_url, model="m", request_timeout_s=5.0))
            publisher = ToolCachePublisher(clients[-1], EventRecorder("t", lambda _: None))
            target = ReplayResidentTarget(clients[-1], TRAJECTORY, renderer, "salt", publisher)
            history = [*ASKED, {"role": "tool", "content": "seen"}]
            return [[each async for each in target.turns(history, [])] for _ in answers], server

    yield ask
    for client in clients:
        await client.aclose()


async def test_a_request_forces_every_turn_up_to_the_answer_of_its_user_turn(
    ask: Ask, renderer: HermesRenderer
) -> None:
    tokens = [renderer.target_tokens(each) for each in TURNS]
    answers = [
        (executed(FIRST, tokens[0]), *last(tokens[1], SECOND)),  # executed, then a miss
        last(tokens[2]),
        last(tokens[3]),
    ]
    responses, server = await ask(*answers)
    assert [[each.is_continued for each in response] for response in responses] == [[True, False], [False], [False]]
    forced = [body["vllm_xargs"] for body in server.requests]
    assert forced == [{"replay_token_ids": tokens[index]} for index in (0, 2, 3)]
    later = [body["precall"]["turn_xargs"] for body in server.requests]
    assert later == [[{}, {"replay_token_ids": tokens[1]}, {"replay_token_ids": tokens[2]}], [{}], [{}]]
    assert [body["max_tokens"] for body in server.requests] == [len(tokens[2]), len(tokens[2]), len(tokens[3])]
    assert [(body["cache_salt"], body["return_token_ids"]) for body in server.requests] == [("salt", True)] * 3


async def test_an_executed_turn_of_other_tokens_is_found_out(ask: Ask, renderer: HermesRenderer) -> None:
    with pytest.raises(ReplayDivergenceError, match=r"tokens that are not the .* recorded ones"):
        await ask((executed(FIRST, renderer.target_tokens(TURNS[0])[::-1]), *last([])))


async def test_an_executed_turn_of_another_call_is_found_out(ask: Ask, renderer: HermesRenderer) -> None:
    with pytest.raises(ReplayDivergenceError, match=r"Turn 0 of t: the server parsed the calls \[\('sort'"):
        await ask((executed(SECOND, renderer.target_tokens(TURNS[0])), *last([])))


async def test_an_executed_turn_with_another_observation_is_found_out(ask: Ask, renderer: HermesRenderer) -> None:
    with pytest.raises(ReplayDivergenceError, match="Turn 0 of t: find returned 'other'; recorded is 'seen'"):
        await ask((executed(FIRST, renderer.target_tokens(TURNS[0]), "other"), *last([])))
