"""The API server's side of O2: what is cached for a response goes to the workers' proposer as candidates.

Posts arrive in the middle of a generation, so candidates travel by `collective_rpc`, which waits for the running step.
One call is under way at a time, and what comes meanwhile goes with the next.
"""

import asyncio
import itertools
import json
import logging
from collections.abc import Sequence
from typing import Any

from precall.calls import ToolCall
from precall.engine import compat
from precall.engine.call_drafts import MAX_CANDIDATES
from precall.engine.call_styles import CallStyle, probe
from precall.engine.families import FAMILIES, family_of
from precall.engine.plain_tokens import PlainEncoder
from precall.errors import ConfigError

logger = logging.getLogger("vllm.precall")
_MAX_CHARS = 16384
"""Arguments that are longer are not drafted: encoding them would hold up the event loop."""


class Drafting:
    """Sends candidates to the workers. `num_draft_tokens` is how many tokens they draft at most in a step."""

    def __init__(
        self, client: Any, encoder: PlainEncoder, call_styles: Sequence[CallStyle], num_draft_tokens: int
    ) -> None:
        self.num_draft_tokens = num_draft_tokens
        self._client = client
        self._encoder = encoder
        self._styles = call_styles
        self._serials = itertools.count()
        self._added: dict[str, list[list[Any]]] = {}
        self._dropped: set[str] = set()
        self._known: set[str] = set()
        self._sending: asyncio.Task[None] | None = None

    @classmethod
    async def start(cls, handler: Any, client: Any, tool_parser: str | None) -> "Drafting | None":
        """Return the drafting of a server whose workers have precall's proposer, else None.

        Raises ConfigError when they have it and the model's form of calls or its tokenizer cannot be drafted.
        """
        if not compat.has_tool_proposer(client.vllm_config):
            return None
        if tool_parser not in FAMILIES:
            remedy = f"Choose one of {', '.join(FAMILIES)}, or start without precall's proposer."
            raise ConfigError(f"The tool-call parser is {tool_parser!r}, whose calls precall cannot draft. {remedy}")
        tokenizer = handler.renderer.tokenizer
        encoder, family = PlainEncoder(tokenizer), family_of(tool_parser, tokenizer)
        name, arguments = probe()
        call_styles = family.call_styles(await compat.render_call(handler, name, arguments), name, arguments)
        answers = await client.collective_rpc("precall_bind", args=(list(family.opener), family.turn_end))
        if None in answers:
            remedy = "Name precall.engine.proposer.ToolProposer in --speculative-config."
            raise ConfigError(f"The workers have precall's extension but not its proposer. {remedy}")
        return cls(client, encoder, call_styles, min(answers))

    def cached(self, response_id: str, calls: Sequence[ToolCall]) -> None:
        """Have the cached calls of a live response drafted from one of the next steps on."""
        for call in calls:
            if len(call.arguments) > _MAX_CHARS:
                continue
            serial, arguments = next(self._serials), json.loads(call.arguments)
            candidates = [
                [serial, index, self._encoder.encode(*style.parts(call.name, arguments))]
                for index, style in enumerate(self._styles)
            ]
            added = self._added.setdefault(response_id, [])
            self._added[response_id] = [*added, *candidates][-MAX_CANDIDATES:]
        if response_id in self._added:
            self._known.add(response_id)
            self._send_soon()

    def closed(self, response_id: str) -> None:
        """Forget a response that has ended."""
        self._added.pop(response_id, None)
        if response_id in self._known:
            self._known.discard(response_id)
            self._dropped.add(response_id)
            self._send_soon()

    def _send_soon(self) -> None:
        if self._sending is None:
            self._sending = asyncio.get_running_loop().create_task(self._send())

    async def _send(self) -> None:
        try:
            while self._added or self._dropped:
                added, dropped = self._added, sorted(self._dropped)
                self._added, self._dropped = {}, set()
                await self._client.collective_rpc("precall_update", args=(added, dropped))
        except Exception:  # drafts only save time: without them the engine serves on
            logger.exception("Candidates could not be sent to the workers; their calls are not drafted.")
        finally:
            self._sending = None
