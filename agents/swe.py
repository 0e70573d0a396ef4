"""The SWE agent: a repository, a problem and bash, in the manner of mini-swe-agent 2.

Each command is a `bash -c` of its own in the workspace's sandbox; a predicted one runs in a fork. The work ends when a
command prints mini-swe-agent's marker. Where mini-swe-agent drops a turn that it cannot use, the turn stays in the
history here, with what was wrong with it behind it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from agents import mini
from agents.forks.tool import NoTree, Place, Tree, workspace_tool
from agents.forks.workspace import Fork
from agents.task import Message, Step
from agents.trajectory import Status
from precall.tools import Tool
from precall.turn import Turn

MARGIN_S = 30.0
"""What a call may take beyond its command: waiting for the workspace, setting up, stopping."""
MAX_OBSERVATION_CHARS = 1_000_000  # the template and the sandbox cut earlier; a patch that is submitted is never cut
_MERGED = 'exec bash -c "$1" 2>&1'  # one stream, in the order in which it was written


@dataclass(frozen=True, slots=True, kw_only=True)
class SweAgent:
    """How an agent works on a repository: what it is told (of a problem, in a folder), the tools that it has in a
    workspace, where these environment variables are set, and how it ends."""

    prompt: Callable[[str, str], tuple[Message, ...]]
    make_tools: Callable[[Tree, Mapping[str, str]], tuple[Tool, ...]]
    after_turn: Callable[[Sequence[Turn]], Step]

    def tools_to_read(self) -> tuple[Tool, ...]:
        """Return the tools without a workspace: their schemas, effects, and whether they can be forked."""
        return self.make_tools(NoTree(), {})


def bash_agent(*, timeout_s: float = 60.0) -> SweAgent:
    """Return the agent that has bash alone; `timeout_s` bounds a command."""

    def make_tools(tree: Tree, variables: Mapping[str, str]) -> tuple[Tool, ...]:
        tool = workspace_tool(
            tree,
            partial(_bash, variables={**_variables(), **variables}, command_timeout_s=timeout_s),
            name="bash",
            description=mini.BASH_DESCRIPTION,
            parameters=mini.BASH_PARAMETERS,
            timeout_s=timeout_s + MARGIN_S,
            max_observation_chars=MAX_OBSERVATION_CHARS,
        )
        return (tool,)

    return SweAgent(prompt=_prompt, make_tools=make_tools, after_turn=_after_turn)


def _variables() -> dict[str, str]:
    # BASH_ENV is for a file in SWE-bench's images that a container's root can read, and nobody else.
    variables = mini.config()["environment"]["env"]
    return {name: value for name, value in variables.items() if name != "BASH_ENV"}


def in_environment(variables: Mapping[str, str], *words: str) -> list[str]:
    """Return the command that runs `words` with `variables` set."""
    return ["env", *(f"{name}={value}" for name, value in variables.items()), *words]


def _prompt(problem: str, folder: str) -> tuple[Message, ...]:
    return (
        {"role": "system", "content": mini.system_prompt()},
        {"role": "user", "content": mini.instance_prompt(problem, folder)},
    )


async def _bash(place: Place, command: str, *, variables: Mapping[str, str], command_timeout_s: float) -> str:
    """Return the observation of a command: mini-swe-agent's form, or, of a submission, its output as it is."""
    words = in_environment(variables, "bash", "-c", _MERGED, "bash", command)
    finished = await place.run(words, timeout_s=command_timeout_s)
    if isinstance(place, Fork):
        finished.check_limits()  # its confirmed twin runs in place, with the limits to itself
    if finished.returncode == 0 and mini.submission(finished.stdout) is not None:
        return finished.stdout
    problem = "" if finished.stopped_by is None else f"The command exceeded its limit of {finished.stopped_by}."
    return mini.observation(finished.returncode, finished.stdout, problem)


def submitted(turns: Sequence[Turn]) -> str | None:
    """Return what the last turn has submitted, None if it has not."""
    found = (mini.submission(each.content) for turn in turns[-1:] for each in turn.observations)
    return next((patch for patch in found if patch is not None), None)


def _after_turn(turns: Sequence[Turn]) -> Step:
    if submitted(turns) is not None:
        return Status.FINISHED
    last = turns[-1].generation
    if last.tool_calls:
        return ()
    if len(turns) >= mini.MAX_FORMAT_ERRORS and not any(
        turn.generation.tool_calls for turn in turns[-mini.MAX_FORMAT_ERRORS :]
    ):
        return Status.FORMAT_ERRORS
    return ({"role": "user", "content": mini.format_error(last.finish_reason)},)
