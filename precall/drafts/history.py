"""A history of chat messages as steps, the form in which patterns look at it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from precall.calls import ToolCall, parse_arguments
from precall.chat import Messages
from precall.errors import MalformedCallError

USER = ""
"""The symbol of a user's message; no tool has this name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A user's message, or a call. `symbol` is USER or the tool's name; `text` the message, or the observation as far
    as it is there; `arguments` is empty for a message and for a malformed call."""

    symbol: str
    text: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PastTurn:
    """A turn that the history holds: how many steps came before it, and its calls; none: an answer."""

    num_steps_before: int
    calls: tuple[ToolCall, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    steps: tuple[Step, ...]
    turns: tuple[PastTurn, ...]


def read_history(messages: Messages) -> History:
    """Return a history as steps and turns. Messages of other roles than user, assistant and tool do not count."""
    steps: list[Step] = []
    turns: list[PastTurn] = []
    awaited: dict[str, int] = {}  # calls without an observation so far, as positions in `steps`, by id
    for message in messages:
        match message["role"]:
            case "user":
                steps.append(Step(symbol=USER, text=_text(message.get("content"))))
            case "assistant":
                calls = tuple(_call(entry) for entry in message.get("tool_calls") or ())
                turns.append(PastTurn(num_steps_before=len(steps), calls=calls))
                awaited = {}
                for place, call in enumerate(calls):
                    awaited[call.call_id or f"place {place}"] = len(steps)
                    steps.append(Step(symbol=call.name, arguments=_arguments(call)))
            case "tool" if awaited:
                call_id = message.get("tool_call_id")
                place = awaited.pop(call_id if call_id in awaited else next(iter(awaited)))
                called = steps[place]
                text = _text(message.get("content"))
                steps[place] = Step(symbol=called.symbol, text=text, arguments=called.arguments)
            case _:
                pass
    return History(steps=tuple(steps), turns=tuple(turns))


def _call(entry: Mapping[str, Any]) -> ToolCall:
    function = entry["function"]
    return ToolCall(name=function["name"], arguments=function["arguments"], call_id=entry.get("id") or "")


def _arguments(call: ToolCall) -> dict[str, Any]:
    try:
        return parse_arguments(call)
    except MalformedCallError:
        return {}


def _text(content: Any) -> str:
    """Return the text of a message's content, which may come in parts."""
    if isinstance(content, Sequence) and not isinstance(content, str):
        return "\n".join(part["text"] for part in content if isinstance(part, Mapping) and "text" in part)
    return content or ""
