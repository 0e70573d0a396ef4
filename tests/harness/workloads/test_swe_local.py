"""The repositories of our own: each has its bug, its tests show it, and its gold patch solves it."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from agents.forks.trees import fingerprint
from agents.swe import bash_agent
from harness.workloads.swe import Instance, _passed, open_workspace, passing_tests
from harness.workloads.swe_local import FOLDER, load_swe_local, local_place, rows, write_repository
from precall.errors import ConfigError
from precall.policy import LaunchPolicy

INSTANCES = [Instance.from_row(row) for row in rows()]
IDS = [instance.instance_id for instance in INSTANCES]
SWE_BENCH_COLUMNS = {
    "repo",
    "instance_id",
    "base_commit",
    "patch",
    "test_patch",
    "problem_statement",
    "hints_text",
    "created_at",
    "version",
    "FAIL_TO_PASS",
    "PASS_TO_PASS",
    "environment_setup_commit",
}


def test_there_are_eight_or_more_each_with_all_columns_of_swe_bench() -> None:
    assert len(rows()) >= 8
    for row in rows():
        assert row.keys() == SWE_BENCH_COLUMNS
        assert all(isinstance(value, str) for value in row.values())
        assert all(json.loads(row[name]) for name in ("FAIL_TO_PASS", "PASS_TO_PASS"))


@pytest.mark.sandbox
@pytest.mark.parametrize("instance", INSTANCES, ids=IDS)
async def test_the_tests_fail_before_the_gold_patch_and_pass_after_it(instance: Instance) -> None:
    async with open_workspace(instance, local_place()) as workspace:
        fork = await workspace.fork()
        before = await passing_tests(fork, instance)
        await fork.discard()
        apply = ["sh", "-c", 'printf %s "$1" | git apply -', "sh", instance.patch]
        assert (await workspace.run(apply, timeout_s=30.0)).returncode == 0
        after = await passing_tests(workspace, instance)
    assert before.isdisjoint(instance.fail_to_pass)
    assert before.issuperset(instance.pass_to_pass)
    assert after.issuperset(instance.fail_to_pass + instance.pass_to_pass)


@pytest.mark.parametrize("instance", INSTANCES, ids=IDS)
def test_the_gold_patch_leaves_the_tests_alone_and_the_test_patch_the_source(instance: Instance) -> None:
    def files(patch: str) -> list[str]:
        return re.findall(r"^diff --git a/.* b/(.*)$", patch, re.MULTILINE)

    assert all(file.startswith("tests/") for file in files(instance.test_patch))
    assert not any(file.startswith("tests/") for file in files(instance.patch))
    assert instance.problem_statement.count("\n") > 5


@pytest.mark.parametrize("instance", INSTANCES, ids=IDS)
def test_a_repository_is_the_same_in_every_copy(instance: Instance, tmp_path: Path) -> None:
    source = FOLDER / instance.instance_id / "repo"
    heads = [write_repository(source, tmp_path / name) for name in ("one", "other")]
    assert heads == [instance.base_commit] * 2
    assert fingerprint(tmp_path / "one", without=(".git",)) == fingerprint(tmp_path / "other", without=(".git",))
    assert len({path.lstat().st_mtime for path in (tmp_path / "one").rglob("*") if ".git" not in path.parts}) == 1


@pytest.mark.sandbox
def test_a_seed_draws_tasks_whose_tools_are_speculable_in_forks_alone() -> None:
    tasks = load_swe_local(bash_agent(), num_tasks=3, seed=1)
    assert [t.task_id for t in tasks] == [t.task_id for t in load_swe_local(bash_agent(), num_tasks=3, seed=1)]
    orders = {tuple(t.task_id for t in load_swe_local(bash_agent(), num_tasks=8, seed=seed)) for seed in range(3)}
    assert len(orders) == 3
    (bash,) = tasks[0].make_tools()
    assert LaunchPolicy().allows(bash)
    assert not LaunchPolicy(is_forking=False).allows(bash)
    named = load_swe_local(bash_agent(), num_tasks=None, seed=0, task_ids=IDS[:2])
    assert Counter(task.task_id for task in named) == Counter(IDS[:2])


@pytest.mark.sandbox
def test_more_tasks_than_there_are_is_refused() -> None:
    with pytest.raises(ConfigError, match=rf"num_tasks is 99; it must be between 1 and {len(INSTANCES)}"):
        load_swe_local(bash_agent(), num_tasks=99, seed=0)


def test_only_what_the_last_summary_lists_has_passed() -> None:
    report = """
____ test_a ____
PASSED tests/test_x.py::forged
= short test summary info =
PASSED tests/test_x.py::test_a
PASSED tests/test_x.py::test_b[a - b]
XFAIL tests/test_x.py::test_c - known
FAILED tests/test_x.py::test_d - AssertionError
"""
    names = ("test_a", "test_b[a - b]", "test_c")
    assert _passed(report.splitlines()) == {f"tests/test_x.py::{name}" for name in names}


def test_a_row_that_is_not_in_the_schema_is_refused() -> None:
    row = rows()[0]
    with pytest.raises(ConfigError, match="no column test_patch"):
        Instance.from_row({name: value for name, value in row.items() if name != "test_patch"})
    with pytest.raises(ConfigError, match=r"FAIL_TO_PASS of .* is 'x'"):
        Instance.from_row({**row, "FAIL_TO_PASS": "x"})
    assert Instance.from_row({**row, "FAIL_TO_PASS": ["a::b"]}).fail_to_pass == ("a::b",)
