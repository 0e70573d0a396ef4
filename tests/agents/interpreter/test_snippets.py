"""Snippets in place: what they return and keep, and what they cannot do to the interpreter or to what it says."""

import asyncio
import os

import pytest

from agents.interpreter.interpreter import StateLostError
from agents.sandbox.results import SandboxError
from tests.agents.interpreter.interpreters import an_interpreter, end_of
from tests.agents.sandbox.sandboxes import interpreters


@pytest.fixture
async def interpreter():
    async with an_interpreter() as made:
        yield made


async def test_a_snippet_returns_what_it_prints_and_the_value_of_its_last_expression(interpreter):
    assert await interpreter.run("import sys\nprint(1)\nprint(2, file=sys.stderr)\n'three'") == "1\n2\n'three'\n"
    assert await interpreter.run("x = 4") == ""
    assert await interpreter.run("None") == ""
    assert await interpreter.run("") == ""


async def test_variables_functions_and_imports_are_kept(interpreter):
    await interpreter.run("import math\ndef area(r):\n    return math.pi * r * r\nr = 2")
    assert await interpreter.run("round(area(r), 2)") == "12.57\n"
    assert await interpreter.run("_ + 1") == "13.57\n"
    assert (
        await interpreter.run("class A: pass\nimport pickle\ntype(pickle.loads(pickle.dumps(A()))).__name__") == "'A'\n"
    )


async def test_a_traceback_has_the_frames_of_snippets_alone_and_the_state_stays(interpreter):
    await interpreter.run("x = 1\ndef f(text):\n    import json\n    return json.loads(text)")
    wrote = await interpreter.run("x = 2\nf('{')")
    assert wrote.splitlines()[:3] == [
        "Traceback (most recent call last):",
        '  File "<snippet 2>", line 2, in <module>',
        "    f('{')",
    ]
    assert '  File "<snippet 1>", line 4, in f' in wrote
    assert wrote.splitlines()[-1].startswith("json.decoder.JSONDecodeError: Expecting property name")
    assert wrote.count("File ") == 2
    assert await interpreter.run("x") == "2\n"


@pytest.mark.parametrize(
    ("code", "last_line"),
    [
        ("f(", "SyntaxError: '(' was never closed"),
        ("import sys; sys.exit(3)", "SystemExit: 3"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("input()", "EOFError: EOF when reading a line"),
        ("def f(): f()\nf()", "RecursionError: maximum recursion depth exceeded"),
        ("x = bytearray(2**30)", "MemoryError"),
    ],
)
async def test_an_error_ends_the_snippet_and_not_the_interpreter(interpreter, code, last_line):
    await interpreter.run("kept = 1")
    assert (await interpreter.run(code)).splitlines()[-1] == last_line
    assert await interpreter.run("kept") == "1\n"


@pytest.mark.parametrize(
    "code",
    [
        "import sys; sys.stdout.close(); sys.stderr.close()",
        "import os; os.closerange(0, 3)",
        "import os; os.close(0)",
        "import os; os.close(1)",
        "import os; os.close(2)",
        "import sys; del sys.stdout",
        "import sys; sys.stdout = None",
    ],
)
async def test_a_snippet_that_closes_its_streams_leaves_the_next_ones_theirs(interpreter, code):
    await interpreter.run(f"kept = 1\n{code}")
    for _ in range(2):
        assert await interpreter.run("print(kept)") == "1\n"


EVERYWHERE = """
import os
for descriptor in range(64):
    try:
        os.write(descriptor, b"ended\\n" * 9)
    except OSError:
        pass
open_ones = [int(name) for name in os.listdir("/proc/self/fd")]
"""


async def test_what_a_snippet_writes_to_every_descriptor_is_not_taken_for_its_end(interpreter):
    wrote = await interpreter.run(EVERYWHERE + "print('last')")
    assert wrote == "ended\n" * 18 + "last\n"  # stdout and stderr
    assert await interpreter.run("'next'") == "'next'\n"


async def test_a_thread_that_goes_on_writing_cannot_reach_the_next_snippets_output(interpreter):
    await interpreter.run(
        "import os, threading\nmine, stop = os.dup(1), threading.Event()\n"
        "def write():\n    try:\n        while not stop.is_set():\n            os.write(mine, b'noise')\n"
        "    except OSError:\n        pass\n"
        "thread = threading.Thread(target=write, daemon=True)\nthread.start()"
    )
    assert await interpreter.run("'clean'") == "'clean'\n"


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("open('new', 'w')", "OSError: [Errno 30] Read-only file system: 'new'"),
        ("open('/tmp/new', 'w')", "OSError: [Errno 30] Read-only file system: '/tmp/new'"),
        ("open('/dev/shm/new', 'w')", "OSError: [Errno 30] Read-only file system: '/dev/shm/new'"),
        ("import os; os.mkdir('/workspace/new')", "OSError: [Errno 30] Read-only file system: '/workspace/new'"),
        ("import os; os.fork()", "PermissionError: This interpreter starts no other process."),
        ("import subprocess; subprocess.run(['ls'])", "PermissionError: This interpreter starts no other process."),
        ("import os; os.system('ls')", "PermissionError: This interpreter starts no other process."),
        ("import os; os.kill(os.getppid(), 9)", "PermissionError: [Errno 1] Operation not permitted"),
        ("import os; os.kill(-1, 9)", "PermissionError: [Errno 1] Operation not permitted"),
        ("import os; os.execv('/bin/ls', ['ls'])", "PermissionError: This interpreter starts no other process."),
    ],
)
async def test_a_snippet_reaches_nothing_but_its_own_process(interpreter, code, error):
    assert (await interpreter.run(code)).splitlines()[-1] == error


