"""A cache of limited size that forgets what was used least recently, or what is too old."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Callable, Hashable, Optional, Tuple

MISSING = object()


@dataclass(frozen=True)
class Info:
    hits: int
    misses: int
    size: int


class Cache:
    """Holds up to `max_size` results, each for `ttl_s` seconds of `clock`, or for ever."""

    def __init__(self, max_size: int, ttl_s: Optional[float], clock: Callable[[], float]) -> None:
        if max_size < 1:
            raise ValueError(f"max_size is {max_size}; it must be at least 1")
        if ttl_s is not None and ttl_s <= 0:
            raise ValueError(f"ttl_s is {ttl_s}; it must be above 0")
        self._max_size = max_size
        self._ttl_s = ttl_s
        self._clock = clock
        self._kept: "OrderedDict[Hashable, Tuple[float, Any]]" = OrderedDict()
        self._hits = self._misses = 0

    def get(self, key: Hashable) -> Any:
        """Return what is kept under a key, MISSING if nothing is, or if it is too old."""
        kept = self._kept.get(key)
        if kept is not None and self._ttl_s is not None and self._clock() - kept[0] >= self._ttl_s:
            del self._kept[key]
            kept = None
        if kept is None:
            self._misses += 1
            return MISSING
        self._hits += 1
        self._kept.move_to_end(key)
        return kept[1]

    def put(self, key: Hashable, value: Any) -> None:
        self._kept[key] = (self._clock(), value)
        self._kept.move_to_end(key)
        while len(self._kept) > self._max_size:
            self._kept.popitem(last=False)

    def clear(self) -> None:
        self._kept.clear()
        self._hits = self._misses = 0

    def info(self) -> Info:
        return Info(self._hits, self._misses, len(self._kept))
