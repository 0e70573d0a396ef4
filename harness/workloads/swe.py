"""Tasks in SWE-bench's schema: a repository, a problem, and the tests that tell whether it is solved."""

import asyncio
import json
import re
import tempfile
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from agents.forks.choice import choose_method
from agents.forks.tool import Place
from agents.forks.trees import fingerprint, remove_tree
from agents.forks.workspace import Workspace
from agents.sandbox.sandbox import Sandbox
from agents.swe import SweAgent, in_environment, submitted
from agents.task import Environment, Task
from agents.trajectory import Grade, Trajectory
from precall.errors import ConfigError

JUDGE_TIMEOUT_S = 300.0
PYTEST_ALONE = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
NOT_COMPARED = (".git",)  # its index has times and inode numbers in it
_SUMMARY = "short test summary info"
_OUTCOME = re.compile(r"^(?:PASSED (.+)|XFAIL (.+?)(?: - .*)?)$")
_PIECE_CHARS = 100_000  # of a patch: the kernel takes no argument above 128 KiB
_DIFF = 'git add -A && git diff --cached "$1"'
_APPLY = """base=$1 num=$2; shift 2
while [ "$num" -gt 0 ]; do
    git checkout -q "$base" -- "$1" 2>/dev/null || rm -rf -- "$1"
    num=$((num - 1)); shift
done
printf %s "$@" | git apply --whitespace=nowarn -"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One row of SWE-bench. Source: the datasets SWE-bench_Lite and SWE-bench_Verified; tests are pytest's node ids."""

    instance_id: str
    repo: str
    base_commit: str
    problem_statement: str
    patch: str
    test_patch: str
    fail_to_pass: tuple[str, ...]
    pass_to_pass: tuple[str, ...]

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "Instance":
        """Return the instance of a dataset's row. Raises ConfigError for one that is not in the schema."""
        texts = ("instance_id", "repo", "base_commit", "problem_statement", "patch", "test_patch")
        for name in (*texts, "FAIL_TO_PASS", "PASS_TO_PASS"):
            if name not in row:
                raise ConfigError(f"A row has no column {name}; SWE-bench's schema has it. There are {sorted(row)}.")
        return cls(
            **{name: str(row[name]) for name in texts},
            fail_to_pass=_test_ids(row, "FAIL_TO_PASS"),
            pass_to_pass=_test_ids(row, "PASS_TO_PASS"),
        )


