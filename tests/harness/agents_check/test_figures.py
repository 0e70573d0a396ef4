"""Verdicts and figures of the check, from events written by hand."""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agents.task import Task
from harness.agents_check.figures import noise_floor_pct, workload_figures
from harness.agents_check.rounds import Run, order
from harness.agents_check.verdict import verdict_of
from harness.agents_check.workloads import BASELINE, CLIENT, ENGINE, FORKS, Arm, Workload, config_of
from harness.schema import AGENTS, Config, trajectory_file
from precall.errors import ConfigError
from precall.events import Event, EventKind
from precall.executions import Fate, Outcome
from precall.tools import Effect, Tool
from tests.harness.configs import config_of as composed

BASH = Tool(name="bash", description="", parameters={}, function=lambda: "", effect=Effect.WORKSPACE)
TASK = Task(task_id="t", user_turns=(), make_tools=lambda: (BASH,))


@pytest.fixture(scope="module")
def workload() -> Workload:
    config: Config = composed("experiment=swe_replay", "agent.num_agents=1", "agent.tasks_per_agent=1")
    return Workload(name="swe", config=config, bare_config=config, tasks=(TASK,), draft_s={})


GENERATION = {"output_hash": "o", "num_calls": 1, "num_prompt_tokens": 1, "num_output_tokens": 1}


def run_of(
    arm: Arm,
    position: int,
    *,
    duration_s: float,
    prompt: str = "p",
    workspace: str = "w",
    is_solved: bool = True,
    has_committed: bool = True,
    block: int = 0,
    failure: str | None = None,
) -> Run:
    """Return a run of one task with one call, which took 0.5 s, and with speculation a hit beside a wasted 0.25 s."""
    is_spec = arm != BASELINE
    events: list[tuple[EventKind, float, dict[str, Any]]] = [
        (EventKind.TRAJECTORY_STARTED, 0.0, {}),
        (EventKind.GENERATION_FINISHED, 0.0, GENERATION | {"prompt_hash": prompt}),
    ]
    if is_spec:
        events += [(EventKind.EXECUTION_LAUNCHED, 0.0, {})] * 2
        events += [
            (EventKind.EXECUTION_ENDED, 0.0, {"fate": fate, "duration_s": 0.25}) for fate in (Fate.USED, Fate.WASTED)
        ]
        events += [(EventKind.COMMIT_ENDED, 0.0, {"has_changed": has_committed})]
        events += [(EventKind.OUTPUT_POSTED, 0.0, {})] * arm.is_resident
    settled = {
        "name": "bash",
        "outcome": Outcome.READY_HIT if is_spec else Outcome.MISS,
        "is_predicted": is_spec,
        "is_eligible": is_spec,
        "is_executed": False,
        "confirmed_s": 0.0,
        "duration_s": 0.5,
        "observation_hash": "h",
    }
    events += [
        (EventKind.CALL_SETTLED, 0.0, settled),
        (EventKind.TRAJECTORY_FINISHED, duration_s, {}),
        (EventKind.TRAJECTORY_GRADED, duration_s, {"is_solved": is_solved, "workspace_hash": workspace}),
    ]
    return Run(
        arm=arm,
        block=block,
        position=position,
        is_bare=False,
        failure=failure,
        events=[
            Event(kind=kind, time_s=time_s, trajectory_id=f"{arm.name}/t", turn=0, data=data)
            for kind, time_s, data in events
        ],
    )


def three(workload: Workload, **of_forks: Any) -> tuple[list[Run], Any]:
    runs = [
        run_of(BASELINE, 0, duration_s=9.0),
        run_of(FORKS, 1, **({"duration_s": 8.0} | of_forks)),
        run_of(BASELINE, 2, duration_s=11.0),
    ]
    return runs, verdict_of(workload, runs)


