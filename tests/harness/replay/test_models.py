"""The target and the drafts that follow a recording: what they ask of the engine, and what they do not let pass."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.replay.models import RecordedTarget, ReplayDivergenceError, ReplayDraft, ReplayTarget, TimedDraft
from harness.replay.rendering import HermesRenderer
from harness.replay.trajectories import RecordedObservation, RecordedTrajectory, RecordedTurn
from precall.calls import ToolCall
from precall.chat import ChatClient
from precall.drafts.protocol import Prediction
from precall.errors import BackendError
from precall.events import now_s
from precall.stream import Generation
from precall.testing.virtual_time import run_virtual
from tests.harness.fake_vllm import FakeVllm

FIND, SORT = ToolCall(name="find", arguments='{"x":  1.0}'), ToolCall(name="sort", arguments="{}")
TRAJECTORY = RecordedTrajectory(
    task_id="t",
    turns=(
        RecordedTurn(
            user_turn=0, reasoning="\nWhy?\n", content="\n\n", calls=(FIND, SORT), draft_samples=((FIND,), ())
        ),
        RecordedTurn(user_turn=0, reasoning="", content="Done.", calls=(), draft_samples=((), (SORT,))),
    ),
)
ASKED = [{"role": "user", "content": "Find."}]


@pytest.fixture(scope="module")
def renderer(tiny_folder: Path) -> HermesRenderer:
    return HermesRenderer(tiny_folder)


@pytest.fixture
def fake(tiny_folder: Path) -> Iterator[FakeVllm]:
    with FakeVllm(tokenizer_file=tiny_folder / "tokenizer.json") as fake:
        yield fake


@pytest.fixture
async def client(fake: FakeVllm) -> AsyncIterator[ChatClient]:
    client = ChatClient(base_url=fake.url, model="replay_tiny")
    yield client
    await client.aclose()


def history(num_turns: int) -> list[dict[str, Any]]:
    """Return a history of so many turns."""
    return [*ASKED, *({"role": "assistant", "content": "said"} for _ in range(num_turns))]


async def one_turn(target: ReplayTarget | RecordedTarget) -> Generation:
    (generation,) = [generation async for generation in target.turns(ASKED, [])]
    return generation


async def test_each_turn_comes_back_as_it_was_recorded(client: ChatClient, renderer: HermesRenderer) -> None:
    target = ReplayTarget(client, TRAJECTORY, renderer, "salt")
    for turn in TRAJECTORY.turns:
        generation = await one_turn(target)
        assert (generation.reasoning, generation.content) == (turn.reasoning, turn.content)
        assert [replace(call, call_id="") for call in generation.tool_calls] == list(turn.calls)
        assert generation.output_token_ids == tuple(renderer.target_tokens(turn))
        assert generation.prompt_hash is not None


async def test_a_request_carries_the_tokens_the_salt_and_room_for_no_more(
    client: ChatClient, renderer: HermesRenderer, fake: FakeVllm
) -> None:
    await one_turn(ReplayTarget(client, TRAJECTORY, renderer, "salt"))
    tokens = renderer.target_tokens(TRAJECTORY.turns[0])
    (request,) = fake.requests
    assert request["vllm_xargs"] == {"replay_token_ids": tokens}
    assert (request["max_tokens"], request["cache_salt"], request["return_token_ids"]) == (len(tokens), "salt", True)


async def test_an_engine_that_generates_other_tokens_is_found_out(
    client: ChatClient, renderer: HermesRenderer, fake: FakeVllm
) -> None:
    fake.is_deaf = True
    with pytest.raises(ReplayDivergenceError, match=r"tokens that are not the .* recorded ones\. Is the replay plugin"):
        await one_turn(ReplayTarget(client, TRAJECTORY, renderer, "salt"))


async def test_a_server_that_returns_no_tokens_is_refused(
    client: ChatClient, renderer: HermesRenderer, fake: FakeVllm
) -> None:
    fake.has_token_ids = False
    with pytest.raises(ReplayDivergenceError, match="returned no token ids; replay needs a vLLM server"):
        await one_turn(ReplayTarget(client, TRAJECTORY, renderer, "salt"))


async def test_a_server_that_parses_the_calls_otherwise_is_found_out(
    client: ChatClient, renderer: HermesRenderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.harness.fake_vllm.CALL", re.compile("(no)(call)"))
    with pytest.raises(ReplayDivergenceError, match=r"Turn 0 of t: the server parsed the calls \[\]; recorded are"):
        await one_turn(ReplayTarget(client, TRAJECTORY, renderer, "salt"))


@pytest.mark.parametrize(("returned", "is_same"), [("seen", True), ("gone", False)])
async def test_tools_that_return_something_else_than_recorded_are_found_out(
    returned: str, is_same: bool, client: ChatClient, renderer: HermesRenderer
) -> None:
    recorded = replace(
        TRAJECTORY.turns[0], calls=(SORT,), observations=(RecordedObservation(content="seen", duration_s=1),)
    )
    target = ReplayTarget(client, replace(TRAJECTORY, turns=(recorded, TRAJECTORY.turns[1])), renderer, "salt")
    first = await one_turn(target)
    observed = {"role": "tool", "tool_call_id": first.tool_calls[0].call_id, "content": returned}
    following = target.turns([*ASKED, first.to_message(), observed], [])
    if is_same:
        assert (await anext(following)).content == "Done."
    else:
        with pytest.raises(ReplayDivergenceError, match="Turn 0 of t: sort returned 'gone'; recorded is 'seen'"):
            await anext(following)


async def predictions_of(draft: ReplayDraft | TimedDraft, turn: int = 0) -> list[Prediction]:
    return [prediction async for prediction in draft.predict(history(turn), [])]


async def test_a_draft_at_work_gives_every_sample_of_its_turn(client: ChatClient, renderer: HermesRenderer) -> None:
    draft = ReplayDraft(client, TRAJECTORY, renderer, "salt")
    for index, turn in enumerate(TRAJECTORY.turns):
        found = {each.sample: each.calls for each in await predictions_of(draft, index)}
        plain = {sample: tuple(replace(call, call_id="") for call in calls) for sample, calls in found.items()}
        assert plain == dict(enumerate(turn.draft_samples))


async def test_a_turn_for_which_a_draft_was_never_asked_does_not_shift_the_next() -> None:
    draft = TimedDraft(TRAJECTORY, [[0.0, 0.0], [0.0, 0.0]])
    assert {each.calls for each in await predictions_of(draft, 1)} == {(), (SORT,)}


async def test_a_draft_that_answers_differently_is_found_out(
    client: ChatClient, renderer: HermesRenderer, fake: FakeVllm
) -> None:
    fake.is_deaf = True
    with pytest.raises(BackendError, match=r"are not the .* recorded ones"):
        await predictions_of(ReplayDraft(client, TRAJECTORY, renderer, "salt"))


async def test_a_draft_that_is_no_longer_needed_breaks_its_requests_off(
    client: ChatClient, renderer: HermesRenderer, fake: FakeVllm
) -> None:
    fake.hold.clear()
    asking = asyncio.create_task(predictions_of(ReplayDraft(client, TRAJECTORY, renderer, "salt")))
    async with asyncio.timeout(5.0):
        while len(fake.requests) < 2:  # noqa: ASYNC110 - the server is in another thread
            await asyncio.sleep(0.01)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert asking.cancelled()
    assert len(asyncio.all_tasks()) == 1


def test_a_draft_elsewhere_answers_after_the_time_that_each_sample_took_alone() -> None:
    async def run() -> list[tuple[int, tuple[ToolCall, ...], float]]:
        draft = TimedDraft(TRAJECTORY, [[3.0, 1.0], [0.5, 0.5]])
        first = [(each.sample, each.calls, now_s()) async for each in draft.predict(history(0), [])]
        return first + [(each.sample, each.calls, now_s()) async for each in draft.predict(history(1), [])]

    assert run_virtual(run()) == [(1, (), 1.0), (0, (FIND,), 3.0), (0, (), 3.5), (1, (SORT,), 3.5)]


def test_the_target_of_the_calibration_times_each_sample_before_it_gives_the_recorded_turn() -> None:
    async def run() -> tuple[RecordedTarget, list[Any]]:
        draft: Any = TimedDraft(TRAJECTORY, [[3.0, 1.0], [0.5, 0.25]])
        target = RecordedTarget(TRAJECTORY, draft)
        asked = [history(index) for index in range(len(TRAJECTORY.turns))]
        return target, [(await anext(target.turns(messages, [])), now_s()) for messages in asked]

    target, generations = run_virtual(run())
    assert target.sample_s == [[3.0, 1.0], [0.5, 0.25]]
    assert [(generation.tool_calls, ended_s) for generation, ended_s in generations] == [((FIND, SORT), 3.0), ((), 3.5)]
    assert generations[1][0].content == "Done."


async def test_a_tool_that_returns_other_than_recorded_ends_the_replay(
    client: ChatClient, renderer: HermesRenderer
) -> None:
    observations = tuple(RecordedObservation(content=content, duration_s=None) for content in ("7", "8"))
    turns = (replace(TRAJECTORY.turns[0], observations=observations), TRAJECTORY.turns[1])
    for returned, is_same in (("8", True), ("9", False)):
        target = ReplayTarget(client, RecordedTrajectory(task_id="t", turns=turns), renderer, "salt")
        await one_turn(target)
        history = [*ASKED, {"role": "tool", "content": "7"}, {"role": "tool", "content": returned}]
        if is_same:
            assert [generation.content async for generation in target.turns(history, [])] == ["Done."]
        else:
            with pytest.raises(ReplayDivergenceError, match="Turn 0 of t: sort returned '9'; recorded is '8'"):
                await anext(target.turns(history, []))


async def test_an_agent_that_goes_on_after_the_end_of_the_recording_is_named(
    client: ChatClient, renderer: HermesRenderer
) -> None:
    target = ReplayTarget(client, replace(TRAJECTORY, turns=TRAJECTORY.turns[1:]), renderer, "salt")
    await one_turn(target)
    with pytest.raises(ReplayDivergenceError, match="t is recorded with 1 turns, and the agent asks for another"):
        await one_turn(target)
