"""Forks of a workspace, by copying and by overlay: seen by nobody until they are committed, and then whole."""

import asyncio
import contextlib
import os
import threading
from types import SimpleNamespace

import pytest

from agents.forks.methods import Copies
from agents.forks.trees import copy_tree, fingerprint
from agents.forks.workspace import Workspace
from agents.sandbox.limits import Limit
from precall.errors import ForkError, StaleForkError
from tests.agents.forks.workspaces import METHODS, folder, mounts, run, sandbox, snapshot, write_tree
from tests.agents.sandbox.sandboxes import processes_with


@pytest.fixture
def root():
    with folder() as path:
        yield path


@pytest.fixture(params=METHODS, ids=lambda method: method.name)
async def workspace(request, root):
    before = mounts()
    made = Workspace.create(root / "workspace", write_tree(root), sandbox(), request.param)
    yield made
    await made.aclose()
    left = sorted(path.name for path in made._layout.root.rglob("*") if made.tree not in (path, *path.parents))
    assert left == ["current", "forks", "lock", "states"]
    assert mounts() == before


async def test_a_workspace_starts_as_its_source(workspace, root):
    assert fingerprint(workspace.tree) == fingerprint(root / "source")
    assert (await run(workspace, "cat a d/x; readlink out")).stdout == "aaad/xd/xd/x/etc\n"
    assert workspace.version == 1


async def test_a_fork_sees_the_state_and_nobody_sees_the_fork(workspace):
    before = snapshot(workspace.tree)
    fork, other = await workspace.fork(), await workspace.fork()
    finished = await run(fork, "pwd; cat a; echo new > a; rm -r d; cat a")
    assert finished.stdout == "/workspace\naaanew\n"
    assert snapshot(workspace.tree) == before
    assert (await run(other, "cat a d/x")).stdout == "aaad/xd/xd/x"
    assert workspace.version == 0


async def test_a_committed_fork_is_the_workspace(workspace):
    fork = await workspace.fork()
    await run(fork, "echo new > a; rm -r d")
    assert await fork.commit()
    assert workspace.version == 1
    assert (workspace.tree / "a").read_text() == "new\n"
    assert not (workspace.tree / "d").exists()
    assert (await run(workspace, "cat a")).stdout == "new\n"


async def test_a_fork_of_a_state_that_has_changed_is_never_committed(workspace):
    by_commit, by_run = await workspace.fork(), await workspace.fork()
    await run(by_commit, "echo 1 > a")
    await run(by_run, "echo 2 > a")
    await by_commit.commit()
    with pytest.raises(StaleForkError, match="version 0, the workspace has version 1: run the command anew"):
        await by_run.commit()
    late = await workspace.fork()
    await run(workspace, "true")
    with pytest.raises(StaleForkError):
        await late.commit()
    assert (workspace.tree / "a").read_text() == "1\n"


async def test_forks_one_after_the_other_add_up(workspace):
    for number in range(3):
        fork = await workspace.fork()
        await run(fork, f"echo {number} >> a; mkdir -p n{number}/m; echo x > n{number}/m/f; rm -rf n{number - 1}")
        await fork.commit()
    assert (await run(workspace, "cat a; ls -d n*; cat n2/m/f")).stdout == "aaa0\n1\n2\nn2\nx\n"


async def test_discarding_leaves_nothing_on_the_disk(workspace):
    forks = [await workspace.fork() for _ in range(2)]
    await run(forks[0], "rm -r d; mkdir -p n/m; touch n/m/f; chmod 0 n/m")
    for fork in forks:
        await fork.discard()
    assert list(workspace._layout.forks.iterdir()) == []
    assert list(workspace._layout.states.iterdir()) == [workspace.tree]


async def test_a_fork_that_outgrows_its_limit_is_stopped(workspace):
    fork = await workspace.fork()
    finished = await run(fork, "for i in 1 2 3 4 5 6 7 8 9 10; do head -c 2M /dev/zero > big$i; done; sleep 9")
    assert finished.stopped_by is Limit.SIZE
    assert finished.duration_s < 5.0


async def test_a_command_that_outlasts_its_time_in_a_fork_leaves_no_process_and_no_mount(workspace):
    before, word = mounts(), f"precall-fork-{os.getpid()}"
    fork = await workspace.fork()
    code = f"trap '' TERM; (setsid bash -c 'trap \"\" TERM; sleep 30; : {word}' &); sleep 30; : {word}"
    finished = await run(fork, code, timeout_s=0.4)
    assert finished.is_timed_out
    assert processes_with(word) == []
    assert mounts() == before


async def test_a_commit_that_is_cancelled_happens_or_does_not_and_the_workspace_goes_on(workspace):
    fork = await workspace.fork()
    await run(fork, "echo new > a; echo new > b")
    committing = asyncio.create_task(fork.commit())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    committing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await committing
    await fork.discard()
    finished = await run(workspace, "cat a b")
    assert finished.stdout in ("aaabbb", "new\nnew\n")


