"""The API server's side of O2: what is cached for a response goes to the workers' proposer as candidates.

Posts arrive in the middle of a generation, so candidates travel by `collective_rpc`, which waits for the running step.
One call is under way at a time, and what comes meanwhile goes with the next. They are encoded in a thread: a post must
not hold up the event loop.
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
_MAX_CHARS = 4096
"""A call whose name and arguments are longer together is not drafted."""


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
        self._pending: dict[str, list[tuple[int, ToolCall]]] = {}
        self._dropped: set[str] = set()
        self._sent: set[str] = set()  # keys of which the workers may hold candidates
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

    def cached(self, draft_key: str, calls: Sequence[ToolCall]) -> None:
        """Have the cached calls of a live response drafted from one of the next steps on."""
        numbered = [(next(self._serials), call) for call in calls if len(call.name) + len(call.arguments) <= _MAX_CHARS]
        if numbered:
            pending = self._pending.get(draft_key, [])
            self._pending[draft_key] = [*pending, *numbered][-MAX_CANDIDATES // len(self._styles) :]
            self._send_soon()

    def closed(self, draft_key: str) -> None:
        """Forget a response that has ended."""
        self._pending.pop(draft_key, None)
        if draft_key in self._sent:
            self._dropped.add(draft_key)
            self._send_soon()

    def _send_soon(self) -> None:
        if self._sending is None:
            self._sending = asyncio.get_running_loop().create_task(self._send())

    async def _send(self) -> None:
        try:
            while self._pending or self._dropped:
                await self._send_once()
        except Exception:  # drafts only save time: without them the engine serves on
            logger.exception("Candidates could not be sent to the workers; what they hold is dropped with the next.")
        finally:
            self._sending = None

    async def _send_once(self) -> None:
        pending, dropped = self._pending, self._dropped
        self._pending, self._dropped = {}, set()
        self._sent |= pending.keys()
        try:
            added = await asyncio.to_thread(self._candidates, pending)
            await self._client.collective_rpc("precall_update", args=(added, sorted(dropped)))
        except BaseException:
            self._dropped |= dropped | pending.keys()
            raise
        self._sent -= dropped

    def _candidates(self, pending: dict[str, list[tuple[int, ToolCall]]]) -> dict[str, list[list[Any]]]:
        """Return the calls as candidates: [serial, style, token ids] for each style."""
        return {
            key: [
                [serial, index, self._encoder.encode(*style.parts(call.name, json.loads(call.arguments)))]
                for serial, call in calls
                for index, style in enumerate(self._styles)
            ]
            for key, calls in pending.items()
        }
