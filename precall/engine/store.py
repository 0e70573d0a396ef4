"""The tool cache: which responses live, whose they are, and what has been posted for each.

The answers to every kind of post stand in a table in docs/tool-cache.md. All methods but `wait` are synchronous and
take effect at once; the cache is used from one event loop.
"""

import asyncio
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from precall.calls import CallKey, ToolCall
from precall.engine.entries import Entry, EntryTable, Lookup, Schemas, Tally, entry_of
from precall.engine.settings import EngineSettings
from precall.errors import ToolCacheError
from precall.wire import RESPONSE_ID_PREFIX, ToolOutput

Owner = bytes | None
"""The digest of the secret that a response is bound to; None for the paper's plain form, on a single-user server."""


class Listener(Protocol):
    """Whom the tool cache tells what it holds for live responses."""

    def cached(self, draft_key: str, calls: Sequence[ToolCall]) -> None:
        """Outputs of these calls have been cached, the latest last. Raises nothing."""

    def closed(self, draft_key: str) -> None:
        """The response has ended. Raises nothing."""


@dataclass(slots=True, kw_only=True, eq=False)
class LiveResponse:
    """A response from the arrival of its request to its end.

    `draft_key` stands for it in the workers: nobody else can name it, as the id can be named by any request.
    """

    response_id: str
    owner: Owner
    schemas: Schemas
    table: EntryTable
    has_new_entries: asyncio.Event = field(default_factory=asyncio.Event)
    draft_key: str = field(default_factory=lambda: secrets.token_hex(8))

    def find(self, calls: Sequence[ToolCall]) -> Lookup:
        """Look up all calls of a turn, under the schemas of the request's tools."""
        return self.table.find(calls, self.schemas)

    async def wait(self, calls: Sequence[ToolCall], timeout_s: float) -> Lookup:
        """Look up the calls, waiting at most `timeout_s` while all that are missing are announced as running."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self.find(calls).is_pending:
                    self.has_new_entries.clear()
                    await self.has_new_entries.wait()
        return self.find(calls)


@dataclass(frozen=True, slots=True, kw_only=True)
class _EarlyPost:
    table: EntryTable
    expires_s: float


class ToolCache:
    """Everything the engine side holds for its clients. `clock` gives seconds and never goes back."""

    def __init__(
        self, settings: EngineSettings, clock: Callable[[], float] = time.monotonic, listener: Listener | None = None
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._listener = listener
        self._live: dict[str, LiveResponse] = {}
        self._early: OrderedDict[tuple[str, Owner], _EarlyPost] = OrderedDict()  # the first to expire first
        self._finished: OrderedDict[str, Owner] = OrderedDict()
        self._tally = Tally()
        self._early_tally = Tally()

    @property
    def num_live(self) -> int:
        return len(self._live)

    @property
    def has_listener(self) -> bool:
        return self._listener is not None

    def count(self) -> Tally:
        """Return the entries that can be used, and their bytes, early posts included. Changes nothing; any thread may
        call it."""
        now_s = self._clock()
        tables = [response.table for response in tuple(self._live.values())]
        tables += [early.table for early in tuple(self._early.values()) if early.expires_s > now_s]
        counts = [table.count() for table in tables]
        return Tally(sum(count.num_entries for count in counts), sum(count.num_bytes for count in counts))

    def open(self, response_id: str, owner: Owner, schemas: Schemas) -> LiveResponse:
        """Register a response at the arrival of its request, with what its owner has posted early.

        Raises ToolCacheError (409) when a response of this id lives.
        """
        if response_id in self._live:
            rule = "a live response id cannot be reused. Send another X-Request-Id, or wait until it has ended."
            raise ToolCacheError(409, f"The response {response_id} lives; {rule}")
        self._expire_early()
        table = EntryTable(tally=self._tally, clock=self._clock)
        response = LiveResponse(response_id=response_id, owner=owner, schemas=schemas, table=table)
        for key in [key for key in self._early if key[0] == response_id]:
            early = self._early.pop(key).table
            if _is_same(key[1], owner) and self._tally.num_bytes + early.num_bytes <= self._settings.max_total_bytes:
                early.move_to(table)
            early.clear()
        self._finished.pop(response_id, None)
        self._live[response_id] = response
        self._tell(response, table.calls_with_output())
        return response

    def close(self, response: LiveResponse) -> None:
        """Drop a response and its entries at its end. Closing it again does nothing."""
        if self._live.get(response.response_id) is not response:
            return
        del self._live[response.response_id]
        response.table.clear()
        response.has_new_entries.set()
        if self._listener is not None:
            self._listener.closed(response.draft_key)
        self._finished[response.response_id] = response.owner
        while len(self._finished) > self._settings.num_remembered:
            self._finished.popitem(last=False)

    def put(self, response_id: str, owner: Owner, outputs: Sequence[ToolOutput]) -> int:
        """Cache outputs for a response and return how many; all of them, or none with ToolCacheError."""
        if owner is None and not self._settings.single_user:
            remedy = "Send the X-Precall-Secret that its request was sent with."
            raise ToolCacheError(403, f"The post for {response_id} has no secret; this server needs one. {remedy}")
        entries = self._entries_of(outputs)
        response = self._live.get(response_id)
        if response is not None:
            _check_owner(response_id, response.owner, owner)
            self._put_live(response, entries)
        elif response_id in self._finished:
            _check_owner(response_id, self._finished[response_id], owner)
            raise ToolCacheError(410, f"The response {response_id} has ended; outputs are taken while it lives.")
        elif not response_id.startswith(RESPONSE_ID_PREFIX):
            rule = f"it must be {RESPONSE_ID_PREFIX} followed by the request's X-Request-Id"
            raise ToolCacheError(404, f"The response id is {response_id!r}; {rule}.")
        elif entries:
            self._put_early(response_id, owner, entries)
        return len(entries)

    def _entries_of(self, outputs: Sequence[ToolOutput]) -> dict[CallKey, Entry]:
        now_s = self._clock()
        entries: dict[CallKey, Entry] = {}
        for output in outputs:
            keep_alive_s = self._settings.default_ttl_s if output.keep_alive_s is None else output.keep_alive_s
            key, entry = entry_of(output, now_s + min(keep_alive_s, self._settings.max_ttl_s))
            if entry.num_bytes > self._settings.max_entry_bytes:
                rule = f"max_entry_bytes is {self._settings.max_entry_bytes}"
                raise ToolCacheError(413, f"The entry for {output.name} has {entry.num_bytes} bytes; {rule}.")
            entries.pop(key, None)  # the latest of a post stands last
            entries[key] = entry
        return entries

    def _put_live(self, response: LiveResponse, entries: dict[CallKey, Entry]) -> None:
        response.table.expire()
        self._check_response(response.response_id, response.table, entries)
        num_new_bytes = response.table.growth(entries)[1]
        if self._tally.num_bytes + num_new_bytes > self._settings.max_total_bytes:
            self._expire()
            _check_room("max_total_bytes", self._tally.num_bytes + num_new_bytes, self._settings.max_total_bytes)
        response.table.put(entries)
        response.has_new_entries.set()
        self._tell(response, [entry.call for entry in entries.values() if entry.text is not None])

    def _tell(self, response: LiveResponse, calls: Sequence[ToolCall]) -> None:
        if self._listener is not None and calls:
            self._listener.cached(response.draft_key, calls)

    def _put_early(self, response_id: str, owner: Owner, entries: dict[CallKey, Entry]) -> None:
        self._expire_early()
        early = self._early.get((response_id, owner))
        if early is None:
            _check_room("max_early_posts", len(self._early) + 1, self._settings.max_early_posts)
            table = EntryTable(tally=self._early_tally, clock=self._clock)
            early = _EarlyPost(table=table, expires_s=self._clock() + self._settings.early_ttl_s)
        early.table.expire()
        self._check_response(response_id, early.table, entries)
        num_bytes = self._early_tally.num_bytes + early.table.growth(entries)[1]
        _check_room("max_early_bytes", num_bytes, self._settings.max_early_bytes)
        early.table.put(entries)
        self._early[response_id, owner] = early

    def _check_response(self, response_id: str, table: EntryTable, entries: dict[CallKey, Entry]) -> None:
        num_entries, num_bytes = table.growth(entries)
        what = f" of {response_id}"
        limits = self._settings
        _check_room("max_entries_per_response", len(table) + num_entries, limits.max_entries_per_response, what)
        _check_room("max_bytes_per_response", table.num_bytes + num_bytes, limits.max_bytes_per_response, what)

    def _expire(self) -> None:
        self._expire_early()
        for response in self._live.values():
            response.table.expire()

    def _expire_early(self) -> None:
        now_s = self._clock()
        while self._early and next(iter(self._early.values())).expires_s <= now_s:
            self._early.popitem(last=False)[1].table.clear()
        for early in self._early.values():
            early.table.expire()


def _is_same(first: Owner, second: Owner) -> bool:
    if first is None or second is None:
        return first is second
    return hmac.compare_digest(first, second)


def _check_owner(response_id: str, owner: Owner, claimed: Owner) -> None:
    if not _is_same(owner, claimed):
        rule = "a post needs the X-Precall-Secret that the request was sent with"
        raise ToolCacheError(403, f"The response {response_id} is bound to another secret; {rule}.")


def _check_room(limit: str, needed: int, allowed: int, what: str = "") -> None:
    if needed > allowed:
        remedy = "Nothing of the post was kept; post less, or wait until entries have expired."
        raise ToolCacheError(429, f"The post would fill {limit}{what} to {needed}; it is {allowed}. {remedy}")