async def test_what_comes_after_a_cancelled_commit_waits_until_its_thread_has_ended(workspace):
    fork = await workspace.fork()
    await run(fork, "echo new > a")
    is_committing, may_commit, commit = threading.Event(), threading.Event(), fork.tree.commit

    def commit_slowly():
        is_committing.set()
        may_commit.wait(10.0)
        return commit()

    fork.tree = SimpleNamespace(commit=commit_slowly, view=fork.tree.view)
    committing = asyncio.create_task(fork.commit())
    await asyncio.to_thread(is_committing.wait, 10.0)
    committing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await committing
    discarding, running = asyncio.create_task(fork.discard()), asyncio.create_task(run(workspace, "cat a"))
    await asyncio.sleep(0.1)
    may_commit.set()
    await discarding
    assert (await running).stdout == "new\n"


async def test_a_fork_whose_making_is_cancelled_is_removed(workspace):
    making = asyncio.create_task(workspace.fork())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    making.cancel()
    with pytest.raises(asyncio.CancelledError):
        await making
    await workspace.settle()
    assert list(workspace._layout.forks.iterdir()) == []
    assert list(workspace._layout.states.iterdir()) == [workspace.tree]


async def test_a_command_that_changes_nothing_leaves_the_other_forks_fresh(workspace):
    reading, writing = await workspace.fork(), await workspace.fork()
    await run(reading, "cat a; ls -R; : > /tmp/x")
    await run(writing, "echo new > a")
    assert not await reading.commit()
    assert workspace.version == 0
    assert await writing.commit()
    assert (workspace.version, (workspace.tree / "a").read_text()) == (1, "new\n")


async def test_a_look_at_the_workspace_leaves_forks_fresh_and_sees_what_was_committed(workspace):
    fork = await workspace.fork()
    assert (await workspace.look(["cat", "a"], timeout_s=10.0)).stdout == "aaa"
    await run(fork, "echo new > a")
    committing = asyncio.create_task(fork.commit())
    await asyncio.sleep(0)  # it starts the commit's own task
    await asyncio.sleep(0)  # which takes the workspace
    seen = await workspace.look(["cat", "a"], timeout_s=10.0)
    assert (await committing, seen.stdout, workspace.version) == (True, "new\n", 1)


def test_a_fingerprint_can_leave_out_names_at_any_depth(root):
    source = write_tree(root)
    first = fingerprint(source, without=("deep",))
    (source / "d" / "deep" / "er" / "w").write_text("other")
    assert fingerprint(source, without=("deep",)) == first
    (source / "d" / "x").write_text("other")
    assert fingerprint(source, without=("deep",)) != first
    assert fingerprint(source) == fingerprint(source, without=())


async def test_a_change_that_hides_behind_the_same_size_and_time_is_a_change(workspace):
    fork = await workspace.fork()
    await run(fork, "printf bab > b; touch -d @1000000000 b; touch -r d/y d")
    assert await fork.commit()
    assert (workspace.tree / "b").read_text() == "bab"


async def test_no_link_is_followed_by_a_fork_a_commit_or_a_removal(root, workspace):
    outside = root / "outside"
    (outside / "d").mkdir(parents=True)
    (outside / "f").write_text("outside")
    before = snapshot(outside)
    # As programs leave them: one to a folder, one to a file, one up and out.
    for name, target in (("to", outside), ("file", outside / "f"), ("up", "../../../outside")):
        await run(workspace, f"ln -s '{target}' {name}")
    print_all = fingerprint(workspace.tree)
    (outside / "f").write_text("changed")
    assert fingerprint(workspace.tree) == print_all
    (outside / "f").write_text("outside")
    os.utime(outside / "f", ns=(before["f"][-1], before["f"][-1]))
    fork = await workspace.fork()
    await run(
        fork, f"rm to up; mkdir -p to/d up; echo x > to/f; echo x > up/f; ln -s '{outside}/d' d/out; chmod 700 to"
    )
    assert await fork.commit()
    fork = await workspace.fork()
    await run(fork, f"rm -r to d; ln -s '{outside}' to; ln -s '{outside}' d; rm file; echo x > file")
    assert await fork.commit()
    assert snapshot(outside) == before
    assert (workspace.tree / "file").read_text() == "x\n"
    assert os.readlink(workspace.tree / "d") == str(outside)


async def test_a_fork_of_a_full_disk_is_an_error_and_leaves_nothing(root, monkeypatch):
    workspace = Workspace.create(root / "workspace", write_tree(root), sandbox(), Copies())

    def copy_half(layout, fork):
        (layout.states / fork / "half").mkdir(parents=True)
        raise ForkError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Copies, "make", lambda self, layout, fork: copy_half(layout, fork))
        with pytest.raises(ForkError, match="No space left on device"):
            await workspace.fork()
    assert list(workspace._layout.states.iterdir()) == [workspace.tree]
    await workspace.aclose()


def test_a_tree_that_cannot_be_copied_is_an_error_that_says_why(root):
    with pytest.raises(ForkError, match=r"missing could not be copied: .*No such file"):
        copy_tree(root / "missing", root / "copy")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may enter every folder")
async def test_a_fork_of_folders_that_nobody_may_enter_is_an_error_or_an_overlay(workspace):
    await run(workspace, "chmod 0 d")
    before, is_committed = workspace.version, False
    with contextlib.suppress(ForkError):
        fork = await workspace.fork()
        await run(fork, "rm a")
        is_committed = await fork.commit()
    assert (workspace.tree / "a").exists() is not is_committed, "a fork that failed has changed nothing"
    assert (workspace.version > before) is is_committed
