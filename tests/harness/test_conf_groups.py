"""Every file of every group composes, and every workload builds its tasks for each of its agents."""

import json
from pathlib import Path

import pytest

from harness import build
from harness.experiment import check_cells
from harness.schema import AGENTS, TaskSource, to_config
from harness.workloads.swe_local import rows
from precall.errors import ConfigError
from tests.harness.configs import CONF, cells_of, compose, config_of

GROUPS = sorted(folder.name for folder in CONF.iterdir() if folder.is_dir() and folder.name != "experiment")
CHOICES = [f"{group}={file.stem}" for group in GROUPS for file in sorted((CONF / group).glob("*.yaml"))]
LIVE = ("model.is_replay=false", "draft=colocated", "draft.model.is_replay=false")


@pytest.mark.parametrize("choice", CHOICES)
def test_every_file_of_a_group_fits_the_schema(choice: str) -> None:
    config = to_config(compose(choice))  # raises for a key or a value that the schema lacks, and for a missing one
    group, name = choice.split("=")
    assert getattr(config, group, None) is not None, name


@pytest.mark.parametrize("agent", ["swe", "swe_tools"])
@pytest.mark.sandbox
def test_the_local_repositories_are_tasks_for_both_swe_agents(agent: str, tmp_path: Path) -> None:
    here = ("model=replay_tiny", "draft=colocated", "model.is_replay=false", "draft.model.is_replay=false")
    cells = cells_of("experiment=swe", f"agent={agent}", "scale=smoke", *here, f"output={tmp_path}")
    check_cells(cells)
    config = cells[0].config
    assert config.agent.max_turns == 50
    tasks = build.tasks_of(config, "block 0")
    assert len({task.task_id for task in tasks}) == config.agent.num_agents * config.agent.tasks_per_agent
    names = [tool.name for tool in tasks[0].make_tools()]
    assert names == {"swe": ["bash"], "swe_tools": ["open", "search", "edit", "run_tests"]}[agent]


@pytest.mark.parametrize("name", ["swe_bench_lite", "swe_bench_verified"])
def test_swe_bench_is_read_from_the_hub_or_from_a_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda program: f"/usr/bin/{program}")
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    overrides = (f"workload={name}", "agent=swe", "agent.num_agents=2", "agent.tasks_per_agent=1", *LIVE)
    workload = config_of(*overrides).workload
    assert (workload.dataset.lower(), workload.split) == (f"princeton-nlp/swe-bench_{name.rsplit('_', 1)[1]}", "test")
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows()))
    tasks = build.tasks_of(config_of(*overrides, f"workload.dataset={file}"), "block 0")
    assert {task.task_id for task in tasks} < {row["instance_id"] for row in rows()}


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        (["workload=swe_local"], r"agent\.kind is function_calling and .* swe and swe_tools\. Use agent=swe\."),
        (["workload=pocket", "agent=swe"], r"agent\.kind is swe and .* Use agent=function_calling\."),
        (
            ["workload=swe_local", "agent=swe", "agent.command_timeout_s=0"],
            r"command_timeout_s is 0\.0; it must be above",
        ),
        (
            ["workload=swe_bench_lite", "agent=swe", "workload.images=a.sif"],
            r"workload\.images is 'a\.sif'; .*instance",
        ),
        (["workload=swe_bench_lite", "agent=swe", "workload.dataset=''"], r"workload\.dataset is ''"),
    ],
)
def test_an_agent_that_does_not_fit_and_a_workload_without_its_place_are_refused(
    overrides: list[str], text: str
) -> None:
    with pytest.raises(ConfigError, match=text):
        cells_of(*overrides, *LIVE)


def test_every_source_has_agents() -> None:
    assert AGENTS.keys() == set(TaskSource)


def test_forks_are_used_unless_the_configuration_says_otherwise() -> None:
    assert build.policy_of(config_of("speculation.max_executions_per_turn=3")).max_executions_per_turn == 3
    assert build.policy_of(config_of()).is_forking
    assert not build.policy_of(config_of("speculation.is_forking=false")).is_forking
