"""Runs one command and sees to it that no process of it outlives this one's parent. Standard library only; Linux only.

    python -I -S supervise.py [--grace-s 10] [--cores 0,1] [--niceness 10] -- command ...

The parent holds the write end of this process's standard input. It closes when the parent asks for the end and when
the parent is killed, however hard. Then, on SIGTERM, SIGINT or SIGHUP, and when the command itself ends, the group gets
SIGTERM and, after the grace time, whatever is left gets SIGKILL. This process is a subreaper: a grandchild whose own
parent has died, or which has left the group, becomes its child, so no children means that nothing is left.
"""

import argparse
import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
STOP_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
KILL_LIMIT_S = 5.0
POLL_S = 0.02
NOT_STARTED = 127
"""The exit status for a command that cannot be started, as in a shell."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command to its end or ours, and return its exit status: 128 + N for signal N, as in a shell."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--grace-s", type=float, default=10.0)
    parser.add_argument("--cores", type=lambda text: {int(core) for core in text.split(",")})
    parser.add_argument("--niceness", type=int, default=0)
    parser.add_argument("command", nargs="+")
    options = parser.parse_args(arguments)
    parent_pid = os.getppid()
    if os.getpgrp() != os.getpid():
        os.setsid()
    _prctl(PR_SET_CHILD_SUBREAPER, 1)
    signals_fd = _open_signal_pipe()
    if options.cores:
        os.sched_setaffinity(0, options.cores)
    os.nice(options.niceness)
    try:
        # One thread here, so preexec_fn is safe, and so is a death signal, which follows the parent's thread.
        child = subprocess.Popen(options.command, stdin=subprocess.DEVNULL, preexec_fn=_die_with_parent)  # noqa: PLW1509
    except OSError as error:
        _say(f"cannot start {options.command[0]}: {error}")
        return NOT_STARTED
    status = _watch(child.pid, parent_pid, signals_fd)
    status = _end_everything(child.pid, options.grace_s, status)
    if status is None:
        return 128 + signal.SIGKILL
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _watch(child_pid: int, parent_pid: int, signals_fd: int) -> int | None:
    """Wait until the command ends, and return its wait status, or until an end is asked for, and return None."""
    stdin_fd = sys.stdin.fileno()
    while True:
        # The timeout is for getppid: a forked copy of the parent may hold the pipe open.
        ready, _, _ = select.select([stdin_fd, signals_fd], [], [], 1.0)
        for pid, status in _reap():
            if pid == child_pid:
                return status
        if stdin_fd in ready and not os.read(stdin_fd, 4096):
            return None
        if signals_fd in ready and STOP_SIGNALS.intersection(os.read(signals_fd, 4096)):
            return None
        if os.getppid() != parent_pid:
            _say("the parent is gone")
            return None


def _end_everything(child_pid: int, grace_s: float, status: int | None) -> int | None:
    """Send SIGTERM, then SIGKILL, until no child is left; return the command's wait status where it is known."""
    group = os.getpgrp()
    os.killpg(group, signal.SIGTERM)
    told: set[int] = set()  # those outside the group: left alone until their own parent has died
    terminate_until_s = time.monotonic() + grace_s
    kill_until_s = terminate_until_s + KILL_LIMIT_S
    while True:
        status = dict(_reap()).get(child_pid, status)
        if not _has_children():
            return status
        now_s = time.monotonic()
        if now_s > kill_until_s:
            _say(f"processes {_children()} do not die of SIGKILL")
            return status
        for pid in _children():  # not reaped yet, so the ids are still theirs
            if now_s > terminate_until_s:
                os.kill(pid, signal.SIGKILL)
            elif pid not in told and os.getpgid(pid) != group:
                told.add(pid)
                os.kill(pid, signal.SIGTERM)
        time.sleep(POLL_S)


def _reap() -> Iterator[tuple[int, int]]:
    with contextlib.suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            yield pid, status


def _has_children() -> bool:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True


def _children() -> list[int]:
    found = []
    for entry in os.listdir("/proc"):
        # The second entry after the name, which is in parentheses and may hold anything, is the parent.
        with contextlib.suppress(OSError, ValueError), open(f"/proc/{int(entry)}/stat", encoding="latin-1") as stat:
            if int(stat.read().rpartition(")")[2].split()[1]) == os.getpid():
                found.append(int(entry))
    return found


def _open_signal_pipe() -> int:
    """Return a file descriptor from which the numbers of the signals that arrive can be read."""
    read_fd, write_fd = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    for number in (*STOP_SIGNALS, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)
    return read_fd


def _die_with_parent() -> None:
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}) failed")


def _say(text: str) -> None:
    print(f"supervise: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
