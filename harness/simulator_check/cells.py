"""Measured cells as the check takes them: what was run in each, and what its runs showed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import OmegaConf

from agents.task import Task
from harness import build
from harness.backends.simulated import participants
from harness.backends.simulated.participants import Scripts
from harness.backends.simulated.script import Script
from harness.calibration import DraftTimes
from harness.latency import Latency
from harness.metrics.comparison import task_id_of
from harness.records import RunFolder
from harness.schema import Config, DraftKind, SimulatedEngineConfig, Speculation, to_config
from harness.simulator_check import live
from harness.simulator_check.live import DraftAnswers
from harness.tables import CELLS
from harness.what_if.evidence import block_size_of, read_run
from precall.errors import ConfigError
from precall.events import Event, EventKind

_NO_SWEEPS: dict[str, list[Any]] = {"num_samples": [], "drafts": []}
"""What a cell's scale need not have: it says which cells there are, not what one is."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MeasuredCell:
    """One finished cell: its row in the experiment's table, what its agents worked on, and the events of its runs.
    `draft_s` are the times of the draft alone by task, turn and sample; empty where they were not measured, as those
    of a live draft. `block_size` is that of the servers' prefix caches (any number where they have none)."""

    row: Mapping[str, Any]
    config: Config
    tasks: Sequence[Task]
    scripts: Scripts
    latency: Latency
    draft_s: DraftTimes
    block_size: int
    runs: Mapping[str, Sequence[Event]]

    @property
    def setting(self) -> str:
        """Its experiment and setting."""
        return f"{self.row['experiment']}/{self.row['setting']}"

    def runs_of(self, arm: str) -> list[Sequence[Event]]:
        """The events of the runs of one arm (base, spec)."""
        return [events for name, events in self.runs.items() if name.startswith(arm)]

    @property
    def agents(self) -> list[list[str]]:
        """The tasks of each agent, by their ids."""
        size = self.config.agent.tasks_per_agent
        return [[t.task_id for t in self.tasks[i * size : (i + 1) * size]] for i in range(self.config.agent.num_agents)]


def read_cells(folders: Sequence[Path]) -> list[MeasuredCell]:
    """Return the cells of experiments' folders under results/runs, in the order of their tables.

    Raises ConfigError where there is no table, or a cell has left no events.
    """
    found = [_open(folder, row) for folder in folders for row in _rows(folder)]
    answers = DraftAnswers()
    for cell in found:
        if not cell.config.model.is_replay:
            answers.add(cell.path, cell.config, cell.runs)
    return [_measured(cell, answers) for cell in found]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    """A cell's folder as it was read."""

    path: Path
    row: Mapping[str, Any]
    backend: Mapping[str, Any]
    config: Config
    runs: Mapping[str, Sequence[Event]]


def _rows(folder: Path) -> list[dict[str, Any]]:
    if not (folder / CELLS).is_file():
        raise ConfigError(
            f"{folder} holds no {CELLS}; name an experiment's folder in results/runs, such as "
            "results/runs/local/simulator_check."
        )
    rows = pd.read_parquet(folder / CELLS).to_dict("records")
    return [{str(key): value for key, value in row.items()} for row in rows]


def _open(folder: Path, row: Mapping[str, Any]) -> _Opened:
    path = folder / row["cell_id"]
    raw, runs = read_run(path)
    node = OmegaConf.merge(OmegaConf.structured(Config), {"scale": _NO_SWEEPS}, raw)
    config = replace(to_config(node), output=str(folder))
    if config.speculation.mode is Speculation.off:
        raise ConfigError(f"{path} compares the baseline with itself; there is no time saved to predict.")
    if config.draft.kind is not DraftKind.model:
        raise ConfigError(f"{path} has draft.kind {config.draft.kind.value}; the check fits drafts that are models.")
    return _Opened(path=path, row=row, backend=raw["backend"], config=config, runs=runs)


def _measured(cell: _Opened, answers: DraftAnswers) -> MeasuredCell:
    config, row = cell.config, cell.row
    tasks = [_with_idle_tools(task) for task in build.tasks_of(config, f"block {row['block']}")]
    latency = replace(config.latency, mean_s=row["latency_mean_s"], mean_g=None)
    return MeasuredCell(
        row=row,
        config=config,
        tasks=tasks,
        scripts=_with_prompts(_scripts_of(cell, tasks, answers), cell.runs["base-1"]),
        latency=build.latency_of(replace(config, latency=latency), None),
        draft_s=_draft_s(cell.path.parent, config, tasks),
        block_size=block_size_of(cell.path, cell.backend) or SimulatedEngineConfig.block_size,
        runs=cell.runs,
    )


def _draft_s(folder: Path, config: Config, tasks: Sequence[Task]) -> DraftTimes:
    """Return the draft's times alone in the cell's tasks, from a calibration in the same folder."""
    if not config.model.is_replay:
        return {}
    for path in sorted(folder.glob("calibration-g-*")):
        calibration = RunFolder(path)
        if not calibration.is_finished:
            continue
        draft: Any = OmegaConf.select(OmegaConf.load(path / "config.yaml"), "draft")
        times: DraftTimes = calibration.read_json("draft_times.json")
        is_alike = (draft["model"]["name"], draft["num_samples"]) == (config.draft.model.name, config.draft.num_samples)
        if is_alike and all(task.task_id in times for task in tasks):
            return times
    raise ConfigError(
        f"{folder} has no calibration of {config.draft.model.name} alone in the tasks of a cell; run the experiment "
        "again."
    )


def _scripts_of(cell: _Opened, tasks: Sequence[Task], answers: DraftAnswers) -> Scripts:
    """Return what the models said: of a replay what it follows, of live models what they said with speculation."""
    config = cell.config
    if config.model.is_replay:
        return participants.scripts_of(config, tasks)
    return live.scripts_of(config, cell.path, tasks, answers)


def _with_idle_tools(task: Task) -> Task:
    """Return a task whose tools return nothing, at once: how much they returned stands in the prompts' counts."""

    async def nothing(**_: Any) -> str:
        return ""

    tools = tuple(replace(tool, function=nothing) for tool in task.make_tools())
    return replace(task, make_tools=lambda: tools, environment=None)


def _with_prompts(scripts: Scripts, events: Sequence[Event]) -> Scripts:
    """Return scripts whose prompts are as long as the engine counted them in a run. Raises ConfigError where it did
    not."""
    counted: dict[str, list[tuple[int, int]]] = {}
    for event in events:
        if event.kind is EventKind.GENERATION_FINISHED:
            sizes = event.data["num_prompt_tokens"], event.data["num_output_tokens"]
            if None in sizes:
                raise ConfigError(f"{event.trajectory_id} has no counts of tokens; the check needs them.")
            counted.setdefault(task_id_of(event), []).append(sizes)
    said = {task_id: _with_inputs(script, counted[task_id]) for task_id, script in scripts.scripts.items()}
    return replace(scripts, scripts=said)


def _with_inputs(script: Script, sizes: Sequence[tuple[int, int]]) -> Script:
    """Return a script with these numbers of prompt and output tokens by turn. What enters the history before a turn is
    what its prompt has more than the turn before it prompted and said; a template that drops some of it leaves 1."""
    ends = [0, *(num_prompt + num_output for num_prompt, num_output in sizes)]
    num_input_tokens = [max(1, num_prompt - end) for (num_prompt, _), end in zip(sizes, ends, strict=False)]
    return replace(script, num_input_tokens=lambda index, messages: num_input_tokens[index])
