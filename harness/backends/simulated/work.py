"""What simulated agents do: turns as numbers of tokens, and the draws that decide about hits and tool latencies."""

import random
from dataclasses import dataclass
from math import exp, log, sqrt

from precall.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnWork:
    """One turn in tokens: what the target generates before its call, the call (0: it answers), what the tool's result
    adds to the history, and what each sample of the draft generates.

    `hit_draw` is uniform in [0, 1): the draft has the call where it lies below its hit rate. `latency_draw` is standard
    normal. Both belong to the turn, so that all arms, drafts and latencies see the same.
    """

    num_reasoning_tokens: int
    num_call_tokens: int
    num_result_tokens: int
    num_draft_tokens: int
    hit_draw: float
    latency_draw: float

    @property
    def num_tokens(self) -> int:
        return self.num_reasoning_tokens + self.num_call_tokens


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskWork:
    task_id: str
    num_prompt_tokens: int
    turns: tuple[TurnWork, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkModel:
    """A distribution of tasks of `num_calls` calls and an answer. Lengths in tokens: those of prompts, of what comes
    before a call and of answers are lognormal with these means and relative standard deviations, all others fixed."""

    prompt_tokens: float
    prompt_spread: float
    reasoning_tokens: float
    answer_tokens: float
    spread: float
    call_tokens: int
    result_tokens: int
    draft_tokens: int
    num_calls: int = 1

    def __post_init__(self) -> None:
        for name in ("prompt_tokens", "reasoning_tokens", "answer_tokens", "call_tokens", "result_tokens"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least 1.")


def draw_tasks(model: WorkModel, num_tasks: int, seed: str) -> list[TaskWork]:
    """Return tasks; the same seed gives the same draws under any model, so that models can be compared."""
    rng = random.Random(seed)
    tasks = []
    for index in range(num_tasks):
        num_prompt_tokens = _length(model.prompt_tokens, model.prompt_spread, rng.gauss(0.0, 1.0))
        turns = []
        for turn in range(model.num_calls + 1):
            is_call = turn < model.num_calls
            mean = model.reasoning_tokens if is_call else model.answer_tokens
            turns.append(
                TurnWork(
                    num_reasoning_tokens=_length(mean, model.spread, rng.gauss(0.0, 1.0)),
                    num_call_tokens=model.call_tokens if is_call else 0,
                    num_result_tokens=model.result_tokens if is_call else 0,
                    num_draft_tokens=model.draft_tokens,
                    hit_draw=rng.random(),
                    latency_draw=rng.gauss(0.0, 1.0),
                )
            )
        tasks.append(TaskWork(task_id=f"{seed}/{index}", num_prompt_tokens=num_prompt_tokens, turns=tuple(turns)))
    return tasks


def _length(mean: float, spread: float, draw: float) -> int:
    variance = log(1.0 + spread**2)
    deviation = sqrt(variance)
    return max(1, round(mean * exp(deviation * draw - variance / 2.0)))