def _test_ids(row: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = row[name]
    try:
        ids = json.loads(value) if isinstance(value, str) else value  # SWE-bench has JSON in a string
        return tuple(str(each) for each in ids)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{name} of {row['instance_id']} is {value!r}; it must be a list, or one as JSON.") from error


Judge = Callable[[Workspace, Instance, Trajectory], Awaitable[Grade]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryPlace:
    """Where the repositories of a task set come from and run: `write` makes the one of an instance in a folder that
    does not exist yet, `sandbox` returns what its commands run in, `folder` is where it lies in there, and `variables`
    are set for what the agent runs."""

    write: Callable[[Instance, Path], Awaitable[None]]
    sandbox: Callable[[Instance], Sandbox]
    folder: str
    judge: Judge
    variables: Mapping[str, str] = field(default_factory=dict)


def swe_task(instance: Instance, agent: SweAgent, place: RepositoryPlace) -> Task:
    """Return the task of an instance for an agent. Each trajectory has a workspace of its own."""
    return Task(
        task_id=instance.instance_id,
        user_turns=(agent.prompt(instance.problem_statement, place.folder),),
        make_tools=agent.tools_to_read,
        environment=partial(_environment, instance, agent, place),
        after_turn=agent.after_turn,
    )


@asynccontextmanager
async def _environment(
    instance: Instance, agent: SweAgent, place: RepositoryPlace
) -> AsyncGenerator[Environment, None]:
    async with open_workspace(instance, place) as workspace:
        tools = agent.make_tools(workspace, place.variables)
        yield Environment(tools=tools, grade=partial(place.judge, workspace, instance))


@asynccontextmanager
async def open_workspace(instance: Instance, place: RepositoryPlace) -> AsyncGenerator[Workspace, None]:
    """Yield a workspace with the repository of `instance`, which is gone afterwards."""
    root = Path(tempfile.mkdtemp(prefix="swe-"))
    try:
        source, sandbox = root / "source", place.sandbox(instance)
        await place.write(instance, source)
        method = await choose_method(source, root, sandbox)
        workspace = await asyncio.to_thread(Workspace.create, root / "workspace", source, sandbox, method)
        await asyncio.to_thread(remove_tree, source)
        try:
            yield workspace
        finally:
            await workspace.aclose()
    finally:
        await asyncio.to_thread(remove_tree, root)


async def judge_by_tests(workspace: Workspace, instance: Instance, trajectory: Trajectory) -> Grade:
    """Apply the test patch to what the trajectory has left, run its tests, and return what they say. The workspace
    stays as it is: the tests run in a fork. Solved is what SWE-bench calls resolved: all of both lists pass."""
    await workspace.settle()
    workspace_hash = await asyncio.to_thread(fingerprint, workspace.tree, without=NOT_COMPARED)
    model_patch = await patch_of(workspace, instance, trajectory)
    fork = await workspace.fork()
    try:
        passed = await passing_tests(fork, instance)
    finally:
        await fork.discard()
    report = {
        name: {"success": [t for t in tests if t in passed], "failure": [t for t in tests if t not in passed]}
        for name, tests in (("FAIL_TO_PASS", instance.fail_to_pass), ("PASS_TO_PASS", instance.pass_to_pass))
    }
    return Grade(
        is_solved=not any(each["failure"] for each in report.values()),
        workspace_hash=workspace_hash,
        details={"model_patch": model_patch, "tests": report},
    )


async def patch_of(workspace: Workspace, instance: Instance, trajectory: Trajectory) -> str:
    """Return what the trajectory has changed, as a patch: the one that it submitted, else all changes since the base
    commit."""
    patch = submitted(trajectory.turns)
    if patch:
        return patch
    fork = await workspace.fork()  # git writes into its folder
    try:
        finished = await fork.run(["sh", "-c", _DIFF, "sh", instance.base_commit], timeout_s=JUDGE_TIMEOUT_S)
    finally:
        await fork.discard()
    return finished.stdout if finished.returncode == 0 else ""


async def passing_tests(place: Place, instance: Instance) -> set[str]:
    """Apply the test patch in `place`, whatever its files are there now, and return the ids of the tests that pass
    there, of all in the files that the instance's lists name."""
    files = sorted(set(re.findall(r"^diff --git a/.* b/(.*)$", instance.test_patch, re.MULTILINE)))
    pieces = [
        instance.test_patch[start : start + _PIECE_CHARS] for start in range(0, len(instance.test_patch), _PIECE_CHARS)
    ]
    words = ["sh", "-c", _APPLY, "sh", instance.base_commit, str(len(files)), *files, *pieces]
    applied = await place.run(words, timeout_s=JUDGE_TIMEOUT_S)
    if applied.returncode != 0:
        return set()  # the repository is not what a patch can be applied to any more
    test_files = sorted({test.split("::")[0] for test in (*instance.fail_to_pass, *instance.pass_to_pass)})
    # Plugins that happen to be installed take ten times as long to load as the tests to run.
    words = in_environment(PYTEST_ALONE, "python", "-m", "pytest")
    options = ("-o", "addopts=", "-p", "no:cacheprovider", "-q", "-rA", "--tb=no", "--color=no")
    finished = await place.run([*words, *options, *test_files], timeout_s=JUDGE_TIMEOUT_S)
    return _passed(finished.stdout.splitlines())


def _passed(lines: Iterable[str]) -> set[str]:
    """Return the tests that the last summary of pytest lists as passed; before it stands what tests have printed."""
    passed: set[str] = set()
    for line in lines:
        if _SUMMARY in line:
            passed.clear()
        elif outcome := _OUTCOME.match(line):
            passed.add(outcome[1] or outcome[2])
    return passed
