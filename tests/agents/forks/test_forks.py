"""Forks of a workspace, by copying and by overlay: seen by nobody until they are committed, and then whole."""

import asyncio
import contextlib
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.forks.methods import Copies, Overlays
from agents.forks.trees import copy_tree, fingerprint
from agents.forks.workspace import Workspace
from agents.sandbox.limits import Limit
from precall.errors import ForkError, StaleForkError
from tests.agents.forks.workspaces import METHODS, folder, mounts, sandbox, snapshot, write_tree
from tests.agents.sandbox.sandboxes import exists, processes_with, shell


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


async def run(place, text, timeout_s=10.0):
    return await place.run(shell(text), timeout_s=timeout_s)


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


async def test_a_fork_whose_making_is_cancelled_is_removed(workspace):
    making = asyncio.create_task(workspace.fork())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    making.cancel()
    with pytest.raises(asyncio.CancelledError):
        await making  # the fixture sees that nothing is left


EVERYTHING = """
set -e
chmod 4751 b; chmod 700 d; chmod 555 d/deep/er
mv a renamed; cp -a d/deep moved; chmod 755 d/deep/er; rm -r d/deep; mv gone/1 d/1; rm -r gone
rmdir empty; mkdir -p empty2/in/in
head -c 70000 /dev/zero | tr '\\0' '\\377' > bytes; printf '\\0\\1' >> binary; : > nothing
rm link; ln -s renamed link; ln -s ../../.. up; rm out; mkdir out; echo inside > out/passwd
rm dangling; echo x > dangling; rm d/x; mkdir d/x; echo x > d/x/x; ln bytes hard; mkfifo pipe
mkdir again; echo 1 > again/1; rm -r again; mkdir again; echo 2 > again/2
chmod 755 moved/er; rm -r moved/er; mkdir moved/er; chmod 500 moved/er
echo ü > "a b'c\n"; touch -d @1234567890.5 b renamed bytes moved/z empty2 d . out
"""


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
async def test_bits_owners_times_links_empty_folders_deletions_and_renames_survive(root, method):
    source = write_tree(root)
    in_place = Workspace.create(root / "in_place", source, sandbox(), method)
    forked = Workspace.create(root / "forked", source, sandbox(), method)
    assert (await run(in_place, EVERYTHING)).stderr == ""
    fork = await forked.fork()
    assert (await run(fork, EVERYTHING)).stderr == ""
    await fork.commit()
    assert snapshot(forked.tree, with_times=False) == snapshot(in_place.tree, with_times=False)
    for name in (".", "b", "renamed", "bytes", "moved/z", "empty2", "d", "out"):
        assert (forked.tree / name).lstat().st_mtime_ns == 1234567890_500_000_000, name
    assert (forked.tree / "d/y").stat().st_mtime_ns == 10**18
    assert exists("/etc/passwd")
    # And once more, so that what a commit has left behind is what a next fork stands on.
    more = "chmod 700 moved/er; echo 3 > again/3; rm -r out; ln -s /etc out; echo y >> binary; cat again/*"
    assert (await run(in_place, more)).stdout == "2\n3\n"
    fork = await forked.fork()
    assert (await run(fork, more)).stdout == "2\n3\n"
    await fork.commit()
    assert snapshot(forked.tree, with_times=False) == snapshot(in_place.tree, with_times=False)
    await in_place.aclose()
    await forked.aclose()


def is_nested(one, other):
    return f"{one}/".startswith(f"{other}/") or f"{other}/".startswith(f"{one}/")


