"""What a client sees of executed turns: the field `precall` of its response, and usage that counts all turns.

The choices of the response are those of the last turn, as the stock handler made them. Usage: `completion_tokens` are
all tokens that the model generated, `prompt_tokens` all others of the sequence, results included; so `total_tokens` is
the sequence's length, as for the last of separate requests.
"""

import asyncio
import json
import time
from collections.abc import AsyncGenerator
from typing import Any

from precall.engine.resident import ResidentRequest
from precall.wire import OPTIONS_FIELD, ExecutedTurn


class Shown:
    """The executed turns of one response, as they come. `resident` None: it is an ordinary request."""

    def __init__(self, response_id: str, model_name: str) -> None:
        self.response_id = response_id
        self.model_name = model_name
        self.resident: ResidentRequest | None = None
        self.turns: asyncio.Queue[ExecutedTurn] = asyncio.Queue()

    def add(self, turn: ExecutedTurn) -> None:
        self.turns.put_nowait(turn)

    def take(self) -> list[ExecutedTurn]:
        """Return the turns that have come since the last time."""
        return [self.turns.get_nowait() for _ in range(self.turns.qsize())]


def shown_response(response: Any, shown: Shown) -> Any:
    """Return a whole response with its executed turns and the usage of all turns."""
    turns = shown.take()
    if turns and shown.resident is not None:
        usage = response.usage.model_dump(exclude_unset=True)
        _correct(usage, shown.resident)
        response.usage = type(response.usage)(**usage)
        setattr(response, OPTIONS_FIELD, _field(turns))
    return response


async def shown_stream(stream: AsyncGenerator[str, None], shown: Shown) -> AsyncGenerator[str, None]:
    """Yield the events of a stream, an event for each executed turn when it has ended, and usage of all turns."""
    if shown.resident is None:
        async for event in stream:
            yield event
        return
    created = int(time.time())
    upcoming: asyncio.Task[str] = asyncio.ensure_future(anext(stream))
    executed: asyncio.Task[ExecutedTurn] = asyncio.ensure_future(shown.turns.get())
    try:
        while True:
            await asyncio.wait((upcoming, executed), return_when=asyncio.FIRST_COMPLETED)
            if executed.done():
                yield _event(shown, created, [executed.result(), *shown.take()])
                executed = asyncio.ensure_future(shown.turns.get())
                continue
            if turns := shown.take():
                yield _event(shown, created, turns)
            try:
                event = upcoming.result()
            except StopAsyncIteration:
                return
            yield _with_usage_of_all(event, shown.resident)
            upcoming = asyncio.ensure_future(anext(stream))
    finally:
        for task in (upcoming, executed):
            task.cancel()
        await asyncio.gather(upcoming, executed, return_exceptions=True)
        await stream.aclose()


def _event(shown: Shown, created: int, turns: list[ExecutedTurn]) -> str:
    chunk = {
        "id": shown.response_id,
        "object": "chat.completion.chunk",
        "created": created,
        "model": shown.model_name,
        "choices": [],
        OPTIONS_FIELD: _field(turns),
    }
    return f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n"


def _field(turns: list[ExecutedTurn]) -> dict[str, Any]:
    return {"executed_turns": [turn.to_json() for turn in turns]}


def _with_usage_of_all(event: str, resident: ResidentRequest) -> str:
    if not resident.num_executed or '"usage"' not in event or not event.startswith("data: {"):
        return event
    chunk = json.loads(event.removeprefix("data: "))
    if not chunk.get("usage"):
        return event
    _correct(chunk["usage"], resident)
    return f"data: {json.dumps(chunk, ensure_ascii=False, separators=(',', ':'))}\n\n"


def _correct(usage: dict[str, Any], resident: ResidentRequest) -> None:
    usage["prompt_tokens"] -= resident.num_generated
    usage["completion_tokens"] += resident.num_generated
    details = usage.get("completion_tokens_details") or {}
    if details.get("reasoning_tokens") is not None:
        details["reasoning_tokens"] += resident.num_reasoning
