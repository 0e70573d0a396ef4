"""`make pocket-eval`: what the pocket models can do, in vLLM, on held-out tasks.

Target and drafts: accuracy with the right history given. Target: the tasks that it solves by itself. Each draft: the
call acceptance rate against what the target did there, and g/G. docs/pocket.md says what each figure is. The last line
on stdout is one JSON object, kept with all times in results/bench/pocket-eval.json.
"""

import argparse
import asyncio
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from harness.backends.vllm_settings import VllmServerSettings
from harness.bench import write_bench
from harness.participants import cache_salt_of
from harness.pocket.evaluation import figures
from harness.pocket.evaluation.asking import (
    NUM_SAMPLES,
    TEMPERATURE,
    LiveTask,
    Pair,
    at_once,
    draft_turns,
    run_live,
    score_turns,
    target_of,
)
from harness.pocket.evaluation.phases import Phases
from harness.pocket.evaluation.scoring import TurnScore
from harness.pocket.evaluation.servers import MODELS, server_settings
from harness.pocket.evaluation.tables import print_tables
from harness.pocket.evaluation.timing import Timing, choose_tasks, measure_times, plan
from harness.pocket.family import DRAFTS, TARGET, PocketModel
from harness.pocket.world import PocketTask, draw_tasks
from harness.provenance import ROOT
from harness.runner import GOING_S
from harness.servers import ServerPool
from precall.chat import ChatClient
from precall.errors import BackendError, ConfigError, PrecallError

LOGS = ROOT / "results" / "runs" / "pocket-eval"
NUM_AT_ONCE = 16  # tasks, where nothing is timed
NUM_DRAFTED_AT_ONCE = 8  # tasks, each with as many requests as the largest number of samples


