"""Starting, watching and ending server processes, with a fake server."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from precall.errors import BackendError

CHECKOUT = Path(__file__).parents[3]
HOLD_SERVER = Path(__file__).with_name("hold_server.py")


async def test_a_server_is_up_inside_the_block_and_gone_after_it(make_server, witness):
    async with make_server("--pids", str(witness.path)) as server:
        await server.check_alive()
        witness.see(3)
        assert {process.pid for process in witness.processes} <= {process.pid for process in server.tree()}
    assert witness.gone(within_s=0)


async def test_entering_waits_for_a_slow_server(make_server):
    started_s = time.monotonic()
    async with make_server("--slow-s", "0.6"):
        assert time.monotonic() - started_s >= 0.6


async def test_a_server_that_ends_early_raises_with_the_last_lines_of_its_log(make_server, tmp_path):
    with pytest.raises(BackendError) as caught:
        async with make_server("--crash"):
            pass
    message = str(caught.value)
    assert "The target server ended with exit status 1 before http://127.0.0.1:" in message
    assert "| the model folder has no config" in message
    assert "part [29]" in message and "part [11]" in message and "part [10]" not in message
    assert message.endswith(f"The whole log: {tmp_path / 'target.log'}")


async def test_a_log_of_an_earlier_start_is_kept_and_not_quoted(make_server, tmp_path):
    (tmp_path / "target.log").write_text("an earlier start\n")
    with pytest.raises(BackendError) as caught:
        async with make_server("--crash"):
            pass
    assert "an earlier start" not in str(caught.value)
    assert (tmp_path / "target.log").read_text().startswith("an earlier start\n")


async def test_a_command_that_cannot_be_started_raises_with_the_reason(make_server):
    server = make_server()
    server._command = lambda port: ["no-such-command"]
    with pytest.raises(BackendError, match=r"exit status 127(.|\n)*cannot start no-such-command"):
        async with server:
            pass


async def test_a_server_that_is_never_healthy_is_ended_when_the_time_is_over(make_server, witness):
    server = make_server("--slow-s", "60", "--pids", str(witness.path), start_timeout_s=1.0)
    with pytest.raises(BackendError, match=r"within start_timeout_s = 1\. Raise start_timeout_s"):
        async with server:
            pass
    pids = witness.path.read_text().split()
    assert len(pids) == 3
    assert not [pid for pid in pids if psutil.pid_exists(int(pid))]


async def test_cancelling_a_start_ends_the_server(make_server, witness):
    async def start() -> None:
        async with make_server("--slow-s", "60", "--pids", str(witness.path)):
            pass

    task = asyncio.create_task(start())
    await asyncio.to_thread(witness.see, 3)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert witness.gone(within_s=0)


async def test_processes_that_ignore_sigterm_are_killed_after_the_stop_timeout(make_server, witness):
    async with make_server("--stubborn", "--pids", str(witness.path), stop_timeout_s=0.3):
        witness.see(3)
        started_s = time.monotonic()
    assert 0.3 <= time.monotonic() - started_s < 2
    assert witness.gone(within_s=0)


async def test_check_alive_raises_once_the_server_has_died(make_server, witness):
    async with make_server("--pids", str(witness.path), stop_timeout_s=0.3) as server:
        witness.see(3)
        server.tree()[1].kill()
        assert await asyncio.to_thread(witness.gone, 3.0)
        await asyncio.to_thread(wait_for_zombie, server.tree()[0])
        with pytest.raises(BackendError, match=r"ended with exit status 137 \(SIGKILL\) while it was needed"):
            await server.check_alive()


async def test_children_of_a_killed_supervisor_are_ended_on_leaving_the_block(make_server, witness):
    async with make_server("--stubborn", "--pids", str(witness.path)) as server:
        witness.see(3)
        os.kill(server.pid, signal.SIGKILL)
    stray = witness.processes.pop()  # out of the group, and its subreaper is dead
    stray.kill()
    assert witness.gone(within_s=1)


def wait_for_zombie(process: psutil.Process) -> None:
    until_s = time.monotonic() + 5
    while process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < until_s:
        time.sleep(0.02)


def hold_server(witness, tmp_path: Path, *options: str) -> subprocess.Popen[str]:
    holder = subprocess.Popen(
        [sys.executable, str(HOLD_SERVER), str(witness.path), str(tmp_path), *options],
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert holder.stdout is not None and holder.stdout.readline() == "up\n"
    witness.see(3)
    return holder


@pytest.mark.parametrize("options", [(), ("--stubborn",)])
def test_no_process_is_left_when_the_parent_is_killed(witness, tmp_path, options):
    with hold_server(witness, tmp_path, *options) as holder:
        assert len(witness.running()) == 3
        holder.kill()
    assert witness.gone(within_s=3)


def test_no_process_is_left_after_ctrl_c(witness, tmp_path):
    with hold_server(witness, tmp_path) as holder:
        holder.send_signal(signal.SIGINT)
        holder.wait(timeout=5)
    assert witness.gone(within_s=0)


async def test_cpu_seconds_cover_the_children(make_server, witness):
    async with make_server("--pids", str(witness.path), "--burn-s", "0.3") as server:
        witness.see(3)
        assert 0.3 <= server.cpu_seconds() < 3


async def test_a_nice_server_gives_way_to_this_process(make_server):
    async with make_server(niceness=7) as server:
        assert [process.nice() for process in server.tree()] == [os.nice(0) + 7] * 2
        assert os.getsid(server.pid) == os.getsid(0), "niceness may count within a session alone"


async def test_a_server_runs_on_its_start_cores_only(make_server):
    core = min(os.sched_getaffinity(0))
    async with make_server(start_cores=frozenset({core})) as server:
        assert [process.cpu_affinity() for process in server.tree()] == [[core], [core]]