REFUSED = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def refused(number, *arguments):
    return libc.syscall(number, *arguments) == -1 and ctypes.get_errno() == 1
refused(58), refused(59, b"/bin/ls", None, None), refused(62, 1, 9), refused(200, 1, 9), refused(424, 0, 9, None, 0)
"""


async def test_the_kernel_refuses_it_too(interpreter):
    assert await interpreter.run(REFUSED) == "(True, True, True, True, True)\n"


async def test_a_long_output_keeps_its_beginning_and_its_end():
    async with an_interpreter(max_output_kib=1) as interpreter:
        wrote = await interpreter.run("print('a' * 600 + 'b' * 2**21 + 'c' * 600)")
        assert wrote.startswith("a" * 512 + "\n[") and wrote.endswith(" bytes cut]\n" + "c" * 511 + "\n")


async def test_observations_repeat_in_another_interpreter():
    code = "import random\nprint(random.random(), hash('a'), {'x', 'y', 'z', 'w'})"
    wrote = []
    for _ in range(2):
        async with an_interpreter() as interpreter:
            wrote.append(await interpreter.run(code))
    assert wrote[0] == wrote[1]


async def test_a_snippet_that_takes_too_long_costs_the_state_and_says_so():
    async with an_interpreter(snippet_timeout_s=1.5) as interpreter:
        await interpreter.run("x = 1")
        with pytest.raises(
            StateLostError, match=r"(?s)within 1\.5 s .*variables and imports are lost.*until then:\nhere"
        ):
            await interpreter.run("print('here')\nwhile True: pass")
        assert (await interpreter.run("x")).endswith("NameError: name 'x' is not defined\n")


@pytest.mark.parametrize(
    "code", ["import os; os._exit(0)", "import os; os.closerange(0, 256)", "import os; os.abort()"]
)
async def test_a_snippet_that_ends_the_interpreter_costs_the_state_and_says_so(interpreter, code):
    with pytest.raises(StateLostError, match=r"has ended the interpreter.*are lost"):
        await interpreter.run(code)
    assert await interpreter.run("1") == "1\n"


async def test_an_end_between_two_snippets_is_said_before_the_next_one_is_run(interpreter):
    await interpreter.run("import os, threading\nthreading.Timer(0.05, os._exit, (0,)).start()")
    assert interpreter._process is not None
    await end_of(interpreter._process)
    with pytest.raises(StateLostError, match=r"ended after its last snippet.*has not been run"):
        await interpreter.run("print('run')")
    assert await interpreter.run("1") == "1\n"


async def test_a_snippet_beyond_the_memory_of_all_processes_together_is_stopped():
    async with an_interpreter(max_memory_mib=128) as interpreter:
        stop = "import ctypes\nlibc = ctypes.CDLL(None)\nlibc.fork()\nx = bytearray(90 * 2**20)\nwhile True: pass"
        with pytest.raises(StateLostError, match="exceeded its limit of memory"):
            await interpreter.run(stop)
        assert await interpreter.run("1") == "1\n"


async def test_cancelling_a_snippet_ends_the_interpreter(interpreter):
    await interpreter.start()
    running = asyncio.create_task(interpreter.run("while True: pass"))
    await asyncio.sleep(0.05)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert running.cancelled()
    assert interpreter._process is None


async def test_nothing_is_left_when_it_is_closed():
    async with an_interpreter() as interpreter:
        await interpreter.run("1")
        assert interpreters()
        descriptors = set(os.listdir("/proc/self/fd"))
        fork = await interpreter.fork()
        await fork.run("1")
        await fork.discard()
        await interpreter.run("2")
        assert set(os.listdir("/proc/self/fd")) == descriptors
    assert interpreters() == []


async def test_an_interpreter_that_cannot_start_is_an_error_that_says_why(monkeypatch):
    monkeypatch.setattr("agents.interpreter.interpreter._PROGRAM", _NoProgram())
    async with an_interpreter() as interpreter:
        with pytest.raises(SandboxError, match=r"could not be started: .*broken"):
            await interpreter.run("1")


class _NoProgram:
    def read_text(self, encoding):
        return "raise SystemExit('broken')"


async def test_the_sandbox_is_that_of_every_other_program(interpreter):
    code = "import os\nos.getcwd(), os.path.exists('/home'), os.path.exists('/etc/hostname'), len(os.listdir())"
    assert await interpreter.run(code) == "('/workspace', False, False, 0)\n"
    code = "import socket\nsocket.create_connection(('192.0.2.1', 80))"
    assert (await interpreter.run(code)).endswith("Network is unreachable\n")
