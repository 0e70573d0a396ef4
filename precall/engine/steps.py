"""The vLLM stat logger plugin `precall_steps`: the scheduler's own numbers, as counters on /metrics.

vLLM's own counters see the first chunk of a resident sequence only. These are what each engine step has scheduled, in
every arm: the plugin loads without the endpoint plugin too. Needs `--enable-logging-iteration-details`; without it
nothing is counted, and nothing is shown. The names stand in docs/metrics.md.
"""

import functools
import logging
from collections.abc import Sequence
from typing import Any

from prometheus_client import Counter

from precall.engine import compat
from precall.errors import ConfigError

logger = logging.getLogger("vllm.precall")


class StepCounters:
    """What the engine steps of this process's engines have scheduled."""

    def __init__(self) -> None:
        self.steps = Counter("precall_engine_steps", "Engine steps that computed something.")
        self.decode_steps = Counter(
            "precall_decode_steps",
            "Engine steps that decoded for some sequence; in the others all were at their input.",
        )
        self.context_tokens = Counter(
            "precall_scheduled_context_tokens",
            "Tokens scheduled for sequences at their input: a prompt, or what follows a turn of a resident sequence.",
        )
        self.generation_tokens = Counter(
            "precall_scheduled_generation_tokens",
            "Tokens scheduled for sequences that decode, draft tokens included; after a preemption their context too.",
        )
        self.drafts = Counter("precall_drafts", "Drafts that were verified, whichever proposer made them.")
        self.drafted_tokens = Counter("precall_drafted_tokens", "Draft tokens that were verified.")
        self.accepted_tokens = Counter("precall_accepted_draft_tokens", "Draft tokens that were accepted.")


@functools.cache
def step_counters() -> StepCounters:
    """Return the counters of this process; Prometheus takes a name once."""
    return StepCounters()


class StepLogger(compat.stat_logger_base()):
    """Named by the entry point `precall_steps` of the group vllm.stat_logger_plugins; one for all engines."""

    def __init__(self, vllm_config: Any, engine_indexes: Sequence[int] = (0,)) -> None:
        self._counters = None
        if not vllm_config.observability_config.enable_logging_iteration_details:
            return
        try:
            compat.check_vllm()
        except ConfigError as error:  # an error here would end the start of a server that may not care
            logger.warning("precall_steps counts nothing: %s", error)
            return
        self._counters = step_counters()
        # The details are wanted as numbers; vLLM also writes them to the log, a line for each step.
        compat.hush_iteration_log()

    def record(
        self, scheduler_stats: Any, iteration_stats: Any, mm_cache_stats: Any = None, engine_idx: int = 0
    ) -> None:
        if self._counters is None or scheduler_stats is None:
            return
        details = scheduler_stats.iteration_details
        if details is None or details.is_dummy:
            return
        self._counters.steps.inc()
        if details.num_generation_requests:
            self._counters.decode_steps.inc()
        self._counters.context_tokens.inc(details.num_ctx_tokens)
        self._counters.generation_tokens.inc(details.num_generation_tokens)
        if (drafts := scheduler_stats.spec_decoding_stats) is not None:
            self._counters.drafts.inc(drafts.num_drafts)
            self._counters.drafted_tokens.inc(drafts.num_draft_tokens)
            self._counters.accepted_tokens.inc(drafts.num_accepted_tokens)

    def log_engine_initialized(self) -> None:
        """vLLM asks every stat logger to say so; the others do."""
