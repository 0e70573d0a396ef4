"""The whole way on real files: predicted commands run in forks of a workspace, and nothing shows but the time."""

import asyncio
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.forks.tool import workspace_tool
from agents.forks.trees import fingerprint
from agents.forks.workspace import Workspace
from precall.calls import ToolCall
from precall.events import EventKind
from precall.policy import LaunchPolicy
from tests.agents.forks.workspaces import METHODS, folder, mounts, run, sandbox, write_tree
from tests.precall.worlds import generation, run_script, sample

PARAMETERS = {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}


async def bash(place, command):
    finished = await run(place, command, timeout_s=10.0)
    finished.check_limits()
    return f"{finished.returncode}\n{finished.stdout}{finished.stderr}"


def make_tool(workspace):
    return workspace_tool(
        workspace, bash, name="bash", description="Run a command.", parameters=PARAMETERS, timeout_s=30.0
    )


def call(command):
    return ToolCall(name="bash", arguments=json.dumps({"command": command}))


async def run_turns(root, method, turns, predicted, policy=None, target_s=0.15):
    """Run a turn for each list of commands; return the trajectory and the fingerprint of the workspace it leaves."""
    workspace = Workspace.create(root, root.parent / "source", sandbox(), method)
    responses = [[generation(target_s, *map(call, commands))] for commands in (*turns, ())]
    samples = None if predicted is None else [[sample(0.0, *map(call, guesses))] for guesses in predicted]
    try:
        trajectory = await run_script(responses, [make_tool(workspace)], samples, policy)
        return trajectory, fingerprint(workspace.tree)
    finally:
        await workspace.aclose()
        assert list((root / "forks").iterdir()) == []
        assert len(list((root / "states").iterdir())) == 1


COMMANDS = st.sampled_from(
    [
        "ls -R | sort; cat a b",
        "echo $(cat d/x 2>&1) >> a",
        "rm -rf d; ls | sort",
        "mkdir -p d/n; echo 1 >> d/n/f; cat d/n/f",
        "mv a b; cat b",
        "mv d e; ls | sort",
        "echo 2 > d/x; chmod 700 d; exit 3",
        "rm link; ln -s a link; cat link",
        "head -c 20M /dev/zero > big",  # stopped at 8 MiB; one such file stays below the limit of all
    ]
)
TURNS = st.lists(st.tuples(st.lists(COMMANDS, min_size=1, max_size=2), st.booleans()), min_size=2, max_size=4)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
@settings(max_examples=4, deadline=None)
@given(turns=TURNS, wrong=COMMANDS)
def test_the_final_workspace_and_all_observations_are_those_of_a_run_without_speculation(method, turns, wrong):
    mounted = mounts()
    with folder() as root:
        write_tree(root)
        commands = [commands for commands, _ in turns]
        guesses = [[wrong, *commands] if is_right else [wrong] for commands, is_right in turns]

        async def main():
            off = await run_turns(root / "off", method, commands, None, target_s=0.0)
            on = await run_turns(root / "on", method, commands, guesses)
            assert on[0].messages == off[0].messages
            assert on[1] == off[1]
            ledger = on[0].ledger  # raises when a balance does not hold
            assert ledger.num_launched > 0

        asyncio.run(main())
    assert mounts() == mounted


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
async def test_a_hit_is_committed_before_the_next_turn_and_a_miss_leaves_no_trace(method):
    with folder() as root:
        write_tree(root)
        turns = [["echo 1 > a"], ["cat a; echo 2 >> a"], ["cat a"]]
        predicted = [["echo 1 > a", "rm a"], ["cat a; echo 2 >> a", "echo 9 > a"], ["cat a"]]
        trajectory, _ = await run_turns(root / "on", method, turns, predicted)
        assert [trajectory.contents(turn) for turn in range(3)] == [["0\n"], ["0\n1\n"], ["0\n1\n2\n"]]
        assert "miss" not in trajectory.outcomes
        assert trajectory.data(EventKind.COMMIT_ENDED, "has_changed") == [True, True, False]
        assert trajectory.ledger.num_used == 3


async def test_a_command_that_meets_a_limit_in_its_fork_is_run_in_place():
    with folder() as root:
        write_tree(root)
        big = "for i in 1 2 3 4 5 6 7 8 9 10; do head -c 2M /dev/zero > big$i; done"
        trajectory, _ = await run_turns(root / "on", METHODS[0], [[big]], [[big]])
        assert trajectory.fates == ["failed"]
        assert trajectory.outcomes == ["miss"]
        assert "exceeded its limit of size" in trajectory.contents()[0]


async def test_without_forks_nothing_is_launched():
    with folder() as root:
        write_tree(root)
        policy = LaunchPolicy(is_forking=False)
        trajectory, _ = await run_turns(root / "on", METHODS[0], [["cat a"]], [["cat a"]], policy)
        assert (trajectory.outcomes, trajectory.ledger.num_launched) == (["miss"], 0)
        assert trajectory.data(EventKind.CALL_SETTLED, "is_eligible") == [False]
