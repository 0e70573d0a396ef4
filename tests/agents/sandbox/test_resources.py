"""What a sandboxed command may use up. Each test asks for little more than its limit, and is refused or stopped."""

import asyncio
import os
import time
from dataclasses import replace

import pytest

from agents.sandbox.limits import Limit
from agents.sandbox.sandbox import Sandbox
from agents.sandbox.watch import exceeded_by_processes
from tests.agents.sandbox.sandboxes import SMALL, attempt, empty_workspace, processes_with, python, shell


@pytest.fixture
def workspace():
    with empty_workspace() as folder:
        yield folder


FORK_BOMB = """
import os, time
num_children = 0
for _ in range(60):
    try:
        if os.fork() == 0:
            time.sleep(5)
            os._exit(0)
        num_children += 1
    except OSError as error:
        print(num_children, error.errno)
        break
"""


async def test_a_fork_bomb_is_refused_its_processes(workspace):
    finished = await attempt(python(FORK_BOMB), workspace)
    num_children, error = map(int, finished.stdout.split())
    assert num_children < SMALL.max_processes
    assert error == 11  # EAGAIN
    assert finished.duration_s < 5.0  # the children ended with the command


async def test_two_sandboxes_do_not_count_each_others_processes(workspace):
    both = await asyncio.gather(*(attempt(python(FORK_BOMB), workspace) for _ in range(2)))
    assert len({finished.stdout for finished in both}) == 1


THREADS = """
import threading, time
for number in range(60):
    threading.Thread(target=time.sleep, args=(5,), daemon=True).start()
    print(number)
"""


async def test_threads_count_as_processes(workspace):
    finished = await attempt(python(THREADS), workspace)
    assert "can't start new thread" in finished.stderr
    assert len(finished.stdout.splitlines()) < SMALL.max_processes


async def test_processes_are_counted_from_outside_too_for_kernels_that_count_them_per_user(workspace, monkeypatch):
    monkeypatch.setattr("agents.sandbox.limits.Limits.prlimit", lambda self: [])
    command = shell("for i in $(seq 12); do sleep 9 & done; wait")
    finished = await Sandbox(replace(SMALL, max_processes=8)).run(command, workspace, timeout_s=10.0)
    assert finished.stopped_by is Limit.PROCESSES


def test_the_processes_of_this_machine_are_not_taken_for_those_of_a_sandbox_that_is_being_set_up():
    assert exceeded_by_processes(os.getpid(), replace(SMALL, max_processes=1, max_memory_mib=1)) is None


async def test_one_file_ends_at_its_limit(workspace):
    finished = await attempt(shell("head -c 12M /dev/zero > one; stat -c %s one"), workspace)
    assert finished.stdout.strip() == str(SMALL.max_file_mib * 2**20)


TEN_FILES = "for i in 1 2 3 4 5 6 7 8 9 10; do head -c 2M /dev/zero > many$i; done"


async def test_many_files_are_stopped_at_the_limit_of_the_workspace(workspace):
    finished = await attempt(shell(f"{TEN_FILES}; sleep 9"), workspace)
    assert (finished.stopped_by, finished.returncode) == (Limit.SIZE, None)
    assert finished.duration_s < 5.0


async def test_a_command_that_ends_before_anybody_looks_is_still_held_to_its_size(workspace):
    assert (await attempt(shell(TEN_FILES), workspace)).stopped_by is Limit.SIZE


async def test_files_under_a_path_too_long_to_name_count_too(workspace):
    name = "d" * 200
    deep = f"for i in $(seq 25); do mkdir {name}; cd {name}; done; {TEN_FILES}"
    assert (await attempt(shell(deep), workspace)).stopped_by is Limit.SIZE


@pytest.mark.parametrize("folder", ["/tmp", "/dev/shm"])
async def test_the_scratch_folders_have_an_end(workspace, folder):
    finished = await attempt(shell(f"head -c 6M /dev/zero > {folder}/x; stat -c %s {folder}/x"), workspace)
    assert int(finished.stdout) <= SMALL.max_tmp_mib * 2**20


async def test_one_process_cannot_have_more_memory_than_its_limit(workspace):
    finished = await attempt(python("x = bytearray(300 * 2**20)"), workspace)
    assert "MemoryError" in finished.stderr


EIGHT_TIMES_60_MIB = """
import os, time
for _ in range(3):
    os.fork()
x = bytearray(60 * 2**20)
for i in range(0, len(x), 4096):
    x[i] = 1
time.sleep(9)
"""


async def test_many_processes_cannot_have_more_memory_together(workspace):
    finished = await attempt(python(EIGHT_TIMES_60_MIB), workspace)
    assert finished.stopped_by is Limit.MEMORY
    assert finished.duration_s < 5.0


async def test_memory_shared_by_processes_counts_once(workspace):
    code = "import os, time\nx = bytearray(60 * 2**20)\nfor _ in range(3): os.fork()\ntime.sleep(0.4)"
    assert (await attempt(python(code), workspace)).returncode == 0


async def test_memory_that_no_process_holds_cannot_be_had(workspace):
    code = (
        "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "print(libc.memfd_create(b'x', 0), ctypes.get_errno(), libc.shmget(0, 4096, 0o1600), ctypes.get_errno())"
    )
    assert (await attempt(python(code), workspace)).stdout == "-1 1 -1 1\n"


async def test_a_machine_that_runs_out_of_memory_stops_the_command(workspace, monkeypatch):
    monkeypatch.setattr("agents.sandbox.watch._MACHINE_RESERVE_BYTES", 2**60)
    assert (await attempt(["sleep", "9"], workspace)).stopped_by is Limit.MACHINE


async def test_processor_time_is_limited_for_each_process(workspace):
    finished = await Sandbox(replace(SMALL, max_cpu_s=1)).run(shell("while :; do :; done"), workspace, timeout_s=60.0)
    assert finished.returncode == 128 + 9


async def test_what_ignores_sigterm_and_forks_twice_is_gone_after_the_time_out(workspace):
    word = f"precall-stays-{os.getpid()}"
    code = f"trap '' TERM HUP INT; (setsid bash -c 'trap \"\" TERM; sleep 30; : {word}' & ) ; sleep 30; : {word}"
    started_s = time.monotonic()
    finished = await Sandbox(SMALL).run(shell(code), workspace, timeout_s=0.5)
    assert finished.is_timed_out
    assert time.monotonic() - started_s < 5.0
    assert processes_with(word) == []
