"""The check against a server in the place of vLLM: tasks, commands, forks and judges are real."""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from harness.agents_check.check import NO_LATENCY, run_all
from harness.agents_check.rounds import Servers, run_round
from harness.agents_check.verdict import verdict_of
from harness.agents_check.workloads import CLIENT, FORKS, Arm, Workload, config_of, make_workload
from harness.backends.external_server import ExternalServer, ExternalServerSettings
from harness.build import trajectories_of
from tests.harness.agents_check.lost_commits import lose_one_commit
from tests.harness.fake_vllm import FakeVllm

pytestmark = pytest.mark.sandbox


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for a server to end that has not."""
    monkeypatch.setattr("harness.runner.GOING_S", 0.0)


def workload_of(name: str, num_tasks: int, folder: Path) -> Workload:
    """Return a workload whose draft answers at once."""
    config = config_of(name, num_agents=2, num_tasks=num_tasks)
    empty = make_workload(name, config, {}, folder)
    recorded = trajectories_of(config, list(empty.tasks))
    at_once = {
        task_id: [[0.0] * len(turn.draft_samples) for turn in trajectory.turns]
        for task_id, trajectory in recorded.items()
    }
    return make_workload(name, config, at_once, folder)


@pytest.fixture
async def servers(server: FakeVllm) -> AsyncIterator[Servers]:
    settings = ExternalServerSettings(name="target", url=server.url, model="replay_tiny")
    async with ExternalServer(settings) as stock:
        yield Servers(stock=stock)


async def run(
    workloads: Sequence[Workload], servers: Servers, arms: Sequence[Arm], num_blocks: int = 1
) -> tuple[dict[str, Any], list[str]]:
    return await run_all(
        workloads,
        servers,
        num_blocks=num_blocks,
        arms=arms,
        latency=NO_LATENCY,
        console=Console(quiet=True),
    )


async def test_recorded_tasks_are_solved_with_equal_workspaces_in_every_arm(servers: Servers, tmp_path: Path) -> None:
    workloads = [workload_of("swe_tools", 1, tmp_path), workload_of("reasoning", 2, tmp_path)]
    figures, faults = await run(workloads, servers, (CLIENT, FORKS))
    assert faults == []
    assert {name: figures[name] for name in ("tasks", "solved", "workspaces", "workspaces_identical")} == {
        "tasks": 3,
        "solved": 3,
        "workspaces": 1,
        "workspaces_identical": 1,
    }
    swe = figures["by_workload"]["swe_tools"]
    assert 0.0 < swe["speculable_share"]["client"] < 1.0, "open and search alone"
    assert swe["speculable_share"]["forks"] == 1.0
    assert swe["time_saved_pct"]["forks"][1] is not None and swe["noise_floor_pct"] is None, "of one block"
    assert swe["wasted_tool_s"]["forks"] > 0.0


async def test_one_commit_that_is_skipped_turns_the_check_red(
    servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = lose_one_commit(monkeypatch)
    workload = workload_of("swe", 1, tmp_path)
    runs = await run_round(
        workload,
        servers,
        (FORKS,),
        block=0,
        is_bare=False,
        latency=NO_LATENCY,
        salt="lost",
        on_trajectory=lambda trajectory: None,
    )
    verdict = verdict_of(workload, runs)
    assert len(lost) == 1
    assert verdict.num_workspaces_identical == 0 or verdict.num_solved == 0
    assert any("forks" in fault for fault in verdict.complaints)


async def test_without_the_recorded_observations_it_is_seen_as_well(
    servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = lose_one_commit(monkeypatch)
    figures, faults = await run([workload_of("swe", 1, tmp_path)], servers, (FORKS,), num_blocks=0)
    assert len(lost) == 1
    assert figures["solved"] == 0 or figures["workspaces_identical"] == 0
    assert any("differs between run baseline and run forks" in fault for fault in faults)


async def test_a_run_that_breaks_off_is_named_and_the_others_go_on(
    server: FakeVllm, servers: Servers, tmp_path: Path
) -> None:
    workload = workload_of("reasoning", 1, tmp_path)
    server.breaks_at = 0
    figures, faults = await run([workload], servers, (CLIENT,), num_blocks=0)
    assert figures["solved"] == 0
    assert len([fault for fault in faults if "failed" in fault]) == 3
    assert figures["by_workload"]["reasoning"]["tool_s"] is None
