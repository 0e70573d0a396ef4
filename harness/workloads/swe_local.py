"""Small repositories of our own, each with a real bug, in SWE-bench's schema: the folders below swe_local/.

    NAME/instance.json   what SWE-bench's row has beside the following
    NAME/problem.md      problem_statement
    NAME/repo/           the repository at base_commit
    NAME/test.patch      the tests that show the bug
    NAME/gold.patch      a change that solves it (`patch`)

The repository is committed with a fixed author and date, so that base_commit is the same everywhere.
"""

import asyncio
import functools
import json
import os
import random
import shutil
import subprocess
from collections.abc import Collection
from pathlib import Path
from typing import Any

from agents.sandbox.launch import WORKSPACE
from agents.sandbox.results import SandboxError
from agents.sandbox.sandbox import Sandbox
from agents.swe import SweAgent
from agents.task import Task
from harness.workloads.swe import PYTEST_ALONE, Instance, RepositoryPlace, judge_by_tests, swe_task
from precall.errors import ConfigError

FOLDER = Path(__file__).with_name("swe_local")
DATE_S = 1_700_000_000  # of every commit and every file: a listing with times is the same in every run
_GIT = {
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_DATE": f"{DATE_S} +0000",
    "GIT_COMMITTER_DATE": f"{DATE_S} +0000",
    **{f"GIT_{who}_NAME": "Maintainer" for who in ("AUTHOR", "COMMITTER")},
    **{f"GIT_{who}_EMAIL": "maintainer@example.org" for who in ("AUTHOR", "COMMITTER")},
}


def load_swe_local(
    agent: SweAgent, *, num_tasks: int | None, seed: int, task_ids: Collection[str] | None = None
) -> list[Task]:
    """Return `num_tasks` of the tasks, in an order that `seed` draws, or all of them; with `task_ids` of these alone.

    Raises ConfigError for more tasks than there are, and where nothing can be sandboxed.
    """
    instances = [Instance.from_row(row) for row in rows() if task_ids is None or row["instance_id"] in task_ids]
    random.Random(f"swe_local/{seed}").shuffle(instances)
    if num_tasks is not None and not 1 <= num_tasks <= len(instances):
        raise ConfigError(
            f"num_tasks is {num_tasks}; it must be between 1 and {len(instances)}, the tasks that swe_local has. Lower "
            "agent.num_agents or agent.tasks_per_agent."
        )
    place = local_place()
    return [swe_task(instance, agent, place) for instance in instances[:num_tasks]]


@functools.cache
def rows() -> tuple[dict[str, Any], ...]:
    """Return the instances as SWE-bench's rows."""
    return tuple(_row(folder) for folder in sorted(FOLDER.iterdir()) if folder.is_dir())


def _row(folder: Path) -> dict[str, Any]:
    return {
        **json.loads((folder / "instance.json").read_text(encoding="utf-8")),
        "instance_id": folder.name,
        "problem_statement": (folder / "problem.md").read_text(encoding="utf-8"),
        "patch": (folder / "gold.patch").read_text(encoding="utf-8"),
        "test_patch": (folder / "test.patch").read_text(encoding="utf-8"),
    }


@functools.cache
def local_place() -> RepositoryPlace:
    """Return where these repositories run. Raises ConfigError where nothing can be sandboxed."""
    try:
        sandbox = Sandbox()
    except SandboxError as error:
        raise ConfigError(
            f"workload swe_local runs model-written commands, and there is no sandbox: {error}"
        ) from error
    return RepositoryPlace(
        write=_write, sandbox=lambda instance: sandbox, folder=WORKSPACE, judge=judge_by_tests, variables=PYTEST_ALONE
    )


async def _write(instance: Instance, folder: Path) -> None:
    head = await asyncio.to_thread(write_repository, FOLDER / instance.instance_id / "repo", folder)
    if head != instance.base_commit:
        raise ConfigError(
            f"base_commit of {instance.instance_id} is {instance.base_commit}; its files make {head}. Put that into "
            "its instance.json."
        )


def write_repository(source: Path, folder: Path) -> str:
    """Copy the files of `source` to `folder`, commit them, and return the commit's hash. Modes and times are fixed."""
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("__pycache__", ".pytest_cache"))
    for command in (["init", "-q", "--template=", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "Base"]):
        _git(folder, *command)
    for parent, folders, files in os.walk(folder, topdown=False):
        for name in files:
            os.chmod(os.path.join(parent, name), 0o644)
            os.utime(os.path.join(parent, name), (DATE_S, DATE_S))
        for name in folders:
            os.chmod(os.path.join(parent, name), 0o755)
            os.utime(os.path.join(parent, name), (DATE_S, DATE_S))
    os.chmod(folder, 0o755)
    os.utime(folder, (DATE_S, DATE_S))
    return _git(folder, "rev-parse", "HEAD").strip()


def _git(folder: Path, *words: str) -> str:
    environment = {"PATH": os.environ["PATH"], **_GIT}
    ran = subprocess.run(["git", *words], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        raise ConfigError(f"git {words[0]} failed in {folder}: {ran.stderr.strip()}. Is git installed?")
    return ran.stdout
