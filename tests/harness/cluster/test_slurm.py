"""What Slurm is asked for: the paper's node for the paper's servers, and nothing for a job that is queued."""

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from harness.cluster import fetch, slurm
from harness.cluster.remote import Outcome
from harness.cluster.slurm import queue_name, slurm_parameters, submitted
from harness.jobs import Job, jobs_of
from harness.jobs_config import JobsConfig
from precall.errors import BackendError, ConfigError
from tests.harness.cluster.fake_slurm import FakeSlurm
from tests.harness.configs import cells_of

CONSOLE = Console(quiet=True)


def paper_jobs(*overrides: str) -> list[Job]:
    return jobs_of(cells_of("experiment=fig1_paper", "jobs=slurm", *overrides))


def config_of(job: Job, **changes: Any) -> JobsConfig:
    return JobsConfig(**(vars(job.config.jobs) | changes))


@pytest.fixture
def everything_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm, "check_fetched", lambda jobs: None)


def test_the_papers_experiment_is_one_job_on_four_gpus_for_all_its_cells(gpus: None) -> None:
    (job,) = paper_jobs()
    assert (len(job.cells), job.num_gpus) == (35, 4)
    parameters = slurm_parameters(job, "name", job.config.jobs)
    assert parameters["gpus_per_node"] == 4
    assert parameters["slurm_setup"] == ["export HF_HUB_OFFLINE=1"]


def test_another_draft_needs_another_job(gpus: None) -> None:
    drafts = [paper_jobs(f"draft={name}")[0].name for name in ("xlam2_1b", "xlam2_3b", "xlam2_8b")]
    assert len(set(drafts)) == 3


def test_the_script_asks_for_the_node_the_time_the_signal_and_to_be_queued_again(
    gpus: None, slurm: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, everything_is_fetched: None
) -> None:
    monkeypatch.setattr("harness.cluster.slurm._outcomes", lambda handles: [Outcome(job="a")])
    given = ("jobs.partition=gpu", "jobs.account=me", "jobs.constraint=a100", "jobs.setup=[module load cuda]")
    (job,) = paper_jobs(f"output={tmp_path}/out", *given)
    submitted([job], job.config.jobs, CONSOLE)
    (script,) = slurm.scripts
    wanted = (
        *("gpus-per-node=4", "cpus-per-task=32", "mem=240GB", "time=720", "signal=USR2@120", "requeue"),
        *("partition=gpu", "account=me", "constraint=a100", f"job-name={queue_name(job)}", "open-mode=append"),
    )
    lines = script.splitlines()
    assert [line for line in wanted if f"#SBATCH --{line}" not in lines] == []
    assert lines.index("module load cuda") < lines.index("export HF_HUB_OFFLINE=1")


def test_a_job_that_is_queued_is_waited_for_and_not_submitted_again(
    gpus: None, slurm: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, everything_is_fetched: None
) -> None:
    waited_for: dict[str, Any] = {}

    def wait(handles: dict[str, Any]) -> list[Outcome]:
        waited_for.update(handles)
        return []

    monkeypatch.setattr("harness.cluster.slurm._outcomes", wait)
    (job,) = paper_jobs(f"output={tmp_path}/out")
    (same_elsewhere,) = paper_jobs(f"output={tmp_path}/other/out")
    assert job.name == same_elsewhere.name
    slurm.queue("77", queue_name(job))
    submitted([job], job.config.jobs, CONSOLE)
    assert (slurm.scripts, waited_for[job.name].job_id) == ([], "77")
    submitted([same_elsewhere], job.config.jobs, CONSOLE)
    assert len(slurm.scripts) == 1, "results that go elsewhere are another job"


def test_interrupted_it_says_how_to_end_the_jobs(
    gpus: None, slurm: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, everything_is_fetched: None
) -> None:
    def interrupt(handles: dict[str, Any]) -> list[Outcome]:
        raise KeyboardInterrupt

    monkeypatch.setattr("harness.cluster.slurm._outcomes", interrupt)
    (job,) = paper_jobs(f"output={tmp_path}/out")
    slurm.queue("77", queue_name(job))
    console = Console(record=True, quiet=False, file=(tmp_path / "said").open("w"))
    with pytest.raises(KeyboardInterrupt):
        submitted([job], job.config.jobs, console)
    assert "to end them: scancel 77" in console.export_text()


