"""The SWE agent with tools in place of bash: open, search, edit, run_tests. Source: ours.

open and search leave the workspace as it is; edit changes it, and run_tests runs code that a model wrote. All of them
work in the sandbox, where no path and no link leads out. The work ends with an answer without a call.
"""

import json
import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from agents.forks.tool import Place, Tree, workspace_tool
from agents.forks.workspace import Fork
from agents.swe import MARGIN_S, SweAgent, in_environment
from agents.task import Message, until_answer
from precall.tools import Effect, Tool

QUICK_S = 30.0  # a time-out for tools that run no code of the repository
MAX_TEST_CHARS = 10_000
SYSTEM = "You are a software engineer who fixes problems in a Python repository with the tools at hand."
INSTANCE = """The repository in the workspace has this problem:

{problem}

Change the source, not the tests, so that the problem is gone in general and not for one example alone. Find the \
place, change it, run the tests. When the problem is solved, say in a sentence what was wrong, without a tool call."""

_INSIDE = Path(__file__).with_name("swe_inside.py").read_text(encoding="utf-8")
_SECONDS = re.compile(r"(?<= in )\d+\.\d+s(?: \(\d+:\d\d:\d\d\))?")
_PATH = {"type": "string", "description": "Relative to the repository's top folder"}


def tools_agent(*, timeout_s: float = 60.0) -> SweAgent:
    """Return the agent that has the four tools; `timeout_s` bounds a run of tests."""

    def make_tools(tree: Tree, variables: Mapping[str, str]) -> tuple[Tool, ...]:
        run_tests = partial(_run_tests, variables=variables, tests_timeout_s=timeout_s)
        return (
            _reading(tree, "open", "Show lines of a file, with their numbers.", _OPEN),
            _reading(tree, "search", "List the lines of the repository that contain a text.", _SEARCH),
            workspace_tool(
                tree,
                _edit,
                name="edit",
                description="Replace a text that occurs exactly once in a file.",
                parameters=_EDIT,
                timeout_s=QUICK_S + MARGIN_S,
            ),
            workspace_tool(
                tree,
                run_tests,
                name="run_tests",
                description="Run the tests with pytest: all of them, or those of the given files.",
                parameters=_RUN_TESTS,
                timeout_s=timeout_s + MARGIN_S,
            ),
        )

    return SweAgent(prompt=_prompt, make_tools=make_tools, after_turn=until_answer)


def _prompt(problem: str, folder: str) -> tuple[Message, ...]:
    user = INSTANCE.format(problem=problem.strip())
    return ({"role": "system", "content": SYSTEM}, {"role": "user", "content": user})


def _schema(required: Sequence[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}


_OPEN = _schema(
    ["path"],
    path=_PATH,
    start_line={"type": "integer", "description": "The first line, from 1"},
    end_line={"type": "integer", "description": "The last line; without it up to 400 lines are shown"},
)
_SEARCH = _schema(["text"], text={"type": "string"}, path={**_PATH, "description": "A folder or file to search in"})
_EDIT = _schema(
    ["path", "old", "new"],
    path=_PATH,
    old={"type": "string", "description": "The text to replace, exactly as it is in the file"},
    new={"type": "string", "description": "What takes its place"},
)
_RUN_TESTS = _schema(
    [], paths={"type": "array", "items": {"type": "string"}, "description": "Test files; without it all tests run"}
)


def _reading(tree: Tree, name: str, description: str, parameters: dict[str, Any]) -> Tool:
    async def function(**arguments: Any) -> str:
        finished = await tree.look(_command(name, arguments), timeout_s=QUICK_S)
        finished.check_limits()
        return finished.stdout + finished.stderr

    return Tool(
        name=name,
        description=description,
        parameters=parameters,
        function=function,
        effect=Effect.READ,
        timeout_s=QUICK_S + MARGIN_S,
    )


async def _edit(place: Place, **arguments: Any) -> str:
    finished = await place.run(_command("edit", arguments), timeout_s=QUICK_S)
    finished.check_limits()
    return finished.stdout + finished.stderr


def _command(name: str, arguments: dict[str, Any]) -> list[str]:
    return ["python", "-I", "-S", "-c", _INSIDE, name, json.dumps(arguments)]


async def _run_tests(
    place: Place, paths: Sequence[str] = (), *, variables: Mapping[str, str], tests_timeout_s: float
) -> str:
    """Return pytest's report without the time that it took, so that observations repeat; the middle of a long one is
    left out."""
    options = ("-q", "--no-header", "--color=no")
    words = in_environment(
        variables,
        "python",
        "-m",
        "pytest",
        *options,
        *(f"./{path}" if path.startswith("-") else path for path in paths),
    )
    finished = await place.run(words, timeout_s=tests_timeout_s)
    if isinstance(place, Fork):
        finished.check_limits()  # its confirmed twin runs in place, with the limits to itself
    report = _SECONDS.sub("(time)", finished.stdout) + finished.stderr
    if len(report) > MAX_TEST_CHARS:
        half, num_cut = MAX_TEST_CHARS // 2, len(report) - MAX_TEST_CHARS
        report = f"{report[:half]}\n[{num_cut} characters cut]\n{report[-half:]}"
    if finished.stopped_by is not None:
        report += f"\nThe tests exceeded their limit of {finished.stopped_by}."
    return report
