"""When a request that failed is sent again, and after how long.

The openai client repeats requests by itself; here it is told not to. Its own repeats end where the response's headers
have come, so that a stream that breaks before its first token is lost; and they pass by the rate limits and the usage
meter. The numbers are its own.
"""

import email.utils
import math
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass

from precall.errors import ConfigError

STATUSES = (429, 500, 502, 503, 504)
JITTER = 0.25
"""The share of a delay that is drawn at random, so that clients that failed together do not return together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Repeats a request up to `max_retries` times where the endpoint was busy or broken (`STATUSES`, or the connection
    failed) and not a token of the answer has come.

    Retry i, from 0, waits `first_delay_s` 2^i seconds, at most `max_delay_s`, less a random part; or what the endpoint
    says in Retry-After, and a random part more. If it says more than `max_retry_after_s`, or that the account's quota
    is used up, the request fails at once.
    """

    max_retries: int = 0
    first_delay_s: float = 0.5
    max_delay_s: float = 8.0
    max_retry_after_s: float = 120.0

    def __post_init__(self) -> None:
        for name in ("max_retries", "first_delay_s", "max_delay_s", "max_retry_after_s"):
            value = getattr(self, name)
            if not 0 <= value < math.inf:
                raise ConfigError(f"{name} of a retry policy is {value}; it must be 0 or more.")

    def delay_s(self, num_failed: int, error: BaseException | None) -> float | None:
        """Return the seconds until the next attempt after `num_failed` before this one, None if there is none.

        `error` is what the openai client or httpx raised; None: the stream ended before it had begun.
        """
        if num_failed >= self.max_retries or not _is_passing(error):
            return None
        response = getattr(error, "response", None)
        wanted_s = None if response is None else retry_after_s(response.headers)
        if wanted_s is None:
            return min(self.first_delay_s * 2.0 ** min(num_failed, 60), self.max_delay_s) * random.uniform(
                1 - JITTER, 1
            )
        return wanted_s * random.uniform(1, 1 + JITTER) if wanted_s <= self.max_retry_after_s else None


def _is_passing(error: BaseException | None) -> bool:
    """Whether a repeat may succeed."""
    import httpx
    import openai

    if error is None or isinstance(error, openai.APIConnectionError | httpx.TransportError | OSError):
        return True
    if isinstance(error, openai.APIError):  # with a status, or sent in the stream
        status = error.status_code if isinstance(error, openai.APIStatusError) else error.code
        return error.code != "insufficient_quota" and str(status) in map(str, (*STATUSES, "server_error"))
    return False


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds for which a response asks to wait (RFC 9110: a number or a date; retry-after-ms is OpenAI's
    and finer), None if it does not."""
    for name, unit_s in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        text = headers.get(name)
        if text is None:
            continue
        try:
            seconds = float(text) * unit_s
        except ValueError:
            parsed = email.utils.parsedate_tz(text)
            if parsed is None:
                continue
            seconds = email.utils.mktime_tz(parsed) - time.time()
        if math.isfinite(seconds):
            return max(0.0, seconds)
    return None
