"""The SWE agent with bash: what it is told, what it sees of a command, and how it ends."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from agents import mini
from agents.forks.methods import Copies
from agents.forks.workspace import Workspace
from agents.sandbox.results import LimitError
from agents.swe import bash_agent, submitted
from agents.trajectory import Status
from precall.calls import Observation, ToolCall
from precall.stream import Generation
from precall.tools import Effect, Tool, run_tool
from precall.turn import Turn
from tests.agents.forks.workspaces import folder, sandbox

AGENT = bash_agent(timeout_s=10.0)
SUBMISSION = f"{mini.MARKER}\ndiff --git a/x b/x\n"


@asynccontextmanager
async def bash(timeout_s: float = 10.0) -> AsyncGenerator[tuple[Tool, Workspace], None]:
    """Yield the tool in a workspace that holds the file `a`."""
    with folder() as root:
        (root / "source").mkdir()
        (root / "source" / "a").write_text("first\n")
        workspace = Workspace.create(root / "workspace", root / "source", sandbox(), Copies())
        try:
            (tool,) = bash_agent(timeout_s=timeout_s).make_tools(workspace, {"COLOUR": "blue"})
            yield tool, workspace
        finally:
            await workspace.aclose()


def turn(*contents: str, text: str = "", finish_reason: str = "stop") -> Turn:
    """A turn with a call for each of the observations `contents`."""
    calls = tuple(ToolCall(name="bash", arguments="{}") for _ in contents)
    generation = Generation(
        content=text,
        reasoning="",
        tool_calls=calls,
        finish_reason=finish_reason,
        sent_s=0.0,
        first_token_s=None,
        finished_s=1.0,
    )
    return Turn(index=0, generation=generation, observations=tuple(Observation(content=text) for text in contents))


def test_it_is_told_what_mini_swe_agent_tells_about_the_folder_where_the_repository_lies() -> None:
    system, user = AGENT.prompt("Two plus two is five.", "/workspace")
    assert system["content"] == mini.config()["agent"]["system_template"].rstrip("\n")
    text = str(user["content"])
    assert "Two plus two is five." in text
    assert "MODIFY: Regular source code files in /workspace (this is the working directory" in text
    assert "/testbed" not in text and "{{" not in text
    assert f"echo {mini.MARKER} && cat patch.txt" in text


def test_its_tool_is_the_one_of_mini_swe_agent_and_can_be_forked() -> None:
    (tool,) = AGENT.tools_to_read()
    assert tool.to_openai()["function"] == {
        "name": "bash",
        "description": "Execute a bash command",
        "parameters": {
            "type": "object",
            "properties": {"command": {"type": "string", "description": "The bash command to execute"}},
            "required": ["command"],
        },
    }
    assert tool.effect is Effect.WORKSPACE
    assert tool.fork is not None


@pytest.mark.sandbox
async def test_a_command_is_shown_in_mini_swe_agents_form_with_both_streams_in_order() -> None:
    async with bash() as (tool, _):
        shown = await tool.function(command="echo one; echo two >&2; cat a; echo $COLOUR $PAGER; exit 3")
    assert shown == "<returncode>3</returncode>\n<output>\none\ntwo\nfirst\nblue cat\n</output>"


@pytest.mark.sandbox
async def test_each_command_has_a_shell_of_its_own_and_what_it_writes_stays() -> None:
    async with bash() as (tool, workspace):
        await tool.function(command="mkdir d && cd d && X=1 && echo new > b")
        assert "<output>\n/workspace\na\nd\n\n</output>" in await tool.function(command="pwd; ls; echo $X")
        assert (workspace.tree / "d" / "b").read_text() == "new\n"


@pytest.mark.sandbox
async def test_a_command_that_is_stopped_keeps_what_it_printed_and_in_a_fork_it_has_failed() -> None:
    async with bash(timeout_s=2.0) as (tool, workspace):
        shown = await tool.function(command="echo begun; sleep 60")
        assert "<exception>The command exceeded its limit of time.</exception>" in shown
        assert "<returncode>-1</returncode>" in shown and "begun" in shown
        assert tool.fork is not None
        fork = await tool.fork()
        with pytest.raises(LimitError):
            await fork.function(command="sleep 60")
        await fork.discard()
        assert list((workspace.tree).iterdir()) == [workspace.tree / "a"]


@pytest.mark.sandbox
async def test_a_submission_is_shown_as_it_is_and_one_that_fails_is_none() -> None:
    async with bash() as (tool, _):
        taken = await run_tool(tool, call(f"echo {mini.MARKER} && cat a"))
        assert submitted([turn(taken.content)]) == "first\n"
        failed = await run_tool(tool, call(f"echo {mini.MARKER} && cat gone"))
        assert submitted([turn(failed.content)]) is None
        later = await run_tool(tool, call(f"cat a; echo {mini.MARKER}"))
        assert submitted([turn(later.content)]) is None


def call(command: str) -> ToolCall:
    return ToolCall(name="bash", arguments=json.dumps({"command": command}))


def test_a_submission_ends_the_work_and_other_commands_do_not() -> None:
    assert AGENT.after_turn([turn("<returncode>0</returncode>")]) == ()
    assert AGENT.after_turn([turn("<returncode>0</returncode>", SUBMISSION)]) is Status.FINISHED


def test_a_turn_without_a_call_is_answered_with_the_format_error_of_mini_swe_agent() -> None:
    (message,) = replies(AGENT.after_turn([turn(text="I am done.")]))
    assert message["role"] == "user"
    assert mini.NO_CALL in message["content"]
    (message,) = replies(AGENT.after_turn([turn(text="I thi", finish_reason="length")]))
    assert "reached the output token limit (finish_reason=length)" in message["content"]


def replies(step: Any) -> tuple[dict[str, Any], ...]:
    assert isinstance(step, tuple)
    return step


def test_the_third_turn_in_a_row_without_a_call_ends_the_work() -> None:
    talk, work = turn(text="Hm."), turn("<returncode>0</returncode>")
    assert AGENT.after_turn([talk, talk, talk]) is Status.FORMAT_ERRORS
    assert replies(AGENT.after_turn([talk, talk, work, talk, talk]))


def test_an_observation_of_ten_thousand_characters_is_cut_as_mini_swe_agent_cuts_it() -> None:
    shown = mini.observation(0, "x" * 12_000)
    assert "<elided_chars>\n2000 characters elided\n</elided_chars>" in shown
    assert len(shown) < 11_000
