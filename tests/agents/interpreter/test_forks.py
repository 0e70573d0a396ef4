"""Forks of an interpreter: the same state, apart from it, and either the state afterwards or gone without a trace."""

import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.sandbox.results import LimitError
from agents.tools.python import python_tool
from precall.calls import ToolCall
from precall.errors import ForkError, StaleForkError
from precall.events import EventKind
from precall.testing.scripted import ScriptedDraft, ScriptedTarget
from tests.agents.interpreter.interpreters import an_interpreter, end_of
from tests.precall.worlds import Run, generation, run_trajectory, sample


@pytest.fixture
async def interpreter():
    async with an_interpreter() as made:
        await made.run("x = [1]")
        yield made


async def test_a_fork_has_the_state_and_leaves_it_alone(interpreter):
    fork = await interpreter.fork()
    assert await fork.run("x.append(2)\nx") == "[1, 2]\n"
    assert await interpreter.run("x") == "[1]\n"
    await fork.discard()


async def test_a_committed_fork_is_the_state(interpreter):
    fork = await interpreter.fork()
    await fork.run("x.append(2)\ny = 3")
    assert await fork.commit()
    await fork.discard()  # what has been committed stays
    assert await interpreter.run("x, y") == "([1, 2], 3)\n"
    assert '"<snippet 4>"' in await interpreter.run("1/0")  # counted on, as in place


async def test_a_fork_of_a_state_that_has_changed_is_stale(interpreter):
    one, other = await interpreter.fork(), await interpreter.fork()
    await one.run("x.append(2)")
    await other.run("x.append(3)")
    await one.commit()
    with pytest.raises(StaleForkError):
        await other.commit()
    third = await interpreter.fork()
    await interpreter.run("pass")
    with pytest.raises(StaleForkError):
        await third.commit()
    assert await interpreter.run("x") == "[1, 2]\n"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import threading, time\nthreading.Thread(target=time.sleep, args=(9,), daemon=True).start()", "Threads run"),
        ("file = open('/etc/passwd')", "files or sockets open"),
        ("import socket\nmine = socket.socketpair()", "files or sockets open"),
        ("import mmap\nshared = mmap.mmap(-1, 4096)", "memory that a fork would share"),
        ("import signal\nsignal.setitimer(signal.ITIMER_REAL, 60)", "A timer runs"),
    ],
)
async def test_a_state_that_a_fork_would_not_have_wholly_is_not_forked(interpreter, code, reason):
    await interpreter.run(code)
    with pytest.raises(ForkError, match=reason):
        await interpreter.fork()
    assert await interpreter.run("x") == "[1]\n"


async def test_a_state_that_can_be_forked_again_is(interpreter):
    await interpreter.run("file = open('/etc/passwd')")
    with pytest.raises(ForkError, match="files or sockets open"):
        await interpreter.fork()
    await interpreter.run("file.close()")
    fork = await interpreter.fork()
    assert await fork.run("x") == "[1]\n"
    await fork.discard()


@pytest.mark.parametrize(
    "code",
    [
        "import os; os._exit(1)",
        "import os\ntry:\n    os.kill(-1, 9)\nfinally:\n    os._exit(1)",
        "import os; os.closerange(0, 256)",
        "while True: pass",
        "x.append(bytearray(2**26)); import ctypes; ctypes.string_at(0)",
    ],
)
async def test_a_fork_that_comes_to_its_end_leaves_the_interpreter_as_it_was(code):
    async with an_interpreter(snippet_timeout_s=1.5) as interpreter:
        await interpreter.run("x = [1]")
        fork = await interpreter.fork()
        with pytest.raises(LimitError):
            await fork.run(code)
        with pytest.raises(ForkError):
            await fork.commit()
        assert await interpreter.run("x") == "[1]\n"


async def test_a_fork_whose_process_ends_after_its_snippet_is_not_committed(interpreter):
    fork = await interpreter.fork()
    await fork.run("import os, threading\nthreading.Timer(0.02, os._exit, (0,)).start()")
    await end_of(fork.process)
    with pytest.raises(ForkError, match="ended since"):
        await fork.commit()
    assert await interpreter.run("x") == "[1]\n"


async def test_cancelling_a_forks_snippet_ends_its_process(interpreter):
    fork = await interpreter.fork()
    running = asyncio.create_task(fork.run("while True: pass"))
    await asyncio.sleep(0.05)
    assert not fork.process.has_ended
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    with pytest.raises(StaleForkError):
        await fork.commit()
    assert await interpreter.run("len([1 for p in __import__('os').listdir('/proc') if p.isdigit()])") in ("3\n", "4\n")