def test_where_there_is_no_slurm_the_remedy_is_named(gpus: None, everything_is_fetched: None) -> None:
    (job,) = paper_jobs()
    with pytest.raises(ConfigError, match=r"squeue is not here; submit from a login node .*jobs=here"):
        submitted([job], job.config.jobs, CONSOLE)


def test_a_cluster_that_refuses_a_job_is_quoted(
    gpus: None, slurm: FakeSlurm, tmp_path: Path, everything_is_fetched: None
) -> None:
    (slurm.folder / "bin" / "sbatch").write_text("#!/bin/bash\necho 'invalid partition specified: moon' >&2\nexit 1\n")
    (job,) = paper_jobs(f"output={tmp_path}/out", "jobs.partition=moon")
    with pytest.raises(ConfigError, match=r"could not be submitted: .*invalid partition specified: moon"):
        submitted([job], job.config.jobs, CONSOLE)


def test_a_squeue_that_fails_ends_it_before_anything_is_submitted(
    gpus: None, slurm: FakeSlurm, tmp_path: Path, everything_is_fetched: None
) -> None:
    (slurm.folder / "bin" / "squeue").write_text("#!/bin/bash\necho 'no controller' >&2\nexit 1\n")
    (job,) = paper_jobs(f"output={tmp_path}/out")
    with pytest.raises(BackendError, match="squeue cannot say what is queued: no controller"):
        submitted([job], job.config.jobs, CONSOLE)
    assert slurm.scripts == []


def test_weights_that_offline_nodes_would_lack_are_named_before_anything_is_submitted(
    gpus: None, slurm: FakeSlurm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    (job,) = paper_jobs(f"output={tmp_path}/out")
    with pytest.raises(ConfigError, match=r"openai/gpt-oss-120b is not in the cache of the hub.*make fetch"):
        submitted([job], job.config.jobs, CONSOLE)
    assert slurm.scripts == []


def test_what_is_fetched_is_what_the_servers_of_an_experiment_load() -> None:
    configs = [cell.config for cell in cells_of("experiment=fig1_paper")]
    assert fetch.hub_models(configs) == ["openai/gpt-oss-120b", "Salesforce/Llama-xLAM-2-8b-fc-r"]
    without_draft = [cell.config for cell in cells_of("experiment=fig1_paper", "speculation=off")]
    assert fetch.hub_models(without_draft) == ["openai/gpt-oss-120b"]
    for made_here in ("fig1", "pocket"):
        assert fetch.hub_models(cell.config for cell in cells_of(f"experiment={made_here}")) == []
    assert fetch.hub_models(cell.config for cell in cells_of("experiment=gpt_5")) == [], "served elsewhere"


def test_fetching_downloads_each_model_once_and_reads_the_tasks(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[str] = []

    def download(name: str, **_: Any) -> str:
        asked.append(name)
        return str(tmp_path)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    monkeypatch.setattr(fetch, "load_tasks", lambda config, num, seed: asked.append(config.workload.name))
    fetch.fetch(cell.config for cell in cells_of("experiment=fig1_paper"))
    assert asked == ["openai/gpt-oss-120b", "Salesforce/Llama-xLAM-2-8b-fc-r", "bfcl"]
    assert "fetch: model openai/gpt-oss-120b" in capsys.readouterr().err


def test_a_model_that_cannot_be_had_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str, **_: Any) -> str:
        raise OSError("no route to host\nmore")

    monkeypatch.setattr("huggingface_hub.snapshot_download", refuse)
    with pytest.raises(ConfigError, match=r"openai/gpt-oss-120b cannot be downloaded: no route to host\. Check"):
        fetch.fetch(cell.config for cell in cells_of("experiment=fig1_paper"))
