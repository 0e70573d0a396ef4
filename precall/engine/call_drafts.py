"""What the proposer knows of cached calls, and which of their tokens it drafts next (the paper's O2). Imports no vLLM.

A candidate is a cached call as tokens, from after the opener of a call to the end of the call, without the token that
ends the turn. That token is never drafted: vLLM's streaming input drops the last token of a turn unless it was an
accepted draft, and a resident sequence sends it again. It costs nothing, since the pass that verifies the whole call
samples the token after it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

TokenArray = np.ndarray
"""One dimension of token ids (int)."""

MAX_CANDIDATES = 256
MAX_TOKENS = 65536
"""The latest candidates that are kept for a response, and their tokens together: whoever posts must not fill the
workers' memory."""
_MAX_CALLS = 16
"""The latest openers of a turn that are looked at: one that is written over and over must not hold up every step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A cached call in one style of writing. `serial` is that of its post: a later one is larger."""

    serial: int
    style: int
    token_ids: tuple[int, ...]


@dataclass(slots=True, kw_only=True)
class ResponseDrafts:
    """The candidates of one response, latest first, and the serials of calls that the model has written already."""

    candidates: list[Candidate] = field(default_factory=list)
    written: set[int] = field(default_factory=set)


def bounded(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Return the latest candidates, the latest first, within the bounds; of equal ones the later stays."""
    kept: dict[tuple[int, ...], Candidate] = {}
    num_tokens = 0
    for candidate in sorted(candidates, key=lambda item: (-item.serial, item.style)):
        if candidate.token_ids in kept:
            continue
        num_tokens += len(candidate.token_ids)
        if num_tokens > MAX_TOKENS or len(kept) == MAX_CANDIDATES:
            break
        kept[candidate.token_ids] = candidate
    return list(kept.values())


class CallDrafts:
    """The candidates of all responses, by the key that stands for a response. `opener` is the token sequence with which
    a call begins, `turn_end` the token that ends a turn with calls."""

    def __init__(self, opener: Sequence[int], turn_end: int) -> None:
        assert len(opener) > 0, "a call begins with at least one token"
        self._opener, self._turn_end = tuple(opener), turn_end
        self._responses: dict[str, ResponseDrafts] = {}
        self._style = 0  # that of the call which the model has written last

    def __len__(self) -> int:
        return len(self._responses)

    def add(self, key: str, candidates: Sequence[Candidate]) -> None:
        """Add candidates of a response."""
        for candidate in candidates:
            assert self._turn_end not in candidate.token_ids, "the token that ends a turn is never drafted"
        response = self._responses.setdefault(key, ResponseDrafts())
        response.candidates = bounded([*response.candidates, *candidates])

    def drop(self, key: str) -> None:
        """Forget a response; one that is not known is ignored."""
        self._responses.pop(key, None)

    def has(self, key: str) -> bool:
        return key in self._responses

    def draft(self, key: str, generated: TokenArray, limit: int) -> list[int]:
        """Return at most `limit` tokens to follow `generated`, what the response's current turn has so far.

        They are those of the latest candidate that goes on from what stands after the last opener, calls already
        written left out: so a draft begins at the opener, and anew where the model has turned to another call.
        """
        response = self._responses.get(key)
        starts = self._call_starts(generated)
        if response is None or not starts:
            return []
        longest = max((len(candidate.token_ids) for candidate in response.candidates), default=0)
        calls = [tuple(generated[start : start + longest].tolist()) for start in starts[-_MAX_CALLS:]]
        for candidate in response.candidates:
            if any(call[: len(candidate.token_ids)] == candidate.token_ids for call in calls):
                response.written.add(candidate.serial)
                self._style = candidate.style
        if len(generated) - starts[-1] > longest:
            return []
        begun = calls[-1]
        for candidate in self._preferred(response):
            token_ids = candidate.token_ids
            if len(begun) < len(token_ids) and token_ids[: len(begun)] == begun:
                return list(token_ids[len(begun) : len(begun) + limit])
        return []

    def _preferred(self, response: ResponseDrafts) -> list[Candidate]:
        open_candidates = [item for item in response.candidates if item.serial not in response.written]
        return sorted(open_candidates, key=lambda item: (-item.serial, item.style != self._style, item.style))

    def _call_starts(self, generated: TokenArray) -> list[int]:
        """Return the positions after the openers, in order."""
        size = len(self._opener)
        ends = (np.flatnonzero(generated == self._opener[-1]) + 1).tolist()
        return [end for end in ends if end >= size and tuple(generated[end - size : end].tolist()) == self._opener]
