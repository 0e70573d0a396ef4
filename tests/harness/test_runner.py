"""One arm's run: which agent gets which task, what is counted, and what ends it early. Virtual time, no server."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from agents.task import Task
from agents.trajectory import Trajectory
from harness.runner import ALIVE_INTERVAL_S, ArmRun, Participants, run_arm
from precall.errors import BackendError, ConfigError
from precall.events import EventKind, EventRecorder, now_s
from precall.speculation import NoSpeculation
from precall.testing.scripted import ScriptedGeneration, ScriptedTarget
from precall.testing.virtual_time import run_virtual
from precall.tools import run_tool


@dataclass(slots=True, kw_only=True)
class FakeServer:
    """A server whose CPU time and counters are the time on the clock; from `dies_at_s` on it is gone."""

    name: str = "target"
    dies_at_s: float = float("inf")
    error: type[Exception] = BackendError
    base_url: str = "http://nowhere/v1"

    async def check_alive(self) -> None:
        if now_s() >= self.dies_at_s:
            raise self.error(f"The {self.name} server has gone.")

    async def counters(self) -> dict[str, float]:
        return {"vllm:generation_tokens_total": 100.0 + 10.0 * now_s()}

    def cpu_seconds(self) -> float | None:
        return 2.0 * now_s()


@dataclass(slots=True, kw_only=True)
class Outcome:
    run: ArmRun = field(default_factory=lambda: ArmRun(arm="base-1"))
    agents: dict[str, int] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    error: Exception | None = None
    ended_s: float = 0.0
    num_tasks_left: int = 0


def task(name: str) -> Task:
    return Task(task_id=name, user_turns=(({"role": "user", "content": name},),), make_tools=lambda: ())


def run_tasks(
    names: str, num_agents: int, script: Callable[[str], ScriptedGeneration], servers: tuple[Any, ...] = ()
) -> Outcome:
    """Run one task per letter of `names`, each of one turn that `script` gives, on virtual time."""
    outcome = Outcome()

    def make(each: Task, recorder: EventRecorder, agent: int) -> Participants:
        outcome.agents[each.task_id] = agent
        target = ScriptedTarget([[script(each.task_id)]])
        return Participants(target=target, speculation=NoSpeculation(), executor=run_tool)

    def note(trajectory: Trajectory) -> None:
        outcome.done.append(trajectory.task_id)

    async def work() -> None:
        try:
            await run_arm(
                outcome.run,
                tasks=[task(name) for name in names],
                num_agents=num_agents,
                max_turns=5,
                make_participants=make,
                servers=servers,
                on_trajectory=note,
            )
        except (BackendError, ConfigError, ValueError) as error:
            outcome.error = error
        outcome.ended_s = now_s()
        outcome.num_tasks_left = len(asyncio.all_tasks()) - 1

    run_virtual(work())
    return outcome


def answer(duration_s: float = 2.0) -> Callable[[str], ScriptedGeneration]:
    return lambda name: ScriptedGeneration(duration_s=duration_s, content=name, num_output_tokens=7)


def test_agents_work_at_once_each_through_its_consecutive_tasks() -> None:
    outcome = run_tasks("abcdef", 2, answer())
    assert outcome.agents == {"a": 0, "b": 0, "c": 0, "d": 1, "e": 1, "f": 1}
    assert [[t.task_id for t in agent] for agent in outcome.run.trajectories] == [["a", "b", "c"], ["d", "e", "f"]]
    assert outcome.run.wall_s == outcome.ended_s == 6.0
    assert sorted(outcome.done) == list("abcdef")


def test_events_name_the_run_and_the_task() -> None:
    events = run_tasks("ab", 1, answer()).run.events
    assert {event.trajectory_id for event in events} == {"base-1/a", "base-1/b"}
    assert sum(event.kind is EventKind.TRAJECTORY_FINISHED for event in events) == 2


def test_counters_and_cpu_time_are_those_of_the_run_the_drafts_apart() -> None:
    run = run_tasks("a", 1, answer(3.0), (FakeServer(), FakeServer(name="draft"))).run
    assert run.counters == {"vllm:generation_tokens_total": 30.0}
    assert (run.cpu_s, run.draft_cpu_s) == (6.0, 6.0)


def test_a_failed_trajectory_ends_the_run_and_cancels_the_other_agents() -> None:
    def script(name: str) -> ScriptedGeneration:
        return ScriptedGeneration(duration_s=1.0 if name == "a" else 60.0, failure="refused" if name == "a" else None)

    outcome = run_tasks("ab", 2, script)
    assert isinstance(outcome.error, BackendError)
    assert str(outcome.error) == "Task a failed: refused"
    assert (outcome.ended_s, outcome.num_tasks_left) == (1.0, 0)
    ends = [event.data["status"] for event in outcome.run.events if event.kind is EventKind.TRAJECTORY_FINISHED]
    assert ends == ["failed", "failed"], "a trajectory that was cancelled has not finished"


def test_a_server_that_goes_ends_the_run_also_when_no_request_fails() -> None:
    outcome = run_tasks("ab", 2, answer(60.0), (FakeServer(dies_at_s=1.2),))
    assert str(outcome.error) == "The target server has gone."
    assert outcome.ended_s == pytest.approx(1.2, abs=ALIVE_INTERVAL_S)
    assert outcome.num_tasks_left == 0


def test_a_server_that_goes_explains_a_failed_request_better_than_the_request_does() -> None:
    broken = ScriptedGeneration(duration_s=1.1, failure="connection reset")
    outcome = run_tasks("a", 1, lambda name: broken, (FakeServer(dies_at_s=1.3),))
    assert str(outcome.error) == "The target server has gone."


def test_a_watch_that_fails_otherwise_does_not_pass_for_a_finished_run() -> None:
    outcome = run_tasks("ab", 1, answer(), (FakeServer(dies_at_s=1.0, error=ConfigError),))
    assert isinstance(outcome.error, ConfigError)
    assert outcome.done == []


def test_what_a_user_got_wrong_comes_out_as_it_is_and_in_no_group() -> None:
    def script(name: str) -> ScriptedGeneration:
        raise ConfigError("A recorded text holds a control token.")

    outcome = run_tasks("ab", 2, script)
    assert isinstance(outcome.error, ConfigError)
