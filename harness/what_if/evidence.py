"""What `what-if` knows of a place: from run folders with their events, from a table of cells, or from numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import OmegaConf

from harness.metrics.cost_fit import CostFit, fit
from harness.metrics.evidence import PlainTurn, Request, TaskEvidence, evidence_of, is_baseline
from harness.records import RunFolder
from harness.schema import BackendKind
from harness.tables import CELLS
from precall.errors import ConfigError
from precall.events import Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where speculation is to run: tasks whose spread is that of the place (of a table of cells: blocks), what was
    fitted to them (None where numbers were given), how the numbers came about, agents at once, the mean input tokens
    of a turn, and what each other agent that generates adds to a generation, in seconds (None: not known)."""

    tasks: tuple[TaskEvidence, ...]
    fit: CostFit | None
    origin: str
    num_agents: int
    prompt_tokens: float | None = None
    beside_s: float | None = None


def from_numbers(
    *,
    generation_s: float,
    tool_s: float,
    answer_s: float,
    num_calls: int,
    num_agents: int,
    prompt_tokens: float | None,
    beside_s: float | None,
) -> Place:
    """Return a place of one task whose turns are all alike."""
    turns = [PlainTurn(generation_s=generation_s, tool_s=(tool_s,), is_eligible=(True,))] * num_calls
    answer = [PlainTurn(generation_s=answer_s)] if answer_s else []
    return Place(
        tasks=(TaskEvidence(turns=[*turns, *answer]),),
        fit=None,
        origin="given",
        num_agents=num_agents,
        prompt_tokens=prompt_tokens,
        beside_s=beside_s,
    )


def from_folders(paths: Sequence[Path]) -> Place:
    """Return what the cells in `paths`, which are runs of one setting, show together.

    Raises ConfigError for a folder without a finished run, and for folders of different settings.
    """
    configs, tasks = [], []
    num_prompt_tokens: list[int] = []
    for path in paths:
        config, runs = read_run(path)
        configs.append(config)
        tasks += evidence_of(runs, block_size=block_size_of(path, config["backend"])).values()
        num_prompt_tokens += _prompt_tokens(runs)
    settings = [
        (config["agent"]["num_agents"], config["draft"]["num_samples"], config["latency"], config["model"]["name"])
        for config in configs
    ]
    for path, setting in zip(paths, settings, strict=True):
        if setting != settings[0]:
            raise ConfigError(f"{path} is of another setting than {paths[0]}; give folders that differ in their block.")
    fitted = fit(tasks, origin_of(configs[0]))
    generated = [request.num_tokens for task in tasks for request in task.requests]
    per_token_s = fitted.beside_s.value
    return Place(
        tasks=tuple(tasks),
        fit=fitted,
        origin=origin_of(configs[0]),
        num_agents=configs[0]["agent"]["num_agents"],
        prompt_tokens=sum(num_prompt_tokens) / len(num_prompt_tokens) if num_prompt_tokens else None,
        beside_s=None if per_token_s is None else per_token_s * sum(generated) / len(generated),
    )


def read_run(path: Path) -> tuple[Mapping[str, Any], dict[str, list[Event]]]:
    """Return the configuration and the events of a finished run. Raises ConfigError where there is none."""
    folder = RunFolder(path)
    if not path.is_dir():
        raise ConfigError(f"{path} is no folder; name a cell's folder in results/runs, or one that holds {CELLS}.")
    if not folder.is_finished:
        raise ConfigError(f"{path} holds no finished run (a manifest.json that says so); name a cell's folder.")
    if not (path / "events.jsonl").is_file():
        raise ConfigError(f"{path} has no events.jsonl, from which the fit is made; name a cell's folder.")
    config: Any = OmegaConf.to_container(OmegaConf.load(path / "config.yaml"))
    return config, folder.read_events()


def origin_of(config: Mapping[str, Any]) -> str:
    """Return how the numbers of a recorded configuration came about."""
    if config["backend"]["kind"] == BackendKind.simulated.value:
        return "modelled"
    return "replayed" if config["model"]["is_replay"] else "measured"


def block_size_of(path: Path, backend: Mapping[str, Any]) -> int | None:
    """Return the tokens of a block of the target's prefix cache in the run at `path`; None: it has none."""
    if not backend["is_prefix_caching"]:
        return None
    if backend["kind"] == BackendKind.simulated.value:
        return backend["simulated_target"]["block_size"]
    # vLLM's own on GPUs and on CPUs. Of an external server the kit does not know; GPUs are likely.
    is_on_cpu = backend["kind"] == BackendKind.vllm.value and not RunFolder(path).read_json("provenance.json")["gpus"]
    return 128 if is_on_cpu else 16


def _prompt_tokens(runs: Mapping[str, Sequence[Event]]) -> list[int]:
    counts = [
        event.data.get("num_prompt_tokens")
        for name, events in runs.items()
        if is_baseline(name)
        for event in events
        if "num_prompt_tokens" in event.data
    ]
    return [count for count in counts if count is not None]


def from_table(folder: Path, *, setting: str | None, num_calls: int | None) -> Place:
    """Return what the blocks of one setting of `folder`/cells.parquet show. A table has means over a block's turns, so
    a block stands for a task of `num_calls` alike turns and an answer.

    Raises ConfigError where it does not say which setting, or how many calls a task has.
    """
    frame: Any = pd.read_parquet(folder / CELLS)
    settings = frame.drop_duplicates("setting")
    if setting is None and len(settings) > 1:
        known = ", ".join(
            f"{row.setting} (T/G {row.latency_mean_g:g}, draft {row.draft_place})" for row in settings.itertuples()
        )
        raise ConfigError(f"{folder} has {len(settings)} settings; one is needed. Set --setting to one of {known}.")
    rows = frame if setting is None else frame[frame["setting"] == setting]
    if rows.empty:
        known = ", ".join(settings["setting"])
        raise ConfigError(f"--setting is {setting}; {folder} has {known}. Choose one of them.")
    if num_calls is None:
        raise ConfigError(f"{folder} is a table, which does not say how many calls a task has. Set --turns.")
    tasks = [block_evidence(row, num_calls) for row in rows.to_dict("records")]
    first = rows.iloc[0]
    return Place(
        tasks=tuple(tasks),
        fit=fit(tasks, str(first["origin"])),
        origin=str(first["origin"]),
        num_agents=int(first["num_agents"]),
    )


def block_evidence(row: Mapping[str, Any], num_calls: int) -> TaskEvidence:
    """Return the evidence of one row of a table of cells: times of the baseline, g and hits of the draft."""
    turn = PlainTurn(generation_s=row["generation_s_base"], tool_s=(row["tool_s_base"],), is_eligible=(True,))
    ttft_s, tpot_s = row["ttft_s_base"], row["tpot_s_base"]
    request = Request(ttft_s=ttft_s, tpot_s=tpot_s, num_tokens=2, num_fresh_tokens=None, num_beside=0.0)
    num_confirmed, alpha = round(row["num_confirmed"]), row["call_acceptance_rate"]
    has_draft = not pd.isna(alpha)
    return TaskEvidence(
        turns=[*[turn] * num_calls, PlainTurn(generation_s=row["answer_s_base"])],
        requests=[request],
        draft_s=[row["draft_s"]] if has_draft else [],
        num_matched=round(alpha * num_confirmed) if has_draft else 0,
        num_confirmed=num_confirmed if has_draft else 0,
        # A table has no samples: where each turn had one, its hits are the calls'.
        samples=[(1, int(i < round(alpha * num_confirmed))) for i in range(num_confirmed)]
        if has_draft and row.get("num_samples", 1) == 1
        else [],
    )
