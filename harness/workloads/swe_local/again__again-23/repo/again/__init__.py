"""Retries with growing waits."""

from again.backoff import Backoff
from again.errors import GaveUp, RetryAfter
from again.retry import retry

__all__ = ["Backoff", "GaveUp", "RetryAfter", "retry"]