def test_runs_that_agree_and_solve_are_good(workload: Workload) -> None:
    _, verdict = three(workload)
    assert verdict.complaints == ()
    assert (verdict.num_solved, verdict.num_workspaces, verdict.num_workspaces_identical) == (1, 1, 1)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"is_solved": False}, "1 of 1 tasks are not solved"),
        ({"workspace": "other"}, "1 of 1 final workspaces are not the same"),
        ({"prompt": "other"}, "differs between run baseline and run forks"),
        ({"failure": "the server has gone"}, "the server has gone"),
        ({"has_committed": False}, "has committed no fork"),
    ],
)
def test_whatever_is_wrong_in_one_run_is_said(workload: Workload, change: Mapping[str, Any], text: str) -> None:
    _, verdict = three(workload, **change)
    assert any(text in complaint for complaint in verdict.complaints)


def test_prompts_of_resident_runs_may_differ_and_are_counted(workload: Workload) -> None:
    runs = [
        run_of(BASELINE, 0, duration_s=9.0),
        run_of(ENGINE, 1, duration_s=8.0, prompt="kept"),
        run_of(ENGINE, 2, duration_s=8.0),
    ]
    verdict = verdict_of(workload, runs)
    assert verdict.complaints == ()
    assert (verdict.num_resident_prompts, verdict.num_equal_resident_prompts) == (2, 1)


def test_the_figures_of_a_hand_made_round(workload: Workload) -> None:
    runs, verdict = three(workload)
    found = workload_figures(workload, runs, verdict)
    assert found["time_saved_pct"] == {"forks": [None, pytest.approx(20.0), None]}
    assert (found["tool_s"], found["wasted_tool_s"], found["calls"]) == (0.5, {"forks": 0.25}, 1)
    assert (found["speculable_share"], found["call_acceptance_rate"]) == ({"forks": 1.0}, {"forks": 1.0})
    assert found["noise_floor_pct"] is None


def test_a_block_in_which_a_run_failed_is_not_timed(workload: Workload) -> None:
    runs, verdict = three(workload, failure="gone")
    assert workload_figures(workload, runs, verdict)["time_saved_pct"] == {}
    runs += [replace(run, block=1) for run in three(workload)[0]]
    assert workload_figures(workload, runs, verdict)["time_saved_pct"]["forks"][1] == pytest.approx(20.0)


def test_the_noise_floor_comes_from_the_two_baselines_of_each_block() -> None:
    # t(0.975, 2) = 4.3027; both blocks differ by 1 % of the sum: 4.3027 sqrt(3) 1 % / sqrt(2).
    assert noise_floor_pct([0.01, -0.01]) == pytest.approx(4.30265 * math.sqrt(3.0) / math.sqrt(2.0), rel=1e-4)
    assert noise_floor_pct([0.01]) is None


def test_arms_alternate_between_two_baselines() -> None:
    assert order((CLIENT, FORKS, ENGINE), 0) == [BASELINE, CLIENT, FORKS, ENGINE, BASELINE]
    assert order((CLIENT, FORKS, ENGINE), 1) == [BASELINE, ENGINE, FORKS, CLIENT, BASELINE]


@pytest.mark.parametrize(("num_tasks", "agents"), [(None, (2, 4)), (3, (1, 3)), (4, (2, 2))])
def test_tasks_are_divided_evenly_among_the_agents(num_tasks: int | None, agents: tuple[int, int]) -> None:
    agent = config_of("swe", num_agents=2, num_tasks=num_tasks).agent
    assert (agent.num_agents, agent.tasks_per_agent) == agents


def test_every_workload_of_the_check_replays_its_own_recording() -> None:
    names = {"swe": "swe.jsonl", "swe_tools": "swe_tools.jsonl", "reasoning": "reasoning.jsonl"}
    for name, file in names.items():
        config = config_of(name, num_agents=1, num_tasks=1, overrides=["latency=constant", "latency.mean_g=0.5"])
        assert config.agent.kind in AGENTS[config.workload.source]
        assert Path(trajectory_file(config) or "").name == file
        assert config.latency.mean_g == 0.5


def test_a_live_model_replays_nothing() -> None:
    live = ("model.is_replay=false", "draft=colocated", "draft.model.is_replay=false")
    assert trajectory_file(composed("workload=swe_local", "agent=swe", *live)) is None
    with pytest.raises(ConfigError, match=r"workload\.trajectories is null"):
        composed("workload=swe_bench_lite", "agent=swe")
