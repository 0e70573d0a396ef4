"""Running a command in the sandbox: what comes back, and that nothing stays behind."""

import asyncio
import os
import signal
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import pytest

from agents.sandbox.bubblewrap import Bubblewrap
from agents.sandbox.launch import HOST_ENVIRONMENT, Launch, ReadOnly
from agents.sandbox.limits import Limit
from agents.sandbox.results import SandboxError
from agents.sandbox.sandbox import Sandbox
from tests.agents.sandbox.sandboxes import SMALL, empty_workspace, exists, processes_with, python, shell

PREFIX = Path(sys.prefix).resolve()


@pytest.fixture
def workspace():
    with empty_workspace() as folder:
        yield folder


async def run(command, workspace, timeout_s=10.0, **limits):
    return await Sandbox(replace(SMALL, **limits)).run(command, workspace, timeout_s=timeout_s)


async def test_output_and_exit_code_come_back_and_what_is_written_stays(workspace):
    finished = await run(shell("pwd; echo ü >&2; echo text > made; exit 3"), workspace)
    assert (finished.returncode, finished.stdout, finished.stderr) == (3, "/workspace\n", "ü\n")
    assert finished.stopped_by is None
    assert not finished.is_timed_out
    assert 0.0 < finished.duration_s < 10.0
    assert (workspace / "made").read_text() == "text\n"


async def test_an_exit_code_tells_the_signal_that_ended_a_command(workspace):
    assert (await run(shell("kill -SEGV $$"), workspace)).returncode == 128 + 11


async def test_the_environment_is_fixed_and_has_this_python_first(workspace):
    code = "import os, sys; print(sys.prefix); print(sorted(os.environ), os.environ['HOME'])"
    finished = await run(["python", "-c", code], workspace)
    names = ["HOME", "LANG", "PATH", "PWD", "PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED", "TZ"]
    assert finished.stdout == f"{PREFIX}\n{names} /tmp\n"


@pytest.mark.parametrize("stream", [1, 2])
async def test_output_above_its_limit_keeps_its_first_and_last_part(workspace, stream):
    code = f"import os\nos.write({stream}, b'first' + b'x' * 500_000 + b'last')"
    finished = await run(python(code), workspace, max_output_kib=2)
    text = finished.stdout if stream == 1 else finished.stderr
    assert text.startswith("firstx")
    assert text.endswith("xlast")
    assert f"\n[{500_009 - 2048} bytes cut]\n" in text
    assert len(text) < 2100


async def test_output_without_an_end_neither_fills_memory_nor_outlasts_the_time_out(workspace):
    finished = await run(["yes"], workspace, timeout_s=0.3)
    assert finished.stopped_by is Limit.TIME
    assert len(finished.stdout) < SMALL.max_output_kib * 1024 + 100


async def test_a_command_that_waits_for_input_gets_none(workspace):
    assert (await run(["cat"], workspace)).returncode == 0


async def test_processes_in_the_background_end_with_the_command(workspace):
    word = f"precall-behind-{os.getpid()}"
    code = f"(setsid bash -c 'sleep 30; : {word}' &) ; sleep 30 & echo done"
    finished = await run(shell(code), workspace)
    assert (finished.returncode, finished.stdout) == (0, "done\n")
    assert finished.duration_s < 5.0
    assert processes_with(word) == []


async def test_cancelling_kills_everything_before_it_returns(workspace):
    word = f"precall-cancelled-{os.getpid()}"
    code = f"trap '' TERM; touch started; (setsid bash -c 'sleep 30; : {word}' &); sleep 30; : {word}"
    running = asyncio.create_task(run(shell(code), workspace))
    async with asyncio.timeout(10.0):
        while not exists(f"{workspace}/started"):  # noqa: ASYNC110 - another process makes it
            await asyncio.sleep(0.01)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert processes_with(word) == []


