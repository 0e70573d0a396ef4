"""SWE-bench (Lite, Verified, or a file in their schema), in its own images through Apptainer, and predictions for its
own judge.

The images are swebench's: the repository in /testbed, its Python in a conda environment. Whether a task is solved says
`python -m swebench.harness.run_evaluation`, which needs Docker (docs/agents.md), so that a grade here holds the patch
and leaves it open.
"""

import asyncio
import json
import random
import shutil
from collections.abc import Collection, Iterable
from functools import partial
from pathlib import Path

from agents.forks.trees import fingerprint
from agents.forks.workspace import Workspace
from agents.mini import IMAGE_FOLDER
from agents.sandbox.apptainer import Apptainer
from agents.sandbox.limits import Limits
from agents.sandbox.sandbox import Sandbox
from agents.swe import SweAgent
from agents.task import Task
from agents.trajectory import Grade, Trajectory
from harness.workloads.rows import read_rows
from harness.workloads.swe import NOT_COMPARED, Instance, RepositoryPlace, patch_of, swe_task
from precall.errors import ConfigError

PYTHON = Path("/opt/miniconda3/envs/testbed")  # in swebench's images
LIMITS = Limits(max_memory_mib=16_384, max_processes=512, max_open_files=4096, max_size_mib=8192)
COPY_TIMEOUT_S = 600.0


def load_swe_bench(
    agent: SweAgent,
    *,
    dataset: str,
    split: str,
    images: str,
    num_tasks: int | None,
    seed: int,
    task_ids: Collection[str] | None = None,
) -> list[Task]:
    """Return `num_tasks` tasks that `seed` draws, or all; with `task_ids` of these alone. `dataset` is a hub name, or
    a file of rows (json, jsonl, parquet). `images` says where the image of an instance is, with {instance} in it.

    Raises ConfigError for a data set that cannot be read, for more tasks than it has, and without Apptainer.
    """
    instances = [Instance.from_row(row) for row in read_rows(dataset, split)]
    if task_ids is not None:
        instances = [instance for instance in instances if instance.instance_id in task_ids]
    random.Random(f"{dataset}/{seed}").shuffle(instances)
    if num_tasks is not None and not 1 <= num_tasks <= len(instances):
        raise ConfigError(
            f"num_tasks is {num_tasks}; it must be between 1 and {len(instances)}, the tasks that {dataset} has. Lower "
            "agent.num_agents or agent.tasks_per_agent."
        )
    if shutil.which("apptainer") is None:
        raise ConfigError(
            f"workload {dataset} runs in swebench's images, and apptainer is not here. On a cluster load its module: "
            "module load apptainer. workload=swe_local needs none."
        )
    place = image_place(images)
    return [swe_task(instance, agent, place) for instance in instances[:num_tasks]]


def image_of(images: str, instance_id: str) -> str:
    """Return the image of an instance; in the names of swebench's, 1776 stands for the double underscore."""
    return images.format(instance=instance_id.replace("__", "_1776_").lower())


def image_place(images: str) -> RepositoryPlace:
    """Return where SWE-bench's repositories are: each in an image of its own."""
    return RepositoryPlace(
        write=partial(_copy_out, images),
        sandbox=partial(_sandbox, images),
        folder=IMAGE_FOLDER,
        judge=judge_later,
    )


def _sandbox(images: str, instance: Instance) -> Sandbox:
    image = image_of(images, instance.instance_id)
    return Sandbox(LIMITS, Apptainer(image, folder=IMAGE_FOLDER, python_prefix=PYTHON))


async def _copy_out(images: str, instance: Instance, folder: Path) -> None:
    await asyncio.to_thread(folder.mkdir)
    copying = await asyncio.create_subprocess_exec(
        *copy_command(image_of(images, instance.instance_id), folder),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, stderr = await asyncio.wait_for(copying.communicate(), COPY_TIMEOUT_S)
    except BaseException:
        if copying.returncode is None:
            copying.kill()
            await copying.wait()
        raise
    if copying.returncode != 0:
        raise ConfigError(
            f"The repository of {instance.instance_id} could not be copied out of its image: "
            f"{stderr.decode(errors='replace').strip()[-500:]}. Is workload.images right, and can it be pulled?"
        )


def copy_command(image: str, folder: Path) -> list[str]:
    """Return the command that copies the repository of an image into `folder`."""
    words = ["apptainer", "--quiet", "exec", "--containall", "--cleanenv", "--no-home", "--bind", f"{folder}:/copy:rw"]
    return [*words, image, "cp", "-a", f"{IMAGE_FOLDER}/.", "/copy"]


async def judge_later(workspace: Workspace, instance: Instance, trajectory: Trajectory) -> Grade:
    """Keep the patch and a hash of the workspace; SWE-bench's own judge says later whether the task is solved."""
    await workspace.settle()
    workspace_hash = await asyncio.to_thread(fingerprint, workspace.tree, without=NOT_COMPARED)
    model_patch = await patch_of(workspace, instance, trajectory)
    return Grade(is_solved=None, workspace_hash=workspace_hash, details={"model_patch": model_patch})


def write_predictions(path: Path, trajectories: Iterable[Trajectory], model_name: str) -> None:
    """Write the patches of graded trajectories as SWE-bench's judge reads them, one JSON object a line."""
    lines = [
        json.dumps(
            {
                "instance_id": trajectory.task_id,
                "model_name_or_path": model_name,
                "model_patch": trajectory.grade.details["model_patch"],
            }
        )
        for trajectory in trajectories
        if trajectory.grade is not None and "model_patch" in trajectory.grade.details
    ]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
