"""The decorator."""

import functools
import time
from typing import Any, Callable, Optional, TypeVar

from keepsake.cache import MISSING, Cache
from keepsake.keys import make_key, normaliser

F = TypeVar("F", bound=Callable[..., Any])


def keep(
    max_size: int = 128, ttl_s: Optional[float] = None, clock: Callable[[], float] = time.monotonic
) -> Callable[[F], Any]:
    """Keep the results of a function. What it raises is not kept. The function gets `info()` and `clear()`."""

    def decorate(function: F) -> Any:
        cache, normalise = Cache(max_size, ttl_s, clock), normaliser(function)

        @functools.wraps(function)
        def kept(*args: Any, **kwargs: Any) -> Any:
            key = make_key(*normalise(*args, **kwargs))
            value = cache.get(key)
            if value is MISSING:
                value = function(*args, **kwargs)
                cache.put(key, value)
            return value

        kept.info = cache.info  # type: ignore[attr-defined]
        kept.clear = cache.clear  # type: ignore[attr-defined]
        return kept

    return decorate
