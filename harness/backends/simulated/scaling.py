"""`make simulate-scaling`: what a simulated turn costs as agents grow, to 1,024 of them.

The agents themselves run, with client-side speculation, on one target and three replicas of a draft. The last line on
stdout is one JSON object: per number of agents the CPU seconds, those of a turn, and the engines' events per turn.
"""

import time
from typing import Any

from harness.backends.simulated import calibrate, paper
from harness.backends.simulated.paper import PaperParameters
from harness.backends.simulated.server import SimulatedServer
from harness.backends.simulated.setting import Method, Setting
from harness.backends.simulated.synthetic import SyntheticWorld
from harness.backends.simulated.work import draw_tasks
from harness.bench import write_bench
from harness.runner import ArmRun, run_arm
from precall.testing.virtual_time import run_virtual

NUM_AGENTS = (1, 8, 32, 128, 512, 1024)
TASKS_PER_AGENT = 4


def run(parameters: PaperParameters, num_agents: int) -> dict[str, Any]:
    """Run `num_agents` agents and return what it took."""
    work = [draw_tasks(parameters.work(), TASKS_PER_AGENT, f"agent {agent}") for agent in range(num_agents)]
    setting = Setting(method=Method.client, latency_mean_s=1.0, latency_std_s=0.2, hit_rate=0.6)
    arm = ArmRun(arm="client")

    async def agents() -> int:
        target = SimulatedServer(parameters.target())
        drafts = [SimulatedServer(parameters.draft(paper.LARGEST)) for _ in range(paper.NUM_REPLICAS)]
        world = SyntheticWorld(work, setting, target, drafts)
        await run_arm(
            arm,
            tasks=world.tasks,
            num_agents=num_agents,
            max_turns=20,
            make_participants=world.make,
            servers=[],
            on_trajectory=lambda _: None,
        )
        return sum(server.engine.counts.num_events for server in (target, *drafts))

    started_s, started_cpu_s = time.perf_counter(), time.process_time()
    num_events = run_virtual(agents())
    wall_s, cpu_s = time.perf_counter() - started_s, time.process_time() - started_cpu_s
    num_turns = sum(len(each.turns) for trajectories in arm.trajectories for each in trajectories)
    return {
        "num_agents": num_agents,
        "num_turns": num_turns,
        "wall_s": round(wall_s, 2),
        "cpu_s": round(cpu_s, 2),
        "cpu_ms_per_turn": round(1000.0 * cpu_s / num_turns, 3),
        "events_per_turn": round(num_events / num_turns, 2),
        "simulated_s": round(arm.wall_s, 1),
    }


def main() -> None:
    parameters = PaperParameters(**calibrate.load()["parameters"])
    rows = [run(parameters, num_agents) for num_agents in NUM_AGENTS]
    write_bench("simulate_scaling", {"wall_s": rows[-1]["wall_s"], "by_agents": rows, "origin": "modelled"})


if __name__ == "__main__":
    main()