NAMES = st.sampled_from(["a", "b", "d", "d/x", "d/deep", "d/deep/z", "gone", "empty", "link", "n", "n/m"])
STEPS = st.one_of(
    st.builds("rm -rf {}".format, NAMES),
    st.builds("mkdir -p {}".format, NAMES),
    st.builds("echo {1} >> {0}".format, NAMES, st.integers(0, 9)),
    st.builds("mv -fT {} {}".format, NAMES, NAMES),
    # Where the one is in the other, what is copied depends on the order of a listing, which nobody promises.
    st.builds("cp -aT {} {}".format, NAMES, NAMES).filter(lambda line: not is_nested(*line.split()[2:])),
    st.builds("ln -s {} {}".format, NAMES, NAMES),
    st.builds("chmod {1} {0}".format, NAMES, st.sampled_from(["700", "755", "711"])),
)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(scripts=st.lists(st.lists(STEPS, min_size=3, max_size=15), min_size=2, max_size=2))
def test_any_commands_in_committed_forks_leave_what_they_leave_in_place(method, scripts):
    async def main():
        with folder() as root:
            source = write_tree(root)
            in_place = Workspace.create(root / "in_place", source, sandbox(), method)
            forked = Workspace.create(root / "forked", source, sandbox(), method)
            for script in scripts:
                text = "\n".join(script)
                fork = await forked.fork()
                one, other = await asyncio.gather(run(in_place, text), run(fork, text))
                assert (one.stdout, one.stderr, one.returncode) == (other.stdout, other.stderr, other.returncode)
                try:
                    await fork.commit()
                except ForkError:
                    await run(forked, text)
                assert snapshot(forked.tree, with_times=False) == snapshot(in_place.tree, with_times=False)
            await in_place.aclose()
            await forked.aclose()

    asyncio.run(main())


async def test_a_command_that_changes_nothing_leaves_the_other_forks_fresh(workspace):
    reading, writing = await workspace.fork(), await workspace.fork()
    await run(reading, "cat a; ls -R; : > /tmp/x")
    await run(writing, "echo new > a")
    assert not await reading.commit()
    assert workspace.version == 0
    assert await writing.commit()
    assert (workspace.version, (workspace.tree / "a").read_text()) == (1, "new\n")


async def test_a_change_that_hides_behind_the_same_size_and_time_is_a_change(workspace):
    fork = await workspace.fork()
    await run(fork, "printf bab > b; touch -d @1000000000 b; touch -r d/y d")
    assert await fork.commit()
    assert (workspace.tree / "b").read_text() == "bab"


@pytest.mark.skipif(os.geteuid() != 0, reason="the overlays of ordinary users cannot rename folders")
@pytest.mark.parametrize("text", ["mv d moved", "mkdir n; mv d n", "mv d gone/d", "mv d t; mv gone d; mv t gone"])
async def test_an_overlay_lets_a_folder_be_renamed_and_then_refuses_to_be_committed(root, text):
    workspace = Workspace.create(root / "workspace", write_tree(root), sandbox(), Overlays())
    before = snapshot(workspace.tree)
    fork = await workspace.fork()
    rename = "python -I -S -c \"import os; os.rename('empty', 'renamed')\""
    assert (await run(fork, f"{rename}; {text}")).stderr == ""
    with pytest.raises(ForkError, match="folder of the tree that was renamed"):
        await fork.commit()
    assert (workspace.version, snapshot(workspace.tree)) == (0, before)
    await workspace.aclose()


@pytest.mark.parametrize("text", ["echo x >> one", "rm one", "mv one three", "rm -r h", "rm -r h; mkdir h"])
async def test_an_overlay_that_would_part_hard_links_is_not_committed(root, text):
    source = write_tree(root)
    (source / "h").mkdir()
    (source / "one").write_text("1")
    (source / "h/two").hardlink_to(source / "one")
    workspace = Workspace.create(root / "workspace", source, sandbox(), Overlays())
    before = snapshot(workspace.tree)
    fork = await workspace.fork()
    await run(fork, text)
    with pytest.raises(ForkError, match="hard links"):
        await fork.commit()
    assert (workspace.version, snapshot(workspace.tree)) == (0, before)
    await workspace.aclose()


async def test_a_copy_keeps_hard_links_among_its_files_and_shares_none_with_the_original(root):
    source = write_tree(root)
    (source / "one").write_text("1")
    (source / "two").hardlink_to(source / "one")
    workspace = Workspace.create(root / "workspace", source, sandbox(), Copies())
    fork = await workspace.fork()
    await run(fork, "echo 2 >> one")
    assert (workspace.tree / "two").read_text() == "1"
    await fork.commit()
    assert (workspace.tree / "two").read_text() == "12\n"
    await workspace.aclose()


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
    with contextlib.suppress(ForkError):
        fork = await workspace.fork()
        await run(fork, "rm a")
        await fork.commit()
