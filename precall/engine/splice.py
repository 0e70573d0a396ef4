"""From the end of a turn to what follows it: parse the calls, look them up, render the results (the paper's O3)."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from precall.calls import ToolCall
from precall.engine import compat
from precall.engine.metrics import EngineMetrics
from precall.engine.settings import EngineSettings
from precall.engine.store import LiveResponse
from precall.engine.template import ResultTemplate


@dataclass(frozen=True, slots=True, kw_only=True)
class Splice:
    """A parsed turn, the observations of its calls, and the tokens that stand for them."""

    reasoning: str
    content: str
    calls: tuple[ToolCall, ...]
    texts: tuple[str, ...]
    token_ids: tuple[int, ...]
    num_reasoning_tokens: int


class Splicer:
    """Decides, when a turn has ended, whether its calls are cached, and what follows if they are."""

    def __init__(
        self, handler: Any, template: ResultTemplate, settings: EngineSettings, metrics: EngineMetrics
    ) -> None:
        self._handler = handler
        self._template = template
        self._settings = settings
        self._metrics = metrics

    async def splice(self, request: Any, response: LiveResponse, text: str, token_ids: Sequence[int]) -> Splice | None:
        """Return what follows a turn that generated `text`; None when it has no calls, or one is not cached.

        A call announced as running is waited for, at most `max_wait_s`. A parser is made for every turn, since parsers
        keep state.
        """
        if not token_ids or token_ids[-1] != self._template.turn_end:
            return None
        parser = compat.make_parser(self._handler, request)
        reasoning, content, found = parser.parse(
            text, request, enable_auto_tools=True, model_output_token_ids=list(token_ids)
        )
        calls = tuple(
            ToolCall(name=call.name, arguments=call.arguments, call_id=f"call_{uuid.uuid4().hex}")
            for call in found or ()
        )
        if not calls:
            return None
        lookup = response.find(calls)
        has_waited = lookup.is_pending
        if has_waited:
            lookup = await response.wait(calls, self._settings.max_wait_s)
        self._metrics.looked_up(is_hit=lookup.texts is not None, has_waited=has_waited)
        if lookup.texts is None:
            return None
        return Splice(
            reasoning=reasoning or "",
            content=content or "",
            calls=calls,
            texts=lookup.texts,
            token_ids=tuple(await self._template.tokens(request, [call.name for call in calls], lookup.texts)),
            num_reasoning_tokens=parser.count_reasoning_tokens(list(token_ids)),
        )
