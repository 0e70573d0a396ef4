"""Calls a function again until it does not fail."""

import time
from typing import Callable, Optional, Tuple, Type, TypeVar

from again.backoff import Backoff
from again.errors import GaveUp, RetryAfter

T = TypeVar("T")
OnWait = Callable[[int, float, BaseException], None]


def retry(
    function: Callable[[], T],
    *,
    attempts: Optional[int] = 5,
    backoff: Optional[Backoff] = None,
    on: Tuple[Type[BaseException], ...] = (OSError,),
    sleep: Callable[[float], None] = time.sleep,
    on_wait: Optional[OnWait] = None,
) -> T:
    """Return what `function` returns. After an error of the kinds `on`, or RetryAfter, it is called again.

    `attempts` None goes on for ever. Raises GaveUp when the last attempt has failed, and any other error at once.
    `on_wait` is told the number of the attempt, the seconds to wait and the error.
    """
    if attempts is not None and attempts < 1:
        raise ValueError(f"attempts is {attempts}; it must be at least 1, or None for no limit")
    backoff = backoff or Backoff()
    waited_s = 0.0
    attempt = 0
    while True:
        try:
            return function()
        except (*on, RetryAfter) as error:
            if attempts is not None and attempt + 1 >= attempts:
                raise GaveUp(attempt + 1, waited_s) from error
            asked_s = error.seconds if isinstance(error, RetryAfter) else None
            wait_s = backoff.wait_s(attempt, asked_s)
            if on_wait is not None:
                on_wait(attempt, wait_s, error)
        sleep(wait_s)
        waited_s += wait_s
        attempt += 1
