"""SWE-bench's loader and glue, on a local file in its schema: rows, images, command lines. No image is run here."""

import json
from pathlib import Path

import pytest

from agents.mini import IMAGE_FOLDER
from agents.sandbox.apptainer import Apptainer
from agents.swe import bash_agent
from agents.trajectory import Grade
from harness.workloads.swe import Instance
from harness.workloads.swe_bench import (
    PYTHON,
    copy_command,
    image_of,
    load_swe_bench,
    read_rows,
    write_predictions,
)
from harness.workloads.swe_local import rows
from precall.errors import ConfigError
from tests.agents.trajectories import ended

IMAGES = "docker://swebench/sweb.eval.x86_64.{instance}:latest"


@pytest.fixture
def apptainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a program called apptainer on the path; nothing runs it."""
    program = tmp_path / "bin" / "apptainer"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


def write_file(folder: Path, kind: str) -> str:
    """Write our own instances as a file in SWE-bench's schema and return its path."""
    path = folder / f"instances.{kind}"
    if kind == "parquet":
        import pandas as pd

        pd.DataFrame(rows()).to_parquet(path)
    else:
        path.write_text("".join(json.dumps(row) + "\n" for row in rows()))
    return str(path)


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_a_file_in_the_schema_is_read_through_datasets(kind: str, tmp_path: Path, no_hub: None) -> None:
    read = [Instance.from_row(row) for row in read_rows(write_file(tmp_path, kind), "test")]
    assert read == [Instance.from_row(row) for row in rows()]


def test_tasks_are_drawn_from_it_and_told_where_the_images_have_the_repository(
    tmp_path: Path, apptainer: None, no_hub: None
) -> None:
    file = write_file(tmp_path, "jsonl")

    def load(num_tasks: int | None, seed: int = 0, task_ids: list[str] | None = None) -> list[str]:
        tasks = load_swe_bench(
            bash_agent(),
            dataset=file,
            split="test",
            images=IMAGES,
            num_tasks=num_tasks,
            seed=seed,
            task_ids=task_ids,
        )
        assert all("source code files in /testbed" in str(task.user_turns[0][1]["content"]) for task in tasks)
        return [task.task_id for task in tasks]

    assert len(set(load(5))) == 5
    assert load(5) == load(5) != load(5, seed=1)
    assert load(None, task_ids=["steps__steps-9"]) == ["steps__steps-9"]
    with pytest.raises(ConfigError, match="num_tasks is 9; it must be between 1 and 8"):
        load(9)


def test_without_apptainer_or_data_it_is_refused_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_hub: None
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    arguments = {"split": "test", "images": IMAGES, "num_tasks": 1, "seed": 0}
    with pytest.raises(ConfigError, match="apptainer is not here"):
        load_swe_bench(bash_agent(), dataset=write_file(tmp_path, "jsonl"), **arguments)
    with pytest.raises(ConfigError, match=r"workload\.dataset is '.*gone\.jsonl' .* cannot be read"):
        load_swe_bench(bash_agent(), dataset=str(tmp_path / "gone.jsonl"), **arguments)


def test_an_image_has_the_name_that_swebench_gives_it() -> None:
    name = image_of(IMAGES, "sympy__sympy-20590")
    assert name == "docker://swebench/sweb.eval.x86_64.sympy_1776_sympy-20590:latest"
    assert image_of("/images/{instance}.sif", "a__B-1") == "/images/a_1776_b-1.sif"


def test_commands_find_the_workspace_and_python_where_the_image_has_them(tmp_path: Path, apptainer: None) -> None:
    from agents.sandbox.limits import Limits

    launcher = Apptainer("docker://a/b:latest", folder=IMAGE_FOLDER, python_prefix=PYTHON)
    words = list(launcher.launch(["true"], tmp_path, Limits()).arguments)
    assert words[words.index("--bind") + 1] == f"{tmp_path}:/testbed:rw"
    assert words[words.index("--pwd") + 1] == "/testbed"
    assert f"PATH={PYTHON}/bin:/usr/local/bin:/usr/bin:/bin" in words
    assert "docker://a/b:latest" in words


def test_the_repository_is_copied_out_of_the_image() -> None:
    assert copy_command("i.sif", Path("/w/source"))[-6:] == [
        "/w/source:/copy:rw",
        "i.sif",
        "cp",
        "-a",
        "/testbed/.",
        "/copy",
    ]


def test_predictions_hold_a_line_for_each_graded_trajectory(tmp_path: Path) -> None:
    patched = Grade(is_solved=None, details={"model_patch": "diff"})
    write_predictions(tmp_path / "p.jsonl", [ended("a__a-1", grade=patched), ended("b")], "my-model")
    assert [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()] == [
        {"instance_id": "a__a-1", "model_name_or_path": "my-model", "model_patch": "diff"}
    ]
