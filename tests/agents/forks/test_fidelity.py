"""What a fork carries over to the workspace is what the same commands leave in place, bit for bit, or nothing."""

import asyncio
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agents.forks.methods import Copies, Overlays
from agents.forks.workspace import Workspace
from precall.errors import ForkError
from tests.agents.forks.workspaces import METHODS, folder, run, sandbox, snapshot, write_tree
from tests.agents.sandbox.sandboxes import exists


@pytest.fixture
def root():
    with folder() as path:
        yield path


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


@pytest.mark.parametrize("method", METHODS if os.geteuid() == 0 else METHODS[:1], ids=lambda method: method.name)
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