class Evaluation:
    """One run of `make pocket-eval`; `asked` is its command line."""

    def __init__(self, asked: argparse.Namespace, pool: ServerPool, console: Console) -> None:
        self._asked = asked
        self._pool = pool
        self._phases = Phases(2 + len(DRAFTS) * (2 + len(asked.agents)), console)
        self._tasks = draw_tasks(asked.tasks, seed=asked.seed, split="held_out")
        self._settings = {model.name: server_settings(model, asked.models) for model in (TARGET, *DRAFTS)}

    async def run(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return the figures, and what is kept beside them. Raises what ends an evaluation."""
        async with self._up(TARGET) as (client,):
            scores = await self._score(client)
            live = await self._run_live(client)
        target = {**figures.accuracy(scores), **figures.solved(live)}
        drafts: dict[str, Any] = {}
        timings: dict[str, list[Timing]] = {}
        for draft in DRAFTS:
            async with self._up(TARGET, draft) as clients:
                drafts[draft.name], timings[draft.name] = await self._evaluate_draft(draft, clients, live)
        found = {
            "num_tasks": len(self._tasks),
            "num_timed_tasks": len({timing.task_id for rows in timings.values() for timing in rows}),
            "temperature": TEMPERATURE,
            "target": target,
            "drafts": drafts,
        }
        kept = {
            "faults_of_target": [asdict(score) for score in scores if score.fault is not None],
            "unsolved": [task.task.task.task_id for task in live if not task.is_solved],
            "timings": {name: [asdict(timing) for timing in rows] for name, rows in timings.items()},
        }
        return found, kept

    async def _score(self, client: ChatClient) -> list[TurnScore]:
        async def score(task: PocketTask) -> list[TurnScore]:
            return await score_turns(task, target_of(client, cache_salt_of("right history", task.task.task_id)))

        with self._phases.phase(f"{client.model}: turns with the right history", len(self._tasks)) as count:
            scores = await at_once(self._tasks, score, NUM_AT_ONCE, count)
        return [score for of_task in scores for score in of_task]

    async def _run_live(self, client: ChatClient) -> list[LiveTask]:
        async def run(task: PocketTask) -> LiveTask:
            return await run_live(task, target_of(client, cache_salt_of("live", task.task.task_id)))

        with self._phases.phase(f"{client.model}: live trajectories", len(self._tasks)) as count:
            live = await at_once(self._tasks, run, NUM_AT_ONCE, count)
        if not any(task.call_turns for task in live):
            errors = [task.trajectory.error for task in live if task.trajectory.error]
            raise BackendError(
                f"{client.model} asked for no call in {len(live)} tasks; drafts need some to be measured against. "
                f"Train it longer, or see the log in {LOGS}. First failure: {errors[0] if errors else 'none'}"
            )
        return live

    async def _evaluate_draft(
        self, draft: PocketModel, clients: Sequence[ChatClient], live: Sequence[LiveTask]
    ) -> tuple[dict[str, Any], list[Timing]]:
        target_client, client = clients
        scores = await self._score(client)
        asking = [task for task in live if task.call_turns]
        with self._phases.phase(f"{draft.name}: predictions of the target's calls", len(asking)) as count:
            drafted = await at_once(
                asking, lambda task: draft_turns(task, client, "predictions"), NUM_DRAFTED_AT_ONCE, count
            )
        timed = choose_tasks(live, self._asked.timed_tasks, self._asked.seed)
        timings: list[Timing] = []
        for num_agents in self._asked.agents:
            what = f"{draft.name}: times at {num_agents} agent{'s' * (num_agents > 1)}"
            with self._phases.phase(what, len(plan(timed, num_agents))) as count:
                timings += await measure_times(
                    timed, Pair(target_client, client), num_agents=num_agents, run=draft.name, on_done=count
                )
        turns = [turn for of_task in drafted for turn in of_task]
        return {**figures.accuracy(scores), **figures.acceptance(turns), **figures.times(timings)}, timings

    @asynccontextmanager
    async def _up(self, *models: PocketModel) -> AsyncGenerator[list[ChatClient], None]:
        """Yield a client of each model's server, which starts unless it is up."""
        settings: list[VllmServerSettings] = [self._settings[model.name] for model in models]
        running = await self._pool.provide([*settings], LOGS)
        async with AsyncExitStack() as stack:
            clients = [
                ChatClient(base_url=server.base_url, model=each.served_model_name)
                for server, each in zip(running, settings, strict=True)
            ]
            for client in clients:
                stack.push_async_callback(client.aclose)
            try:
                yield clients
            except BackendError:
                # A server that goes explains a failed request better than the request does, and is gone only after it.
                await asyncio.sleep(GOING_S)
                for server in running:
                    await server.check_alive()
                raise


async def evaluate(asked: argparse.Namespace, console: Console) -> tuple[dict[str, Any], dict[str, Any]]:
    async with ServerPool() as pool:
        return await Evaluation(asked, pool, console).run()


def command_line(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return what the command line asks for. Raises ConfigError for a number that makes no sense."""
    parser = argparse.ArgumentParser(prog="python -m harness.pocket.evaluate", description=__doc__)
    parser.add_argument("--tasks", type=int, default=300, help="held-out tasks (default 300)")
    parser.add_argument("--timed-tasks", type=int, default=20, help="of them, for g and G (default 20)")
    parser.add_argument("--agents", type=int, nargs="+", default=[1], help="numbers of agents for g and G (default 1)")
    parser.add_argument("--seed", type=int, default=0, help="of the tasks (default 0)")
    parser.add_argument("--models", type=Path, default=MODELS, help="where the models' folders are")
    asked = parser.parse_args(arguments)
    for name, value in (("tasks", asked.tasks), ("timed-tasks", asked.timed_tasks), ("agents", min(asked.agents))):
        if value < 1:
            raise ConfigError(f"--{name} is {value}; it must be at least 1.")
    return asked


def main() -> None:
    console = Console(stderr=True, width=130)
    try:
        asked = command_line()
        found, kept = asyncio.run(evaluate(asked, console))
    except KeyboardInterrupt:
        console.print("Interrupted; nothing is kept. Fewer tasks take less time: ARGS='--tasks 60 --timed-tasks 6'.")
        sys.exit(130)
    except PrecallError as error:
        console.print(f"{error}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)
    print_tables(found, NUM_SAMPLES, console)
    write_bench("pocket-eval", found, asked.seed, **kept)


if __name__ == "__main__":
    main()
