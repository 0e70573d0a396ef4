"""The tool outputs cached for one response: entries by key, their sizes and their expiry."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from precall.calls import CallKey, ToolCall, canonical_key
from precall.errors import MalformedCallError, ToolCacheError
from precall.wire import ToolOutput

Schemas = Mapping[str, Mapping[str, Any]]
"""Tool name -> JSON schema of its parameters, as the request declares them."""


@dataclass(slots=True)
class Tally:
    """Entries and bytes held by several tables together."""

    num_entries: int = 0
    num_bytes: int = 0

    def add(self, num_entries: int, num_bytes: int) -> None:
        self.num_entries += num_entries
        self.num_bytes += num_bytes
        assert self.num_entries >= 0 and self.num_bytes >= 0, f"{self} counts what was never added"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """`text` None: the call was announced as running. `expires_s` is on the store's clock."""

    call: ToolCall
    text: str | None
    expires_s: float
    num_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lookup:
    """What the cache knows of a turn's calls.

    `texts` holds one observation per call, in the order of the calls, when all are cached; else it is None, and
    `is_pending` says whether every missing one was announced as running.
    """

    texts: tuple[str, ...] | None
    is_pending: bool = False


def entry_of(output: ToolOutput, expires_s: float) -> tuple[CallKey, Entry]:
    """Return the key under which `output` is stored, and the entry.

    The key is that of a tool without a schema, which tells more calls apart than one with a schema does; `find`
    applies the schema. Raises ToolCacheError (422) for arguments that have no key.
    """
    try:
        key = canonical_key(output.call)
    except MalformedCallError as error:
        raise ToolCacheError(422, str(error)) from error
    text = None if output.is_running else output.text
    num_bytes = sum(len(part.encode(errors="replace")) for part in (*key, text or ""))
    return key, Entry(call=output.call, text=text, expires_s=expires_s, num_bytes=num_bytes)


@dataclass(slots=True, kw_only=True)
class EntryTable:
    """The entries of one response, oldest first. What it holds is also counted in `tally`."""

    tally: Tally
    clock: Callable[[], float]
    _entries: dict[CallKey, Entry] = field(default_factory=dict)
    num_bytes: int = 0

    def __len__(self) -> int:
        return len(self._entries)

    def calls_with_output(self) -> list[ToolCall]:
        """Return the calls that have an output, the latest last."""
        return [entry.call for entry in self._entries.values() if entry.text is not None]

    def growth(self, entries: Mapping[CallKey, Entry]) -> tuple[int, int]:
        """Return how many entries and bytes more the table would hold after `put`."""
        added = self._effective(entries)
        replaced = [self._entries[key] for key in added if key in self._entries]
        num_bytes = sum(entry.num_bytes for entry in added.values()) - sum(entry.num_bytes for entry in replaced)
        return len(added) - len(replaced), num_bytes

    def put(self, entries: Mapping[CallKey, Entry]) -> None:
        """Add entries; each replaces an older one of the same key and becomes the latest.

        An announcement does not replace an output, for it may have been overtaken by it.
        """
        for key, entry in self._effective(entries).items():
            self._remove(key)
            self._entries[key] = entry
            self._count(1, entry.num_bytes)

    def count(self) -> Tally:
        """Return the entries that can be used, and their bytes. Changes nothing; any thread may call it."""
        now_s = self.clock()
        held = [entry for entry in tuple(self._entries.values()) if entry.expires_s > now_s]
        return Tally(len(held), sum(entry.num_bytes for entry in held))

    def expire(self) -> None:
        """Remove the entries whose time is over."""
        now_s = self.clock()
        for key in [key for key, entry in self._entries.items() if entry.expires_s <= now_s]:
            self._remove(key)

    def clear(self) -> None:
        """Remove every entry."""
        for key in list(self._entries):
            self._remove(key)

    def move_to(self, other: "EntryTable") -> None:
        """Move every entry to another table."""
        entries = dict(self._entries)
        self.clear()
        other.put(entries)

    def find(self, calls: Sequence[ToolCall], schemas: Schemas) -> Lookup:
        """Look up all calls of a turn; they hit together or not at all. The same call twice hits the same entry."""
        self.expire()
        found = [self._find(call, schemas.get(call.name)) for call in calls]
        texts = [entry.text for entry in found if entry is not None and entry.text is not None]
        if found and len(texts) == len(found):
            return Lookup(texts=tuple(texts))
        return Lookup(texts=None, is_pending=bool(found) and None not in found)

    def _effective(self, entries: Mapping[CallKey, Entry]) -> dict[CallKey, Entry]:
        has_output = {key for key in entries if key in self._entries and self._entries[key].text is not None}
        return {key: entry for key, entry in entries.items() if entry.text is not None or key not in has_output}

    def _find(self, call: ToolCall, schema: Mapping[str, Any] | None) -> Entry | None:
        try:
            key = canonical_key(call, schema)
        except MalformedCallError:
            return None
        for entry in reversed(self._entries.values()):
            if entry.call.name == call.name and canonical_key(entry.call, schema) == key:
                return entry
        return None

    def _remove(self, key: CallKey) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._count(-1, -entry.num_bytes)

    def _count(self, num_entries: int, num_bytes: int) -> None:
        self.num_bytes += num_bytes
        self.tally.add(num_entries, num_bytes)
