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
"""The latest that are kept for a response; one that is posted over and over must not fill the workers' memory."""


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


class CallDrafts:
    """The candidates of all responses. `opener` is the token sequence with which a call begins."""

    def __init__(self) -> None:
        self.opener: tuple[int, ...] = ()
        self._turn_end = -1
        self._responses: dict[str, ResponseDrafts] = {}
        self._style = 0  # that of the call which the model has written last

    def configure(self, opener: Sequence[int], turn_end: int) -> None:
        """Set what begins a call and what ends a turn."""
        assert len(opener) > 0, "a call begins with at least one token"
        self.opener, self._turn_end = tuple(opener), turn_end

    def __len__(self) -> int:
        return len(self._responses)

    def add(self, response_id: str, candidates: Sequence[Candidate]) -> None:
        """Add candidates of a response."""
        for candidate in candidates:
            assert self._turn_end not in candidate.token_ids, "the token that ends a turn is never drafted"
        response = self._responses.setdefault(response_id, ResponseDrafts())
        latest_first = sorted([*response.candidates, *candidates], key=lambda item: -item.serial)
        response.candidates = latest_first[:MAX_CANDIDATES]

    def drop(self, response_id: str) -> None:
        """Forget a response; one that is not known is ignored."""
        self._responses.pop(response_id, None)

    def has(self, response_id: str) -> bool:
        return response_id in self._responses

    def draft(self, response_id: str, generated: TokenArray, limit: int) -> list[int]:
        """Return at most `limit` tokens to follow `generated`, what the response's current turn has so far.

        They are those of the latest candidate that goes on from what stands after the last opener, calls already
        written left out: so a draft begins at the opener, and anew where the model has turned to another call.
        """
        response = self._responses.get(response_id)
        starts = self._call_starts(generated)
        if response is None or not starts:
            return []
        calls = [tuple(generated[start:].tolist()) for start in starts]
        for candidate in response.candidates:
            if any(call[: len(candidate.token_ids)] == candidate.token_ids for call in calls):
                response.written.add(candidate.serial)
                self._style = candidate.style
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
        size = len(self.opener)
        ends = (np.flatnonzero(generated == self.opener[-1]) + 1).tolist()
        return [end for end in ends if end >= size and tuple(generated[end - size : end].tolist()) == self.opener]
