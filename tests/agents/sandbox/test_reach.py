"""Ways out of the sandbox. Each test is an attempt; it passes when the attempt fails and nothing outside has changed.

No attempt harms the machine, even where the sandbox lets it through.
"""

import asyncio
import contextlib
import os
import re
import socket
import sys
import tempfile
from pathlib import Path

import pytest

from agents.sandbox.identity import sandbox_uid
from tests.agents.sandbox.sandboxes import attempt, empty_workspace, exists, python, shell

PYTHON_PREFIXES = [Path(prefix).resolve() for prefix in (sys.prefix, sys.base_prefix)]


@pytest.fixture
def workspace():
    with empty_workspace() as folder:
        yield folder


@pytest.fixture
def secret():
    """A file that everybody on this machine may read and write."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "secret")
        file.write_text("swordfish")
        Path(folder).chmod(0o777)
        file.chmod(0o666)
        yield file


async def test_the_home_folder_and_files_outside_cannot_be_read(workspace, secret):
    home = Path.home()
    names = " ".join(str(path) for path in (secret, home / ".bashrc", home / ".ssh", "/etc/shadow", "/etc/hostname"))
    finished = await attempt(shell(f"cat {names}; ls -A {home} /home /var /run /srv /opt /boot"), workspace)
    # Of the home folder there is no more than the way to this Python, if that lies in it.
    entries = {line for line in finished.stdout.split() if not line.endswith(":")}
    assert entries <= {part for prefix in PYTHON_PREFIXES for part in prefix.parts}


async def test_no_environment_of_the_parent_is_left_to_be_read(workspace, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "swordfish")
    code = "cat /proc/*/environ /proc/*/cmdline | tr '\\0' '\\n'; env"
    finished = await attempt(shell(code), workspace)
    assert "LANG=C.UTF-8" in finished.stdout
    assert "swordfish" not in finished.stdout
    assert "HF_TOKEN" not in finished.stdout


CONNECT = """
import socket
def attempt(what, function):
    try:
        function()
        print("reached", what)
    except OSError as error:
        print("refused", what, type(error).__name__)
attempt("tcp", lambda: socket.create_connection(("127.0.0.1", {port}), timeout=1))
attempt("dns", lambda: socket.getaddrinfo("example.com", 80))
attempt("udp", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("192.0.2.1", 9)))
attempt("path", lambda: socket.socket(socket.AF_UNIX).connect({path!r}))
attempt("abstract", lambda: socket.socket(socket.AF_UNIX).connect("\\0" + {abstract!r}))
attempt("vsock", lambda: socket.socket(socket.AF_VSOCK))
attempt("packet", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
attempt("alg", lambda: socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET))
"""


async def test_no_network_and_no_socket_of_this_machine_can_be_reached(workspace, secret):
    path, abstract = str(secret.parent / "socket"), f"precall-test-{os.getpid()}"
    with contextlib.ExitStack() as stack:
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        for address in (path, "\0" + abstract):
            server = stack.enter_context(socket.socket(socket.AF_UNIX))
            server.bind(address)
            server.listen()
        os.chmod(path, 0o777)
        code = CONNECT.format(port=tcp.getsockname()[1], path=path, abstract=abstract)
        finished = await attempt(python(code), workspace)
    words = [line.split()[:2] for line in finished.stdout.splitlines()]
    kinds = ["tcp", "dns", "udp", "path", "abstract", "vsock", "packet", "alg"]
    assert words == [["refused", kind] for kind in kinds], finished


@pytest.mark.parametrize("folder", ["/", "/usr", "/etc", "/dev", "/proc", "/root", "/home", "/var/tmp"])
async def test_nothing_can_be_written_outside_the_workspace_and_tmp(workspace, folder):
    finished = await attempt(shell(f"echo x > {folder}/precall-test"), workspace)
    assert finished.returncode != 0
    assert not exists(f"{folder}/precall-test")


async def test_a_tmp_of_its_own_is_all_that_a_command_sees_of_tmp(workspace):
    name = f"precall-escape-{os.getpid()}"
    with tempfile.NamedTemporaryFile(dir="/tmp") as file:
        finished = await attempt(shell(f"ls -A /tmp /dev/shm; echo x > /tmp/{name}"), workspace)
        assert Path(file.name).name not in finished.stdout
    assert finished.returncode == 0
    assert not exists(f"/tmp/{name}")


async def test_a_hard_link_to_a_file_outside_cannot_be_made(workspace, secret):
    finished = await attempt(shell(f"ln {secret} inside; ln /usr/bin/id inside; ln /etc/passwd inside"), workspace)
    assert finished.returncode != 0
    assert not (workspace / "inside").exists()


async def test_a_link_to_the_outside_leads_nowhere(workspace, secret):
    code = f"ln -s {secret} link; ln -s / root; cat link; cat root{secret}; echo x >> link; echo x >> root{secret}"
    finished = await attempt(shell(code), workspace)
    assert "swordfish" not in finished.stdout
    assert secret.read_text() == "swordfish"


async def test_no_descriptor_of_this_process_is_handed_in(workspace, secret):
    with secret.open() as file:
        os.set_inheritable(file.fileno(), True)
        finished = await attempt(shell("ls /proc/self/fd | wc -l"), workspace)
    assert finished.stdout.split() == ["4"]  # stdin, stdout, stderr and that of ls


async def test_no_process_outside_can_be_seen_or_killed(workspace):
    bystander = await asyncio.create_subprocess_exec("sleep", "60")
    try:
        finished = await attempt(shell(f"kill -9 {bystander.pid}; ls /proc"), workspace)
        pids = [int(line) for line in finished.stdout.split() if line.isdigit()]
        assert len(pids) <= 4
        assert max(pids) < 20
        assert bystander.returncode is None
    finally:
        bystander.kill()
        assert await bystander.wait() == -9


CALLS = """
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
def attempt(name, *arguments):
    returned = getattr(libc, name)(*arguments)
    print(name, arguments[0], returned, errno.errorcode.get(ctypes.get_errno()))
