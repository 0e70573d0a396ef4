"""The ways to run an agent's turns whose cost to the client is compared, all through the `openai` client."""

import json
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from typing import Any

from openai import AsyncOpenAI

from precall import ChatClient, ChatDraft, ChatTarget, Speculator, tools_from_openai
from precall.calls import ToolCall
from precall.chat import Messages
from precall.drafts.protocol import Draft, Prediction
from precall.events import now_s
from precall.tools import Tool

MODEL = "m"
SCHEMA = {"type": "object", "properties": {"key": {"type": "string"}}, "required": ["key"]}
TOOLS: list[Any] = [{"type": "function", "function": {"name": "look_up", "description": "", "parameters": SCHEMA}}]

Agent = Callable[[int], Coroutine[Any, Any, None]]
"""Runs one agent for a number of turns."""


async def look_up(key: str) -> str:
    return f"value of {key}"


FUNCTIONS = {"look_up": look_up}


def question() -> list[Any]:
    return [{"role": "user", "content": "Look it up."}]


def plain(openai: AsyncOpenAI) -> Agent:
    """The loop that the README starts from: answers come whole."""

    async def agent(num_turns: int) -> None:
        messages = question()
        for _ in range(num_turns):
            answer = await openai.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS)
            message = answer.choices[0].message
            messages.append(message.model_dump(exclude_none=True))
            for call in message.tool_calls or ():
                assert call.type == "function", "the engine calls nothing else"
                content = await FUNCTIONS[call.function.name](**json.loads(call.function.arguments))
                messages.append({"role": "tool", "tool_call_id": call.id, "content": content})

    return agent


def streamed(openai: AsyncOpenAI) -> Agent:
    """The same with answers that are streamed, as precall asks for them."""

    async def agent(num_turns: int) -> None:
        messages = question()
        for _ in range(num_turns):
            calls: dict[int, dict[str, str]] = {}
            stream = await openai.chat.completions.create(
                model=MODEL, messages=messages, tools=TOOLS, stream=True, stream_options={"include_usage": True}
            )
            async for chunk in stream:
                for part in (chunk.choices[0].delta.tool_calls or ()) if chunk.choices else ():
                    call = calls.setdefault(part.index, {"id": "", "name": "", "arguments": ""})
                    assert part.function is not None, "the engine calls nothing else"
                    call["id"] += part.id or ""
                    call["name"] += part.function.name or ""
                    call["arguments"] += part.function.arguments or ""
            messages.append(
                {"role": "assistant", "content": None, "tool_calls": [_entry(call) for call in calls.values()]}
            )
            for call in calls.values():
                content = await FUNCTIONS[call["name"]](**json.loads(call["arguments"]))
                messages.append({"role": "tool", "tool_call_id": call["id"], "content": content})

    return agent


def _entry(call: dict[str, str]) -> dict[str, Any]:
    function = {"name": call["name"], "arguments": call["arguments"]}
    return {"id": call["id"], "type": "function", "function": function}


class InstantDraft:
    """Is right at once, without a request: what is left is what speculation itself costs the client."""

    async def predict(self, messages: Messages, tools: Sequence[Tool]) -> AsyncGenerator[Prediction, None]:
        yield Prediction(sample=0, calls=(ToolCall(name="look_up", arguments='{"key": "a"}'),), sent_s=now_s())


def speculating(openai: AsyncOpenAI, draft: Draft | None) -> Agent:
    """Turns of precall's; without a draft speculation is off."""
    target = ChatTarget(ChatClient.from_openai(openai, MODEL))
    speculator = Speculator(target, draft, tools_from_openai(TOOLS, FUNCTIONS, {"look_up": "pure"}))

    async def agent(num_turns: int) -> None:
        messages = question()
        async with speculator.trajectory() as trajectory:
            for _ in range(num_turns):
                await trajectory.turn(messages)

    return agent


ARMS: dict[str, Callable[[AsyncOpenAI], Agent]] = {
    "streamed": streamed,
    "off": lambda openai: speculating(openai, None),
    "on": lambda openai: speculating(openai, InstantDraft()),
    "plain": plain,
    "on_with_request": lambda openai: speculating(openai, ChatDraft(ChatClient.from_openai(openai, MODEL))),
    "streamed_again": streamed,
}
"""All arms in the order of a block. The streamed loop stands there twice: against itself it gives the noise floor."""
