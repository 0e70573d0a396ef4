"""The paper's grid on simulated engines: every latency, draft, number of samples and agents, method and repeat."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import fmean

from harness.backends.simulated import paper
from harness.backends.simulated.paper import PaperParameters
from harness.backends.simulated.quick import QuickRun, run_quick
from harness.backends.simulated.setting import Method, Setting
from harness.backends.simulated.work import TaskWork, draw_tasks
from harness.metrics.comparison import time_saved_pct

NUM_REPEATS = 5
PAPER_TASKS = 32
"""The paper's tasks per agent: in the cells that a figure of the paper shows."""
OTHER_TASKS = {1: 8, 8: 4, 32: 2}
"""Tasks per agent in all other cells, by the number of agents: so many, so that the grid takes less than a minute."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GridCell:
    """One cell. The standard method has no draft, and `num_samples` 0."""

    method: Method
    draft: str
    num_samples: int
    latency_s: float
    num_agents: int
    repeat: int
    tasks_per_agent: int
    throughput_tok_per_s: float
    time_saved_pct: float
    num_hits: int
    num_executed: int


@cache
def figure_latencies_s() -> frozenset[float]:
    """Return the latencies that the figures with 32 agents show, in seconds."""
    return frozenset(float(row["tool_latency_s"]) for row in paper.published("fig1_throughput"))


def is_in_a_figure(draft: str, num_samples: int, latency_s: float, num_agents: int, method: Method) -> bool:
    """Whether a figure shows this cell: 8 (one agent, the largest draft), and with 32 agents, client-side, 1 and 6 (one
    sample) and 5 (at 1.5 s)."""
    if num_agents == 1:
        return draft == paper.LARGEST and num_samples == 1
    if num_agents != 32 or method is not Method.client:
        return False
    return (num_samples == 1 and latency_s in figure_latencies_s()) or latency_s == 1.5


class Grid:
    """Runs cells for one set of parameters. Baselines, and what tasks are made of, are kept for those that share
    them."""

    def __init__(self, parameters: PaperParameters) -> None:
        self._work_model = parameters.work()
        self._target = parameters.target()
        self._drafts = {name: [parameters.draft(name)] * paper.NUM_REPLICAS for name in paper.DRAFTS}
        self._hit_rates = paper.hit_rates()
        self._work: dict[tuple[int, int, int], list[list[TaskWork]]] = {}
        self._standard: dict[tuple[float, int, int, int], QuickRun] = {}

    def work(self, num_agents: int, tasks_per_agent: int, repeat: int) -> list[list[TaskWork]]:
        key = (num_agents, tasks_per_agent, repeat)
        if key not in self._work:
            names = [f"repeat {repeat}, agent {agent}" for agent in range(num_agents)]
            self._work[key] = [draw_tasks(self._work_model, tasks_per_agent, name) for name in names]
        return self._work[key]

    def standard(self, latency_s: float, num_agents: int, tasks_per_agent: int, repeat: int) -> QuickRun:
        key = (latency_s, num_agents, tasks_per_agent, repeat)
        if key not in self._standard:
            setting = Setting(
                method=Method.standard, latency_mean_s=latency_s, latency_std_s=paper.RELATIVE_STD * latency_s
            )
            self._standard[key] = run_quick(self.work(num_agents, tasks_per_agent, repeat), setting, self._target, [])
        return self._standard[key]

    def standard_cell(self, latency_s: float, num_agents: int, repeat: int, tasks_per_agent: int) -> GridCell:
        run = self.standard(latency_s, num_agents, tasks_per_agent, repeat)
        return GridCell(
            method=Method.standard,
            draft="",
            num_samples=0,
            latency_s=latency_s,
            num_agents=num_agents,
            repeat=repeat,
            tasks_per_agent=tasks_per_agent,
            throughput_tok_per_s=run.throughput_tok_per_s,
            time_saved_pct=0.0,
            num_hits=0,
            num_executed=0,
        )

    def cell(
        self,
        method: Method,
        draft: str,
        num_samples: int,
        latency_s: float,
        num_agents: int,
        repeat: int,
        tasks_per_agent: int,
    ) -> GridCell:
        """Run one cell that speculates, and its baseline if that has not run."""
        setting = Setting(
            method=method,
            latency_mean_s=latency_s,
            latency_std_s=paper.RELATIVE_STD * latency_s,
            hit_rate=self._hit_rates[(draft, num_samples)],
            num_samples=num_samples,
        )
        work = self.work(num_agents, tasks_per_agent, repeat)
        run = run_quick(work, setting, self._target, self._drafts[draft])
        base = self.standard(latency_s, num_agents, tasks_per_agent, repeat)
        return GridCell(
            method=method,
            draft=draft,
            num_samples=num_samples,
            latency_s=latency_s,
            num_agents=num_agents,
            repeat=repeat,
            tasks_per_agent=tasks_per_agent,
            throughput_tok_per_s=run.throughput_tok_per_s,
            time_saved_pct=time_saved_pct(base.agent_s, run.agent_s),
            num_hits=run.num_hits,
            num_executed=run.num_executed,
        )

    def all_cells(self) -> Iterator[GridCell]:
        """Run the whole grid, repeat by repeat."""
        for repeat in range(NUM_REPEATS):
            for num_agents in paper.AGENTS:
                for latency_s in paper.latencies_s():
                    is_shown = num_agents == 1 or (num_agents == 32 and latency_s in figure_latencies_s())
                    size = PAPER_TASKS if is_shown else OTHER_TASKS[num_agents]
                    yield self.standard_cell(latency_s, num_agents, repeat, size)
                    for draft in paper.DRAFTS:
                        for num_samples in paper.SAMPLES:
                            for method in (Method.client, Method.engine):
                                is_shown = is_in_a_figure(draft, num_samples, latency_s, num_agents, method)
                                size = PAPER_TASKS if is_shown else OTHER_TASKS[num_agents]
                                yield self.cell(method, draft, num_samples, latency_s, num_agents, repeat, size)
            self._work.clear()
            self._standard.clear()


def mean_throughput(cells: Sequence[GridCell]) -> float:
    return fmean(cell.throughput_tok_per_s for cell in cells)


def mean_time_saved(cells: Sequence[GridCell]) -> float:
    return fmean(cell.time_saved_pct for cell in cells)
