"""A process that dies at any point between a hit and the end of its commit: the workspace is as before or as after."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from agents.forks.layout import Layout
from agents.forks.methods import OverlaidTree
from agents.forks.trees import copy_tree, fingerprint, remove_tree
from agents.forks.workspace import Workspace
from precall.errors import ConfigError
from tests.agents.forks.workspaces import METHODS, folder, mounts, sandbox, snapshot, write_tree
from tests.agents.sandbox.sandboxes import processes_with, shell

CHANGES = """
echo new > a; rm -r gone; mkdir -p n/m; echo 1 > n/m/f; rm b; mv d/x d/y; rm -r d/deep; mkdir d/deep; echo 2 > d/deep/g
rm link; mkdir link; echo 3 > link/h; rm -r empty; echo 4 > empty; chmod 500 d; ln -s n/m m; touch -d @1000000000 n .
"""
# Before any of these happens, the process can die; between two of them there is nothing to be seen from outside.
DEADLY = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.symlink", "os.chmod", "os.utime", "os.removexattr"}
DEADLY |= {"subprocess.Popen", "os.truncate", "open", "write"}


@pytest.fixture
def root():
    with folder() as path:
        yield path


def die_at(number, function):
    """Run `function` in a child that ends without a word before its deadly step `number`; return whether it did."""
    child = os.fork()
    if child == 0:
        num_steps = 0

        def count(event, arguments):
            nonlocal num_steps
            if event in DEADLY and not (event == "open" and arguments[1] == "r"):
                num_steps += 1
                if num_steps == number:
                    os._exit(9)

        def write_in_steps(path, text):
            with path.open("w") as file:
                for part in (text[: len(text) // 2], text[len(text) // 2 :]):
                    count("write", ())
                    file.write(part)
                    file.flush()

        try:
            sys.addaudithook(count)
            Path.write_text = write_in_steps
            function()
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) in (0, 9)
    return os.waitstatus_to_exitcode(status) == 9


async def prepare(root, method):
    """Return the trees before and after, and what commits the fork that lies in a copy of the workspace."""
    workspace = Workspace.create(root / "prepared", write_tree(root), sandbox(), method)
    fork = await workspace.fork()
    assert (await fork.run(shell(CHANGES), timeout_s=10.0)).returncode == 0
    before = snapshot(workspace.tree)
    for work in (root / "prepared" / "forks").glob("*/work"):
        remove_tree(work)  # the kernel's, and closed to an ordinary user's copying
    copy_tree(root / "prepared", root / "kept")
    await fork.commit()
    after = snapshot(workspace.tree)
    assert before != after
    await workspace.aclose()
    tree = fork.tree

    def commit_in(copy):
        layout = Layout(root=copy)
        if isinstance(tree, OverlaidTree):
            replace(tree, layout=layout, view=replace(tree.view, root=copy)).commit()
        else:
            replace(tree, layout=layout).commit()

    return before, after, commit_in


def recovered(copy):
    """Return the tree of a workspace that has been put in order, and has nothing in it but what belongs there."""
    layout = Layout(root=copy)
    layout.recover()
    assert sorted(path.name for path in copy.iterdir() if path.name != "lock") == ["current", "forks", "states"]
    assert list(layout.states.iterdir()) == [layout.current.resolve()]
    assert list(layout.forks.iterdir()) == []
    return snapshot(layout.current.resolve())


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_death_at_any_step_of_a_commit_leaves_the_state_before_or_after(root, method):
    before, after, commit_in = asyncio.run(prepare(root, method))
    states, number = [], 1
    while True:
        copy = root / "copy"
        copy_tree(root / "kept", copy)
        has_died = die_at(number, lambda copy=copy: commit_in(copy))
        seen = recovered(copy)
        assert seen in (before, after), f"torn at step {number}"
        states.append(seen == after)
        remove_tree(copy)
        if not has_died:
            break
        number += 1
    assert states == sorted(states)  # what has been decided stays decided
    assert states[0] is False
    assert states[-1] is True


def test_death_during_the_recovery_from_a_death_changes_nothing(root):
    method = METHODS[1]
    before, after, commit_in = asyncio.run(prepare(root, method))
    seen = []
    for number in (6, 14, 19, 25, 40):
        for again in (2, 5, 9, 17, 29):
            copy = root / "copy"
            copy_tree(root / "kept", copy)
            die_at(number, lambda copy=copy: commit_in(copy))
            die_at(again, lambda copy=copy: Layout(root=copy).recover())
            state = recovered(copy)
            assert state in (before, after), f"torn at step {number}, then at step {again}"
            seen.append(state == after)
            remove_tree(copy)
    assert set(seen) == {False, True}


ABANDON = """
import asyncio, sys
from pathlib import Path
from agents.forks.workspace import Workspace
from tests.agents.forks.workspaces import METHODS, sandbox

async def main():
    root, word, number = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    workspace = Workspace.create(root / "workspace", root / "source", sandbox(), METHODS[number])
    forks = [await workspace.fork() for _ in range(3)]
    command = ["bash", "-c", f"rm -r d; touch started; sleep 60; : {word}"]
    await asyncio.gather(*(fork.run(command, timeout_s=60.0) for fork in forks))

asyncio.run(main())
"""


async def open_and_close(folder, method):
    await Workspace.open(folder, sandbox(), method).aclose()


@pytest.mark.parametrize("number", [0, 1], ids=["copy", "overlay"])
def test_a_killed_process_leaves_no_process_and_no_mount_and_its_forks_are_cleaned_up_when_next_opened(root, number):
    source, word, mounted = write_tree(root), f"precall-abandoned-{os.getpid()}", mounts()
    process = subprocess.Popen([sys.executable, "-c", ABANDON, root, word, str(number)], cwd=Path.cwd())
    until_s = time.monotonic() + 30.0
    while len(list((root / "workspace").glob("*/*/**/started"))) < 3:
        assert time.monotonic() < until_s
        time.sleep(0.05)
    with pytest.raises(ConfigError, match="open in another process"):
        Workspace.open(root / "workspace", sandbox(), METHODS[number])
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    while processes_with(word):  # the kernel takes a moment to end them
        assert time.monotonic() < until_s
        time.sleep(0.01)
    asyncio.run(open_and_close(root / "workspace", METHODS[number]))
    assert fingerprint(root / "workspace" / "current") == fingerprint(source)
    assert mounts() == mounted


async def test_a_commit_that_fails_after_it_was_decided_is_finished_by_whatever_comes_next(root, monkeypatch):
    workspace = Workspace.create(root / "workspace", write_tree(root), sandbox(), METHODS[1])
    fork, other = await workspace.fork(), await workspace.fork()
    await fork.run(shell("echo new > a; rm b"), timeout_s=10.0)
    with monkeypatch.context() as patch:
        patch.setattr("agents.forks.layout.carry_out", lambda *_: os.listdir("/no-such-folder"))
        with pytest.raises(OSError, match="no-such-folder"):
            await fork.commit()
    finished = await workspace.run(shell("cat a b"), timeout_s=10.0)
    assert finished.stdout == "new\n"
    assert workspace.version == 2
    await other.discard()
    await workspace.aclose()


def test_a_folder_without_a_workspace_is_refused(root):
    with pytest.raises(ConfigError, match="holds no workspace"):
        Workspace.open(root, sandbox(), METHODS[0])
    with pytest.raises(ConfigError, match="is not empty"):
        Workspace.create(root, write_tree(root), sandbox(), METHODS[0])
