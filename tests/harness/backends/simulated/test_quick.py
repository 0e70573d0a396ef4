"""Turns without an event loop against the agents themselves, on the same engines: every agent's time is the same."""

import asyncio

import pytest

from harness.backends.simulated.quick import QuickRun, run_quick
from harness.backends.simulated.rates import EngineLimits, EngineModel, StepRates
from harness.backends.simulated.server import SimulatedServer
from harness.backends.simulated.setting import Method, Setting
from harness.backends.simulated.synthetic import SyntheticWorld
from harness.backends.simulated.work import TaskWork, WorkModel, draw_tasks
from harness.runner import ArmRun, run_arm
from precall.ledger import Ledger
from precall.testing.virtual_time import run_virtual

WORK = WorkModel(
    prompt_tokens=400,
    prompt_spread=0.5,
    reasoning_tokens=60,
    answer_tokens=80,
    spread=0.6,
    call_tokens=30,
    result_tokens=40,
    draft_tokens=35,
    num_calls=2,
)
TARGET = EngineModel(
    rates=StepRates(
        step_s=0.006, sequence_s=0.0005, experts_s=0.02, expert_share=1 / 32, context_token_s=1e-7, prefill_token_s=1e-4
    ),
    overhead_s=0.0113,
)
DRAFT = EngineModel(rates=StepRates(step_s=0.008, sequence_s=0.0003, prefill_token_s=5e-5), overhead_s=0.0071)


def run_agents(
    work: list[list[TaskWork]], setting: Setting, target: EngineModel, drafts: list[EngineModel]
) -> tuple[ArmRun, SimulatedServer]:
    """Run the agents themselves on virtual time."""

    async def run() -> tuple[ArmRun, SimulatedServer]:
        server = SimulatedServer(target)
        world = SyntheticWorld(work, setting, server, [SimulatedServer(draft) for draft in drafts])
        arm = ArmRun(arm=setting.method.value)
        await run_arm(
            arm,
            tasks=world.tasks,
            num_agents=len(work),
            max_turns=20,
            make_participants=world.make,
            servers=[],
            on_trajectory=lambda _: None,
        )
        assert asyncio.all_tasks() == {asyncio.current_task()}, "something outlived its trajectory"
        return arm, server

    return run_virtual(run())


def quick(work: list[list[TaskWork]], setting: Setting, target: EngineModel, drafts: list[EngineModel]) -> QuickRun:
    return run_quick(work, setting, target, drafts)


@pytest.mark.parametrize("num_blocks", [200, 100_000])
@pytest.mark.parametrize("latency_s", [0.0, 0.01, 0.7, 4.0])
@pytest.mark.parametrize("method", list(Method))
def test_the_agents_take_the_time_that_the_quick_run_says(method, latency_s, num_blocks):
    work = [draw_tasks(WORK, 2, f"{agent}") for agent in range(6)]
    target = EngineModel(
        rates=TARGET.rates, overhead_s=TARGET.overhead_s, limits=EngineLimits(num_blocks=num_blocks, max_num_seqs=5)
    )
    setting = Setting(method=method, latency_mean_s=latency_s, latency_std_s=latency_s / 4, hit_rate=0.7, num_samples=3)
    expected = run_quick(work, setting, target, [DRAFT, DRAFT])
    arm, server = run_agents(work, setting, target, [DRAFT, DRAFT])
    finished_s = [trajectories[-1].finished_s for trajectories in arm.trajectories]
    assert finished_s == pytest.approx(expected.agent_s, abs=1e-9)
    assert arm.wall_s == pytest.approx(expected.wall_s, abs=1e-9)
    ledger = Ledger.from_events(arm.events)
    assert ledger.num_ready_hits + ledger.num_pending_hits == expected.num_hits
    assert ledger.num_executed == expected.num_executed
    assert ledger.num_confirmed == expected.num_calls
    assert sum(t.num_output_tokens or 0 for each in arm.trajectories for t in each) == expected.num_tokens
    assert server.engine.kv.num_held == 0
