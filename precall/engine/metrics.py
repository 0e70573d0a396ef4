"""What the engine side counts, on vLLM's own /metrics. Every name stands in docs/metrics.md.

All of it happens in the API server's process. What the scheduler did is counted by precall/engine/steps.py.
"""

import functools
import logging
import os
from typing import Literal, get_args

from prometheus_client import Counter, Gauge

from precall.engine.admission import Admission
from precall.engine.store import ToolCache

logger = logging.getLogger("vllm.precall")

LookupOutcome = Literal["hit", "miss", "hit_after_wait", "miss_after_wait"]
WhyNotSpliced = Literal["length", "room", "error"]
_NOT_RESIDENT = "no request of this server can be resident"


class EngineMetrics:
    """The counters of the engine side. Have them from `engine_metrics`, for a process can have one set alone."""

    def __init__(self) -> None:
        self._posts = Counter("precall_posts", "Posts to the tool cache, by the status of their answer.", ["status"])
        self._requests = Counter(
            "precall_requests",
            "Chat requests that opted in, by whether they ran as resident sequences, and if not, why.",
            ["outcome", "reason"],
        )
        self._lookups = Counter(
            "precall_lookups",
            "Turns with calls that were looked up in the tool cache; all calls of a turn hit together.",
            ["outcome"],
        )
        self._refused = Counter(
            "precall_refused_splices", "Turns whose calls hit and that were not spliced all the same.", ["reason"]
        )
        self._turns = Counter("precall_spliced_turns", "Turns that ended in a splice.")
        self._tokens = Counter("precall_spliced_tokens", "Tokens appended for results, template included.")
        self._avoided = Counter(
            "precall_prefill_tokens_avoided",
            "Context tokens that were in place at a splice, the turn itself included, and that a separate request "
            "would bring again. With prefix caching it would find the full blocks of them.",
        )
        self._stalls = Counter("precall_stalled_turns", "Spliced turns that the watchdog ended.")
        for outcome in get_args(LookupOutcome):
            self._lookups.labels(outcome)
        for reason in get_args(WhyNotSpliced):
            self._refused.labels(reason)

    def posted(self, status: int) -> None:
        self._posts.labels(str(status)).inc()

    def resident(self) -> None:
        """A request runs as a resident sequence."""
        self._requests.labels("resident", "").inc()

    def ordinary(self, reason: str | None) -> None:
        """A request that opted in runs as an ordinary one; None: as every one of this server does."""
        self._requests.labels("ordinary", reason or _NOT_RESIDENT).inc()

    def looked_up(self, *, is_hit: bool, has_waited: bool) -> None:
        outcome = "hit" if is_hit else "miss"
        self._lookups.labels(f"{outcome}_after_wait" if has_waited else outcome).inc()

    def not_spliced(self, reason: WhyNotSpliced) -> None:
        self._refused.labels(reason).inc()

    def spliced(self, num_tokens: int, num_in_place: int) -> None:
        """A turn was spliced: `num_tokens` were appended to `num_in_place` that need not be computed again."""
        self._turns.inc()
        self._tokens.inc(num_tokens)
        self._avoided.inc(num_in_place)

    def stalled(self) -> None:
        self._stalls.inc()


@functools.cache
def engine_metrics() -> EngineMetrics:
    """Return the counters of this process; Prometheus takes a name once."""
    return EngineMetrics()


@functools.cache
def _gauge(name: str, documentation: str) -> Gauge:
    return Gauge(name, documentation)


def show_state(cache: ToolCache, admission: Admission | None) -> None:
    """Serve what a server holds, read whenever /metrics is asked for. In one process the last server is shown.

    vLLM collects in a worker thread, so whatever is read here must bear that.
    """
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        logger.warning("precall: PROMETHEUS_MULTIPROC_DIR is set; /metrics shows counters only, no gauges of precall.")
        return
    _gauge("precall_live_responses", "Responses that have opted in and not ended.").set_function(lambda: cache.num_live)
    entries = _gauge("precall_entries", "Entries of the tool cache that can be used, early posts included.")
    entries.set_function(lambda: cache.count().num_entries)
    num_bytes = _gauge("precall_entry_bytes", "Bytes of these entries: keys and outputs.")
    num_bytes.set_function(lambda: cache.count().num_bytes)
    sequences = _gauge("precall_resident_sequences", "Resident sequences.")
    sequences.set_function(lambda: admission.num_sessions if admission else 0)
    blocks = _gauge("precall_reserved_blocks", "KV blocks reserved for resident sequences.")
    blocks.set_function(lambda: admission.num_reserved if admission else 0)
