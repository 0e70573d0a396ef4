"""The agents' check on the real engine, on a few tasks: every arm solves them, and a lost commit is seen."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from rich.console import Console

from harness import build
from harness.agents_check.check import NO_LATENCY, run_all
from harness.agents_check.rounds import Servers
from harness.agents_check.workloads import FORKS, SPECULATIVE, Workload, config_of, make_workload
from harness.backends.vllm_server import VllmServer
from tests.harness.agents_check.lost_commits import lose_one_commit
from tests.integration.arms import running

pytestmark = [pytest.mark.engine, pytest.mark.sandbox]

SAMPLE_S = 0.02
NUM_TASKS = {"swe": 2, "reasoning": 4}


@pytest.fixture(scope="module")
def resident(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmServer]:
    """A server with the engine side, equal to the session's target in all else."""
    engine = config_of("swe", num_agents=1, num_tasks=1, overrides=["backend.kv_cache_gib=1"])
    with running(build.speculative_target_server(engine), tmp_path_factory.mktemp("resident")) as server:
        yield server


@pytest.fixture
async def servers(target: VllmServer, resident: VllmServer) -> AsyncIterator[Servers]:
    yield Servers(stock=target, resident=resident)


def workload_of(name: str, folder: Path) -> Workload:
    config = config_of(name, num_agents=2, num_tasks=NUM_TASKS[name], overrides=["backend.kv_cache_gib=1"])
    tasks = build.tasks_of(config, "block 0")
    draft_s = {
        task_id: [[SAMPLE_S] * len(turn.draft_samples) for turn in trajectory.turns]
        for task_id, trajectory in build.trajectories_of(config, tasks).items()
    }
    return make_workload(name, config, draft_s, folder)


async def test_every_arm_solves_its_tasks_and_leaves_the_same(servers: Servers, tmp_path: Path) -> None:
    workloads = [workload_of(name, tmp_path) for name in NUM_TASKS]
    figures, faults = await run_all(
        workloads, servers, num_blocks=1, arms=SPECULATIVE, latency=NO_LATENCY, console=Console(quiet=True)
    )
    assert faults == []
    assert (figures["tasks"], figures["solved"]) == (6, 6)
    assert (figures["workspaces"], figures["workspaces_identical"]) == (2, 2)
    swe = figures["by_workload"]["swe"]
    assert (swe["speculable_share"]["client"], swe["speculable_share"]["forks"]) == (0.0, 1.0)
    assert swe["resident_prompts"] == swe["resident_prompts_equal"] > 0, "no turn of bash is spliced"


async def test_a_lost_commit_is_seen(servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = lose_one_commit(monkeypatch)
    figures, faults = await run_all(
        [workload_of("swe", tmp_path)],
        servers,
        num_blocks=0,
        arms=(FORKS,),
        latency=NO_LATENCY,
        console=Console(quiet=True),
    )
    assert len(lost) == 1 and faults
    assert figures["solved"] < 2 or figures["workspaces_identical"] < 2
