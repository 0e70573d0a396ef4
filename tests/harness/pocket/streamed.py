"""Generations as the one chunk of a stream, for clients that stand for a server."""

from types import SimpleNamespace
from typing import Any

from precall.stream import Generation


def chunk_of(*generations: Generation) -> Any:
    """Return the chunk whose choices are these generations."""
    choices = [
        SimpleNamespace(index=index, delta=_delta_of(generation), finish_reason=generation.finish_reason)
        for index, generation in enumerate(generations)
    ]
    return SimpleNamespace(usage=None, choices=choices)


def _delta_of(generation: Generation) -> Any:
    calls = [
        SimpleNamespace(
            index=index,
            id=call.call_id or f"call_{index}",
            function=SimpleNamespace(name=call.name, arguments=call.arguments),
        )
        for index, call in enumerate(generation.tool_calls)
    ]
    return SimpleNamespace(content=generation.content, tool_calls=calls)
