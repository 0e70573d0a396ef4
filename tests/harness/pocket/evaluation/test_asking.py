"""What models are asked: histories, salts, seeds; what becomes of the answers."""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from typing import Any, NamedTuple

import pytest

from agents.trajectory import Status
from harness.pocket.evaluation.asking import NUM_SAMPLES, Pair, at_once, draft_turns, run_live, samples_of, score_turns
from harness.pocket.world import draw_tasks, messages_of
from precall.calls import ToolCall
from precall.chat import Messages, Sampling
from precall.drafts.protocol import Prediction
from precall.errors import BackendError
from precall.testing.scripted import ScriptedGeneration, ScriptedTarget
from precall.testing.virtual_time import run_virtual
from precall.tools import Tool
from tests.harness.pocket.evaluation.turns import FORECAST, OSLO, ROME, answering, calling, generation, live, task_of
from tests.harness.pocket.streamed import chunk_of


class Asked(NamedTuple):
    messages: list[Any]
    sampling: Sampling
    extra_body: Any
    num_choices: int


class Client:
    """Stands for a chat client: keeps what it was asked, answers with `calls`."""

    def __init__(self, *calls: ToolCall) -> None:
        self.calls = calls
        self.asked: list[Asked] = []

    async def stream(
        self, messages: Messages, tools: Sequence[Tool], sampling: Sampling, extra_body: Any, *, num_choices: int
    ) -> AsyncGenerator[Any, None]:
        self.asked.append(Asked(list(messages), sampling, extra_body, num_choices))
        yield chunk_of(*[generation(*self.calls)] * num_choices)


def test_every_turn_is_asked_for_with_the_right_turns_before_it():
    task = next(task for task in draw_tasks(200, seed=0, split="held_out") if len(task.turns) == 3)
    target = ScriptedTarget(
        [
            [ScriptedGeneration(duration_s=1.0, calls=(ROME,))],
            [ScriptedGeneration(duration_s=1.0, calls=task.turns[1].calls)],
            [ScriptedGeneration(duration_s=1.0, content=task.answer)],
        ]
    )
    scores = run_virtual(score_turns(task, target))
    messages = messages_of(task)
    assert target.requests == [messages[:1], messages[:3], messages[:5]]
    assert [(score.turn, score.is_call_due, score.fault) for score in scores] == [
        (0, True, "wrong_tool"), (1, True, None), (2, False, None)
    ]  # fmt: skip
    assert {(score.task_id, score.kind) for score in scores} == {(task.task.task_id, task.kind)}


def test_a_live_task_is_solved_with_the_targets_own_history_and_the_real_tools():
    task = task_of(calling(OSLO), answering("It is there."))
    target = ScriptedTarget(
        [
            [ScriptedGeneration(duration_s=1.0, calls=(FORECAST,))],
            [ScriptedGeneration(duration_s=1.0, content="\n\nIt is there.")],
        ]
    )
    found = run_virtual(run_live(task, target))
    assert found.is_solved
    observation = task.task.make_tools()[1].function(**json.loads(FORECAST.arguments))
    assert target.requests[1][-1]["content"] == observation
    (turn,) = found.call_turns
    assert (turn.index, turn.calls[0].name, list(turn.history)) == (0, "weather_forecast", target.requests[0])


def test_a_request_that_fails_leaves_an_unsolved_task_and_the_turns_before_it():
    target = ScriptedTarget(
        [
            [ScriptedGeneration(duration_s=1.0, calls=(OSLO,))],
            [ScriptedGeneration(duration_s=1.0, failure="a history that the server refuses")],
        ]
    )
    found = run_virtual(run_live(task_of(calling(OSLO), answering("It is there.")), target))
    assert not found.is_solved
    assert found.trajectory.error == "a history that the server refuses"
    assert len(found.call_turns) == 1


def test_a_task_is_not_solved_by_another_answer_nor_by_an_answer_that_was_not_reached():
    assert live([OSLO], "It is sunny.").is_solved
    assert not live([OSLO], "It is rainy.").is_solved
    assert not live([OSLO], "It is sunny.", status=Status.TURN_LIMIT).is_solved