@pytest.mark.parametrize("num_steps", [1, 2, 5, 20])
async def test_cancelling_during_the_set_up_leaves_no_process_and_no_descriptor(workspace, num_steps):
    word = f"precall-early-{os.getpid()}"
    num_open = len(os.listdir("/proc/self/fd"))
    running = asyncio.create_task(run(shell(f"sleep 30; : {word}"), workspace))
    for _ in range(num_steps):
        await asyncio.sleep(0.0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert processes_with(word) == []
    assert len(os.listdir("/proc/self/fd")) == num_open


@pytest.mark.parametrize("delay_s", [0.0, 0.01, 0.02, 0.04, 0.08])
def test_whenever_this_process_is_killed_nothing_stays_behind(workspace, delay_s):
    word = f"precall-killed-{os.getpid()}"
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(run(shell(f"sleep 30; : {word}"), workspace, timeout_s=30.0))
        finally:
            os._exit(1)
    time.sleep(delay_s)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    until_s = time.monotonic() + 5.0
    try:
        while [path for path in processes_with(word) if not is_waiting_for_ever(path)]:
            assert time.monotonic() < until_s, processes_with(word)
            time.sleep(0.01)
    finally:
        for path in processes_with(word):
            os.kill(int(path.parent.name), signal.SIGKILL)


def is_waiting_for_ever(path):
    """Whether this is bubblewrap's own first process, which its parent left before it had told it to go on. There is a
    millisecond in which that can happen; no command runs in it, ever."""
    return path.read_bytes().startswith(b"bwrap\0") and int((path.parent / "stat").read_text().split()[3]) == 1


async def test_no_descriptor_is_left_open(workspace):
    await run(["true"], workspace)
    num_open = len(os.listdir("/proc/self/fd"))
    for command in (["true"], ["no-such-program"], ["sleep", "9"]):
        await run(command, workspace, timeout_s=0.2)
    assert len(os.listdir("/proc/self/fd")) == num_open


async def test_a_program_that_does_not_exist_is_the_commands_failure_not_the_sandboxes(workspace):
    finished = await run(["no-such-program"], workspace)
    assert finished.returncode == 127
    assert "no-such-program" in finished.stderr


class Broken:
    """Asks bubblewrap for a folder that does not exist."""

    def launch(self, command, view, limits, gate):
        launch = Bubblewrap().launch(command, view, limits)
        words = [word.replace("/usr", "/no-such-folder") for word in launch.arguments]
        return Launch(arguments=words, descriptors=launch.descriptors, status=launch.status)


async def test_a_set_up_that_fails_is_an_error_that_says_why_and_what_to_do(workspace):
    with pytest.raises(SandboxError, match=r"no-such-folder.*bubblewrap needs version 0.8"):
        await Sandbox(SMALL, Broken()).run(["true"], workspace, timeout_s=5.0)


class Hanging:
    """Never gets as far as the gate."""

    def launch(self, command, view, limits, gate):
        return Launch(arguments=["sleep", "60"])


async def test_a_set_up_that_does_not_end_is_an_error_and_is_killed(workspace, monkeypatch):
    monkeypatch.setattr("agents.sandbox.processes.SETUP_TIMEOUT_S", 0.1)
    with pytest.raises(SandboxError, match=r"not set up within 0\.1 s"):
        await Sandbox(SMALL, Hanging()).run(["true"], workspace, timeout_s=5.0)


def test_a_machine_of_another_kind_is_refused(monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    with pytest.raises(SandboxError, match="The machine is aarch64"):
        Sandbox()


def test_a_missing_bubblewrap_is_an_error_with_the_line_that_installs_it(monkeypatch):
    monkeypatch.setitem(HOST_ENVIRONMENT, "PATH", "/nowhere")
    with pytest.raises(SandboxError, match="apt install bubblewrap"):
        Sandbox()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands over to another user")
async def test_a_workspace_that_belongs_to_root_is_refused_with_the_remedy(workspace):
    os.chown(workspace, 0, 0)
    with pytest.raises(SandboxError, match="give_tree_to_sandbox"):
        await run(["true"], workspace)


async def test_many_commands_run_at_once(workspace):
    code = "touch started-{}; until [ $(ls -d started-* | wc -l) = 4 ]; do sleep 0.02; done"
    finished = await asyncio.gather(*(run(shell(code.format(n)), workspace) for n in range(4)))
    assert [one.returncode for one in finished] == [0] * 4


@pytest.fixture
def prefix_below_tmp():
    with tempfile.TemporaryDirectory(dir="/tmp") as prefix:
        Path(prefix, "seen").write_text("yes")
        Path(prefix).chmod(0o755)
        yield Path(prefix)


@pytest.mark.parametrize("is_writable", [True, False])
async def test_a_python_below_tmp_is_seen_and_tmp_is_as_writable_as_it_should(prefix_below_tmp, is_writable):
    launcher = Bubblewrap()
    launcher._prefixes = [*launcher._prefixes, prefix_below_tmp]
    with empty_workspace() as workspace:
        view = workspace if is_writable else ReadOnly(folder=workspace)
        command = shell(f"cat {prefix_below_tmp}/seen; touch /tmp/new || touch /dev/shm/new && echo written")
        finished = await Sandbox(SMALL, launcher).run(command, view, timeout_s=10.0)
    assert finished.stdout == ("yeswritten\n" if is_writable else "yes"), finished.stderr