attempt("ptrace", 16, os.getppid(), 0, 0)
attempt("mount", b"none", b"/tmp", b"tmpfs", 0, None)
attempt("umount2", b"/usr", 2)
attempt("chroot", b"/workspace")
attempt("unshare", 0x00020000)
attempt("setns", 0, 0)
attempt("setuid", 0)
attempt("mknod", b"/workspace/disk", 0o60666, os.makedev(8, 0))
for number in (321, 250, 425, 298, 323):
    attempt("syscall", number, 0, 0, 0, 0, 0)
"""


async def test_tracing_mounting_and_changing_namespaces_are_refused(workspace):
    finished = await attempt(python(CALLS), workspace)
    lines = finished.stdout.splitlines()
    assert len(lines) == 13, finished
    assert all(re.search(r" -1 E(PERM|INVAL)$", line) for line in lines), lines
    assert sum(line.endswith("EPERM") for line in lines) == 12  # uid 0 does not exist inside: EINVAL


async def test_no_user_namespace_can_be_made_not_even_by_clone(workspace):
    code = (
        "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "print(libc.syscall(56, 0x10000000 | 17, 0, 0, 0, 0), ctypes.get_errno())"
    )
    finished = await attempt(python(code), workspace)
    assert finished.stdout.startswith("-1 "), finished


async def test_a_setuid_program_gains_nothing(workspace):
    code = "cp /usr/bin/id . && chmod 6755 id && ./id -u && ./id -ru; su -c id"
    code += "; grep -E 'NoNewPrivs|Cap(Eff|Bnd)' /proc/self/status"
    finished = await attempt(shell(code), workspace)
    assert finished.stdout.split()[:2] == ["1000", "1000"]
    assert "NoNewPrivs:\t1" in finished.stdout
    assert finished.stdout.count("\t0000000000000000") == 2
    assert "uid=0" not in finished.stdout


async def test_only_harmless_devices_are_there(workspace):
    code = "cd /dev; for f in $(find . ! -type l); do [ -c $f -o -b $f ] && echo $f; done; cat kmsg mem; head -c 1 core"
    finished = await attempt(shell(code), workspace)
    devices = {name.removeprefix("./") for name in finished.stdout.split()}
    assert "null" in devices
    assert devices <= {"full", "null", "random", "urandom", "zero", "tty", "console", "ptmx", "pts/ptmx"}
    assert finished.returncode != 0


async def test_kernel_settings_cannot_be_written(workspace):
    finished = await attempt(shell("echo 1 > /proc/sys/vm/drop_caches"), workspace)
    assert finished.returncode != 0


async def test_what_is_written_belongs_to_a_user_who_owns_nothing_else(workspace):
    assert sandbox_uid() != 0
    await attempt(shell("touch made"), workspace)
    assert (workspace / "made").stat().st_uid == sandbox_uid()
