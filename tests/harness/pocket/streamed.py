"""A generation as the one chunk of a stream, for clients that stand for a server."""

from types import SimpleNamespace
from typing import Any

from precall.stream import Generation


def chunk_of(generation: Generation) -> Any:
    """Return the chunk from which a GenerationBuilder makes this generation."""
    calls = [
        SimpleNamespace(
            index=index,
            id=call.call_id or f"call_{index}",
            function=SimpleNamespace(name=call.name, arguments=call.arguments),
        )
        for index, call in enumerate(generation.tool_calls)
    ]
    delta = SimpleNamespace(content=generation.content, tool_calls=calls)
    return SimpleNamespace(usage=None, choices=[SimpleNamespace(delta=delta, finish_reason=generation.finish_reason)])
