"""One task in replay on the real engine: what is parsed, what the engine receives, and what a divergence looks like."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from agents.task import Task
from agents.trajectory import Status, Trajectory
from harness.replay.models import ReplayDivergenceError, ReplayTarget
from harness.replay.rendering import HermesRenderer
from harness.replay.trajectories import RecordedTrajectory
from harness.workloads.bfcl import load_bfcl
from precall.chat import ChatClient
from precall.events import EventKind
from precall.tools import run_tool
from tests.integration.arms import HistoryKeeper, build_one, entries, new_salt, run_alone

pytestmark = pytest.mark.engine

History = list[dict[str, Any]]


@pytest.fixture(scope="module")
def task() -> Task:
    (task,) = load_bfcl(["simple_python"], num_tasks=1, seed=0)
    return task


@pytest.fixture(scope="module")
def recorded(task: Task) -> RecordedTrajectory:
    return build_one(task)


async def replay(
    task: Task, recorded: RecordedTrajectory, client: ChatClient, renderer: HermesRenderer
) -> tuple[Trajectory, list[History]]:
    keeper = HistoryKeeper(ReplayTarget(client, recorded, renderer, new_salt()))
    trajectory, events = await run_alone(task, keeper)
    assert trajectory.status is Status.FINISHED, trajectory.error
    assert entries(events, EventKind.TRAJECTORY_FINISHED, "status") == [Status.FINISHED]
    return trajectory, keeper.histories


async def test_a_task_is_answered_with_the_recorded_call_its_observation_and_the_recorded_answer(
    task, recorded, client, renderer
):
    trajectory, histories = await replay(task, recorded, client, renderer)
    asking, answering = (turn.generation for turn in trajectory.turns)
    recorded_asking, recorded_answering = recorded.turns
    (call,), (recorded_call,) = asking.tool_calls, recorded_asking.calls
    assert (call.name, call.arguments) == (recorded_call.name, recorded_call.arguments) and call.call_id
    assert (asking.finish_reason, answering.finish_reason) == ("tool_calls", "stop")
    assert answering.tool_calls == () and answering.content == recorded_answering.content
    observation = await run_tool(task.make_tools()[0], call)
    (observed,) = trajectory.turns[0].observations
    assert not observed.is_error and observed.content == observation.content
    assert histories[0] == list(task.user_turns[0])
    asked, told = histories[1][-2:]
    assert asked["tool_calls"][0]["function"] == {"name": call.name, "arguments": call.arguments}
    assert told == {"role": "tool", "tool_call_id": call.call_id, "content": observed.content}


async def test_the_engine_generates_the_recorded_tokens_and_its_parser_splits_them(task, recorded, client, renderer):
    trajectory, _ = await replay(task, recorded, client, renderer)
    for turn, recorded_turn in zip(trajectory.turns, recorded.turns, strict=True):
        generation = turn.generation
        assert generation.output_token_ids == tuple(renderer.target_tokens(recorded_turn))
        assert generation.num_output_tokens == len(generation.output_token_ids)
        assert recorded_turn.reasoning and generation.reasoning == recorded_turn.reasoning
        assert generation.content == recorded_turn.content
        assert generation.sent_s < generation.first_token_s < generation.finished_s


async def test_the_prompts_are_those_that_the_chat_template_gives_here(task, recorded, client, renderer, model_folder):
    await check_prompts(*await replay(task, recorded, client, renderer), task, model_folder)


async def test_the_prompts_of_a_later_user_turn_leave_earlier_reasoning_out(client, renderer, model_folder):
    task = bfcl_task("multi_turn_base_54")
    recorded = build_one(task)
    trajectory, histories = await replay(task, recorded, client, renderer)
    rendered = await check_prompts(trajectory, histories, task, model_folder)
    assert trajectory.user_turn_of[0] == 0 and trajectory.user_turn_of[-1] == 2
    first = recorded.turns[0].reasoning.strip()
    is_kept = [first in text for text in rendered]
    assert is_kept == [index > 0 and user_turn == 0 for index, user_turn in enumerate(trajectory.user_turn_of)]


def bfcl_task(task_id: str) -> Task:
    tasks = load_bfcl(["multi_turn_base"], num_tasks=None, seed=0)
    return next(task for task in tasks if task.task_id == task_id)


async def check_prompts(trajectory: Trajectory, histories: list[History], task: Task, model_folder: Path) -> list[str]:
    """Compare each turn's prompt with the chat template's, tokenised by it and from its text; return the texts."""
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    tools = [tool.to_openai() for tool in task.make_tools()]
    texts = []
    for turn, history in zip(trajectory.turns, histories, strict=True):
        template: Mapping[str, Any] = {"tools": tools, "add_generation_prompt": True}
        text = tokenizer.apply_chat_template(history, tokenize=False, **template)
        token_ids = tokenizer.apply_chat_template(history, tokenize=True, return_dict=False, **template)
        received = turn.generation.prompt_token_ids
        assert received == tuple(token_ids), f"turn {turn.index}"
        assert received == tuple(tokenizer(text, add_special_tokens=False)["input_ids"])
        assert tokenizer.decode(received) == text
        assert turn.generation.num_prompt_tokens == len(received)
        texts.append(text)
    return texts


async def test_what_a_turn_generated_stands_unchanged_in_the_next_prompt(task, recorded, client, renderer):
    trajectory, _ = await replay(task, recorded, client, renderer)
    asking, answering = (turn.generation for turn in trajectory.turns)
    kept = asking.prompt_token_ids + asking.output_token_ids
    assert answering.prompt_token_ids[: len(kept)] == kept  # so the prefix cache serves it


@pytest.mark.parametrize("harm", ["nothing is forced", "the last token is another"])
async def test_an_engine_that_leaves_the_recording_is_noticed(task, recorded, client, renderer, monkeypatch, harm):
    generate = client.generate

    async def generate_otherwise(messages, tools, sampling, extra_body):
        token_ids = list(extra_body["vllm_xargs"]["replay_token_ids"])
        harmed = {} if harm == "nothing is forced" else {"replay_token_ids": [*token_ids[:-1], token_ids[-2]]}
        return await generate(messages, tools, sampling, {**extra_body, "vllm_xargs": harmed})

    monkeypatch.setattr(client, "generate", generate_otherwise)
    target = ReplayTarget(client, recorded, renderer, new_salt())
    with pytest.raises(ReplayDivergenceError, match=r"tokens that are not the \d+ recorded ones. Is the replay plugin"):
        await anext(target.turns(list(task.user_turns[0]), task.make_tools()))
    trajectory, _ = await run_alone(task, ReplayTarget(client, recorded, renderer, new_salt()))
    assert trajectory.status is Status.FAILED and "Is the replay plugin loaded" in trajectory.error


async def test_a_call_that_is_parsed_otherwise_than_recorded_is_noticed(task, recorded, client, renderer, monkeypatch):
    """The tokens of another call are forced and come back as asked for; only the parsed call tells."""
    (other,) = build_one(load_bfcl(["multiple"], num_tasks=1, seed=0)[0]).turns[0].calls
    target_tokens = renderer.target_tokens
    swapped = type(recorded.turns[0])(user_turn=0, reasoning="", content="", calls=(other,))
    monkeypatch.setattr(renderer, "target_tokens", lambda turn: target_tokens(swapped))
    target = ReplayTarget(client, recorded, renderer, new_salt())
    with pytest.raises(ReplayDivergenceError, match=f"Turn 0 of {task.task_id}: the server parsed the calls"):
        await anext(target.turns(list(task.user_turns[0]), task.make_tools()))
