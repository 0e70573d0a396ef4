"""Tools: what a model may call, what a call does to the world, and how one is run."""

import asyncio
import contextlib
import inspect
import json
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from precall.calls import Observation, ToolCall, parse_arguments
from precall.errors import ConfigError, MalformedCallError


class Effect(StrEnum):
    """What running a tool does, declared by whoever wrote it, never by a model."""

    PURE = "pure"
    """The observation depends on the arguments alone."""
    READ = "read"
    """The observation depends on state that the tool leaves as it was."""
    WORKSPACE = "workspace"
    """Changes a state that `Tool.fork` can fork, and nothing else."""
    WRITE = "write"
    """Changes state."""
    UNKNOWN = "unknown"
    """Nobody said; treated as a write."""

    @property
    def changes_state(self) -> bool:
        return self in (Effect.WORKSPACE, Effect.WRITE, Effect.UNKNOWN)


class Fork(Protocol):
    """The state that tools of effect `workspace` change, forked for one predicted call. Source: ours; the paper leaves
    tools with state out and says that they would need undo."""

    @property
    def function(self) -> Callable[..., Any]:
        """What `Tool.function` is, at work in the fork. A coroutine function, of which nothing goes on after it has
        been cancelled."""
        ...

    async def commit(self) -> bool:
        """Make the fork's state the state, at once and wholly, and return whether that has changed it.

        Raises ForkError when it cannot be done, and its kind StaleForkError when the state has changed since the fork
        was made; then the state is as it was.
        """
        ...

    async def discard(self) -> None:
        """Remove the fork; what has been committed stays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A function that a model may call.

    `parameters` is a JSON schema of type object. `function` takes the arguments by keyword and may be a coroutine
    function; a plain one runs in a thread of its own, which cannot be stopped: after a time-out or a cancellation it
    runs on to its end and what it returns is dropped. `fork` makes a fork of the state that a tool of effect
    `workspace` changes, and raises ForkError when it cannot; without it the tool is never launched ahead.

    `cost` is that of one call, in units of the author's choice; `max_concurrency` and `max_rate_per_s` are what the
    tool can take (precall/limits.py); `can_reach_outside` says that a call's arguments may leave for hosts that the
    author does not answer for. All of them bound speculation alone. `is_strict` is the API's `strict`; None is not
    sent.
    """

    name: str
    description: str
    parameters: Mapping[str, Any]
    function: Callable[..., Any]
    effect: Effect = Effect.UNKNOWN
    timeout_s: float = 30.0
    max_observation_chars: int = 100_000
    fork: Callable[[], Awaitable[Fork]] | None = None
    cost: float = 1.0
    max_concurrency: int | None = None
    max_rate_per_s: float | None = None
    can_reach_outside: bool = False
    is_strict: bool | None = None

    def __post_init__(self) -> None:
        if self.fork is not None and self.effect is not Effect.WORKSPACE:
            raise ConfigError(
                f"Tool {self.name} has a fork and effect {self.effect}; its effect must be workspace. Leave the fork "
                "out if the tool changes anything that a fork does not hold."
            )
        if self.timeout_s <= 0:
            raise ConfigError(f"timeout_s of tool {self.name} is {self.timeout_s}; it must be > 0.")
        if self.max_observation_chars < 1:
            num = self.max_observation_chars
            raise ConfigError(f"max_observation_chars of tool {self.name} is {num}; it must be at least 1.")
        if not 0.0 <= self.cost < float("inf"):
            raise ConfigError(f"cost of tool {self.name} is {self.cost}; it must be 0 or more.")
        if self.max_concurrency is not None and self.max_concurrency < 1:
            raise ConfigError(
                f"max_concurrency of tool {self.name} is {self.max_concurrency}; it must be at least 1, or None."
            )
        if self.max_rate_per_s is not None and not self.max_rate_per_s > 0.0:
            raise ConfigError(f"max_rate_per_s of tool {self.name} is {self.max_rate_per_s}; it must be > 0, or None.")

    @property
    def can_be_stopped(self) -> bool:
        """Whether a call ends when it is cancelled: a plain function runs on in its thread, a fork's never does."""
        return self.fork is not None or inspect.iscoroutinefunction(self.function)

    def to_openai(self) -> dict[str, Any]:
        """Return the tool in the form that the chat-completions API takes."""
        function = {"name": self.name, "description": self.description, "parameters": dict(self.parameters)}
        strict = {} if self.is_strict is None else {"strict": self.is_strict}
        return {"type": "function", "function": function | strict}


class ToolExecutor(Protocol):
    """Runs one tool call. `occurrence` counts, from 0, the confirmed calls of this trajectory with the same key before
    it, so that an executor that injects latency can give a predicted call and its confirmed twin the same one."""

    def __call__(self, tool: Tool, call: ToolCall, occurrence: int) -> Awaitable[Observation]: ...


async def run_tool(tool: Tool, call: ToolCall, occurrence: int = 0) -> Observation:
    """Run `call` and return its observation. A tool that raises or outlasts `timeout_s` gives an error observation."""
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    limit = asyncio.timeout(tool.timeout_s)
    try:
        async with limit:
            returned = await call_function(tool, parse_arguments(call))
        content, is_error = _as_text(returned), False
    except MalformedCallError as error:
        content, is_error = f"Error: {error}", True
    except (Exception, SystemExit, asyncio.CancelledError) as error:  # the edge of a tool call: all is an observation
        if isinstance(error, asyncio.CancelledError) and _is_being_cancelled():
            raise
        content = f"Error: {type(error).__name__}: {error}"
        if limit.expired():
            content = f"Error: {tool.name} did not finish within {tool.timeout_s:g} s."
        is_error = True
    if len(content) > tool.max_observation_chars:
        num_cut = len(content) - tool.max_observation_chars
        content = f"{content[: tool.max_observation_chars]}\n[{num_cut} characters cut]"
    content = content.encode(errors="replace").decode()  # half a surrogate pair cannot be sent
    return Observation(content=content, is_error=is_error, duration_s=loop.time() - started_s)


async def call_function(tool: Tool, arguments: dict[str, Any]) -> Any:
    """Call the tool's function and return what it returns, or raise what it raises; no time-out, no limit."""
    if inspect.iscoroutinefunction(tool.function):
        return await tool.function(**arguments)
    returned = await _run_in_daemon_thread(lambda: tool.function(**arguments))
    # An object with an asynchronous __call__, or a function that hands on a coroutine, is asynchronous after all.
    return await returned if inspect.isawaitable(returned) else returned


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0  # else the tool raised CancelledError by itself


async def _run_in_daemon_thread(function: Callable[[], Any]) -> Any:
    # Not asyncio.to_thread: its pool is small and joined at exit, so a few hanging tools would block all others and
    # keep the process alive.
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()

    def deliver(returned: Any, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(returned)
        else:
            future.set_exception(error)

    def work() -> None:
        returned, error = None, None
        try:
            returned = function()
        except BaseException as caught:  # sys.exit() in a tool, too, ends the call and nothing else
            is_plain = isinstance(caught, Exception) and not isinstance(caught, StopIteration)
            error = caught if is_plain else RuntimeError(f"{type(caught).__name__}: {caught}")
        with contextlib.suppress(RuntimeError):  # the loop has closed; nobody waits any more
            loop.call_soon_threadsafe(deliver, returned, error)

    threading.Thread(target=work, name="precall-tool", daemon=True).start()
    return await future


def _as_text(returned: Any) -> str:
    return returned if isinstance(returned, str) else json.dumps(returned, ensure_ascii=False, default=str)
