"""What `make pocket-eval` asks of the models: every turn with the right history, whole tasks with the target's own
history, and the turns of those from a draft."""

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from agents.function_calling import FunctionCallingAgent
from agents.trajectory import Status, Trajectory
from harness.participants import cache_salt_of
from harness.pocket.evaluation.scoring import DraftedTurn, Samples, TurnScore, fault_of
from harness.pocket.world import PocketTask, messages_of
from precall.calls import ToolCall
from precall.chat import ChatClient, ChatTarget, Messages, Sampling
from precall.drafts.chat_model import ChatDraft
from precall.drafts.protocol import Draft
from precall.errors import PrecallError
from precall.events import EventRecorder
from precall.speculation import NoSpeculation
from precall.tools import Tool, run_tool
from precall.turn import Target

MAX_TOKENS = 256  # of one generation; the longest right ones have about 100
MAX_TURNS = 5  # the longest tasks have 4
TEMPERATURE = 1.0
"""Of several samples. At 1 they come from the distribution that the draft has learnt; the lower, the more they repeat
each other. The paper does not say what it used."""
NUM_SAMPLES = (1, 3, 5, 7, 9)
"""The paper's lambda."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveTurn:
    """A turn that the target has taken: what was before it, and the calls that it asked for."""

    index: int
    history: Messages
    calls: tuple[ToolCall, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveTask:
    """A task that the target has worked on with its own history and the real tools."""

    task: PocketTask
    trajectory: Trajectory

    @property
    def is_solved(self) -> bool:
        """Whether the target came to the right final answer."""
        if self.trajectory.status is not Status.FINISHED:
            return False
        return self.trajectory.turns[-1].generation.content.strip() == self.task.answer

    @property
    def call_turns(self) -> list[LiveTurn]:
        """The turns that ask for calls."""
        messages: list[Mapping[str, Any]] = list(self.task.task.user_turns[0])
        found: list[LiveTurn] = []
        for turn in self.trajectory.turns:
            calls = turn.generation.tool_calls
            if calls:
                found.append(LiveTurn(index=turn.index, history=tuple(messages), calls=calls))
            messages.append(turn.generation.to_message())
            for call, observation in zip(calls, turn.observations, strict=True):
                messages.append({"role": "tool", "tool_call_id": call.call_id, "content": observation.content})
        return found


def target_of(client: ChatClient, salt: str) -> Target:
    """Return a greedy target that shares its prefix cache with nothing but what has the same salt."""
    return ChatTarget(client, Sampling(max_tokens=MAX_TOKENS), {"cache_salt": salt})


def draft_of(client: ChatClient, task_id: str, num_samples: int, *, is_greedy: bool, salt: str) -> Draft:
    """Return a draft, greedy or at TEMPERATURE. vLLM gives its i-th sample of a task the same seed, however many there
    are; the seeds of two tasks differ, or the same luck would strike all of them."""
    temperature = 0.0 if is_greedy else TEMPERATURE
    sampling = Sampling(temperature=temperature, max_tokens=MAX_TOKENS, seed=zlib.crc32(task_id.encode()))
    return ChatDraft(client, sampling, num_samples, {"cache_salt": salt})


class Pair(NamedTuple):
    """Clients of a target and of a draft that are both up."""

    target_client: ChatClient
    draft_client: ChatClient

    def target(self, salt: str) -> Target:
        return target_of(self.target_client, salt)

    def draft(self, task_id: str, num_samples: int, salt: str) -> Draft:
        """Return the draft as agents ask it: one sample greedily, several at TEMPERATURE."""
        return draft_of(self.draft_client, task_id, num_samples, is_greedy=num_samples == 1, salt=salt)


async def score_turns(task: PocketTask, target: Target) -> list[TurnScore]:
    """Ask for every turn of a task, the right turns before it given, and score what comes."""
    messages = messages_of(task)
    places = [place for place, message in enumerate(messages) if message["role"] == "assistant"]
    tools = task.task.make_tools()
    by_name = {tool.name: tool for tool in tools}
    scores: list[TurnScore] = []
    for index, (place, turn) in enumerate(zip(places, task.turns, strict=True)):
        (generation,) = [each async for each in target.turns(messages[:place], tools)]
        scores.append(
            TurnScore(
                task_id=task.task.task_id,
                kind=task.kind,
                turn=index,
                is_call_due=bool(turn.calls),
                fault=fault_of(turn, generation.tool_calls, generation.content, by_name),
            )
        )
    return scores


async def run_live(task: PocketTask, target: Target) -> LiveTask:
    """Have the target work on a task with the real tools. A failed request ends the trajectory, not the evaluation: a
    server refuses a history in which a call is malformed."""
    trajectory = await FunctionCallingAgent(MAX_TURNS).run(
        task.task,
        target=target,
        speculation=NoSpeculation(),
        executor=run_tool,
        recorder=EventRecorder(task.task.task_id, lambda _: None),
    )
    return LiveTask(task=task, trajectory=trajectory)


async def draft_turns(live: LiveTask, client: ChatClient, run: str) -> list[DraftedTurn]:
    """Ask a draft to predict every turn of a task in which the target asked for calls: once greedily, and as often as
    the largest lambda says at TEMPERATURE. `run` is part of the salt."""
    task = live.task
    task_id, tools = task.task.task_id, task.task.make_tools()
    salt = cache_salt_of(run, task_id)
    greedy = draft_of(client, task_id, 1, is_greedy=True, salt=salt)
    several = draft_of(client, task_id, max(NUM_SAMPLES), is_greedy=False, salt=salt)
    return [
        DraftedTurn(
            task_id=task_id,
            kind=task.kind,
            calls=turn.calls,
            tools={tool.name: tool for tool in tools},
            greedy=await samples_of(greedy, turn.history, tools),
            sampled=await samples_of(several, turn.history, tools),
        )
        for turn in live.call_turns
    ]


async def samples_of(draft: Draft, history: Messages, tools: Sequence[Tool]) -> Samples:
    """Return the calls of each sample, in the order of the samples, when the last is complete."""
    predictions = [each async for each in draft.predict(history, tools) if each.is_complete]
    return [each.calls for each in sorted(predictions, key=lambda each: each.sample)]


async def at_once(
    items: Sequence[Item], work: Callable[[Item], Awaitable[Result]], num: int, on_done: Callable[[], None]
) -> list[Result]:
    """Return what `work` returns for each item, in order; at most `num` are under way. Raises the first failure, after
    the others have been cancelled."""
    room = asyncio.Semaphore(num)

    async def one(item: Item) -> Result:
        async with room:
            result = await work(item)
        on_done()
        return result

    try:
        async with asyncio.TaskGroup() as group:
            jobs = [group.create_task(one(item)) for item in items]
    except* PrecallError as failures:
        raise failures.exceptions[0] from None
    return [job.result() for job in jobs]