async def test_a_fork_that_nobody_waits_for_any_more_costs_the_interpreter_nothing(interpreter):
    for prepare in ("pass", "file = open('/etc/passwd')"):  # it is made, it is refused
        await interpreter.run(prepare)
        making = asyncio.create_task(interpreter.fork())
        await asyncio.sleep(0)
        making.cancel()
        await asyncio.gather(making, return_exceptions=True)
        if not making.cancelled() and making.exception() is None:
            await making.result().discard()  # it was there before the cancellation was
        assert await interpreter.run("x") == "[1]\n"
    await interpreter.run("file.close()")
    await (await interpreter.fork()).discard()


async def test_forks_are_ended_before_the_interpreter_when_memory_runs_out():
    async with an_interpreter(max_memory_mib=200) as interpreter:
        await interpreter.run("x = bytearray(100 * 2**20)")
        forks = [await interpreter.fork() for _ in range(2)]
        more = "y = bytearray(60 * 2**20)\nwhile True: pass"
        with pytest.raises(LimitError):
            await asyncio.gather(*(fork.run(more) for fork in forks))
        assert await interpreter.run("len(x)") == f"{100 * 2**20}\n"


async def test_the_number_of_forks_and_of_processes_is_limited(interpreter):
    forks = [await interpreter.fork() for _ in range(8)]
    with pytest.raises(ForkError, match="has 8 forks"):
        await interpreter.fork()
    for fork in forks:
        await fork.discard()
    await (await interpreter.fork()).discard()
    async with an_interpreter(max_processes=4) as small:
        with pytest.raises(ForkError, match="cannot be forked"):
            [await small.fork() for _ in range(4)]
        assert await small.run("1") == "1\n"


def call(code):
    return ToolCall(name="python", arguments=json.dumps({"code": code}))


async def run_snippets(turns, predicted, target_s=0.03):
    """Run a turn for each list of snippets; return the trajectory and the state it leaves."""
    run = Run()
    responses = [[generation(target_s, *map(call, snippets))] for snippets in (*turns, ())]
    samples = [[sample(0.0, *map(call, guesses))] for guesses in predicted or ()]
    draft = ScriptedDraft(turns=samples) if samples else None
    async with an_interpreter() as interpreter:
        tools = [python_tool(interpreter)]
        await run_trajectory(run, ScriptedTarget(responses), tools, len(responses), draft)
        return run, await interpreter.run("sorted((k, repr(v)) for k, v in globals().items() if len(k) == 1)")


SNIPPETS = st.sampled_from(
    [
        "x = globals().get('x', 0) + 1\nx",
        "y = [x]\ny",
        "y.append(x); print(y)",
        "1/0",
        "del x",
        "import random; z = random.random(); z",
        "import os; os._exit(0)",
        "_",
        "import mmap; s = mmap.mmap(-1, 1)",
    ]
)
TURNS = st.lists(st.tuples(st.lists(SNIPPETS, min_size=1, max_size=2), st.booleans()), min_size=2, max_size=5)


@settings(max_examples=10, deadline=None)
@given(turns=TURNS, wrong=SNIPPETS)
def test_all_observations_and_the_final_state_are_those_of_a_run_without_speculation(turns, wrong):
    snippets = [each for each, _ in turns]
    guesses = [[wrong, *each] if is_right else [wrong] for each, is_right in turns]

    async def main():
        off = await run_snippets(snippets, None, target_s=0.0)
        on = await run_snippets(snippets, guesses)
        assert on[0].messages == off[0].messages
        assert on[1] == off[1]
        assert on[0].ledger.num_launched > 0  # raises, too, when a balance does not hold

    asyncio.run(main())


async def test_predicted_snippets_run_ahead_one_after_the_other_and_are_committed():
    turns = [["x = 1"], ["x += 1\nx"], ["x * 10"]]
    predicted = [["x = 1", "x = 9"], ["x += 1\nx", "del x"], ["x * 10"]]
    trajectory, _ = await run_snippets(turns, predicted)
    assert [trajectory.contents(turn) for turn in range(3)] == [[""], ["2\n"], ["20\n"]]
    assert "miss" not in trajectory.outcomes
    assert trajectory.data(EventKind.COMMIT_ENDED, "has_changed") == [True, True, True]