def test_the_history_of_a_live_turn_is_what_the_agent_had_sent():
    task = task_of(calling(OSLO), calling(ROME), answering("It is there."))
    target = ScriptedTarget(
        [
            [ScriptedGeneration(duration_s=1.0, calls=(OSLO, ROME))],
            [ScriptedGeneration(duration_s=1.0, calls=(ROME,))],
            [ScriptedGeneration(duration_s=1.0, content="It is there.")],
        ]
    )
    found = run_virtual(run_live(task, target))
    assert [list(turn.history) for turn in found.call_turns] == target.requests[:2]
    assert [turn.index for turn in found.call_turns] == [0, 1]


def test_a_draft_is_asked_once_greedily_and_nine_times_at_a_temperature_for_every_turn_with_calls():
    client: Any = Client(OSLO)
    task = live([OSLO], [ROME, OSLO], "It is sunny.")
    turns = asyncio.run(draft_turns(task, client, "run"))
    assert [turn.calls for turn in turns] == [(OSLO,), (ROME, OSLO)]
    assert [turn.greedy_matches() for turn in turns] == [[True], [False, True]]
    assert [turn.sampled_matches(9) for turn in turns] == [[True], [False, True]]
    histories = [list(turn.history) for turn in task.call_turns]
    assert [asked.messages for asked in client.asked] == [histories[0]] * 2 + [histories[1]] * 2
    assert [(asked.sampling.temperature, asked.num_choices) for asked in client.asked] == [(0.0, 1), (1.0, 9)] * 2


def test_the_seed_of_a_task_is_its_own_and_does_not_depend_on_the_number_of_samples():
    def asked(task_id: str, num_samples: int) -> Asked:
        client: Any = Client(OSLO)
        draft = Pair(client, client).draft(task_id, num_samples, "salt")
        assert len(asyncio.run(samples_of(draft, [], []))) == num_samples
        return client.asked[0]

    several = [asked("a", num) for num in NUM_SAMPLES]
    assert [each.num_choices for each in several] == list(NUM_SAMPLES)
    assert len({each.sampling.seed for each in several}) == 1
    seeds = several[0].sampling.seed, asked("b", 9).sampling.seed
    assert abs(seeds[0] - seeds[1]) > 9, "sample i has the seed of its task + i"


def test_one_sample_is_greedy_and_several_are_not():
    client: Any = Client(OSLO)
    pair = Pair(client, client)
    asyncio.run(samples_of(pair.draft("a", 1, "salt"), [], []))
    asyncio.run(samples_of(pair.draft("a", 3, "salt"), [], []))
    assert [asked.sampling.temperature for asked in client.asked] == [0.0, 1.0]
    assert {asked.extra_body["cache_salt"] for asked in client.asked} == {"salt"}


def test_samples_stand_in_their_order_whichever_is_complete_first():
    class Draft:
        async def predict(self, messages: Messages, tools: Sequence[Tool]) -> AsyncGenerator[Prediction, None]:
            yield Prediction(sample=1, calls=(ROME,), sent_s=0.0)
            yield Prediction(sample=0, calls=(OSLO,), sent_s=0.0)

    assert asyncio.run(samples_of(Draft(), [], [])) == [(OSLO,), (ROME,)]


def test_results_stand_in_order_and_no_more_than_allowed_are_under_way():
    num_running = most = num_done = 0

    def count() -> None:
        nonlocal num_done
        num_done += 1

    async def work(item: int) -> int:
        nonlocal num_running, most
        num_running += 1
        most = max(most, num_running)
        await asyncio.sleep(10.0 - item)
        num_running -= 1
        return item * item

    assert run_virtual(at_once(range(7), work, 3, count)) == [0, 1, 4, 9, 16, 25, 36]
    assert (most, num_done) == (3, 7)


def test_the_first_failure_is_raised_as_it_is():
    async def work(item: int) -> None:
        await asyncio.sleep(item)
        if item:
            raise BackendError(f"request {item} failed")

    with pytest.raises(BackendError, match="request 1 failed"):
        run_virtual(at_once([0, 2, 1], work, 3, lambda: None))
