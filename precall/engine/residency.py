"""Sets residency up for a server, or says why its requests stay ordinary."""

import functools
import logging
from collections.abc import Callable
from typing import Any

from precall.engine import compat
from precall.engine.admission import Admission
from precall.engine.families import family_of
from precall.engine.metrics import EngineMetrics
from precall.engine.resident import ResidentRequest
from precall.engine.settings import EngineSettings
from precall.engine.splice import Splicer
from precall.engine.store import LiveResponse
from precall.engine.support import why_request_is_ordinary, why_server_is_ordinary
from precall.engine.template import ResultTemplate
from precall.errors import ConfigError
from precall.wire import ExecutedTurn, ResponseOptions

logger = logging.getLogger("vllm.precall")


class Residency:
    """Makes requests resident. `why_off` says why none can be, None if some can."""

    def __init__(self, settings: EngineSettings, metrics: EngineMetrics, why_off: str | None) -> None:
        self.why_off = why_off
        self.admission: Admission | None = None
        self._settings = settings
        self._metrics = metrics
        self._splicer: Splicer | None = None

    @classmethod
    async def start(
        cls,
        handler: Any,
        vllm_config: Any,
        tool_parser: str | None,
        settings: EngineSettings,
        metrics: EngineMetrics,
        *,
        num_draft_tokens: int,
    ) -> "Residency":
        """Return the residency of a server, after a trial of its chat template.

        `num_draft_tokens` is how many tokens precall's proposer drafts at most in a step, 0 where it is not loaded.
        """
        why_off = "it is switched off"
        if settings.residency:
            why_off = why_server_is_ordinary(handler, vllm_config, tool_parser, num_draft_tokens > 0)
        residency = cls(settings, metrics, why_off)
        if why_off is None:
            try:
                assert tool_parser is not None, "a server without a tool-call parser is ordinary"
                await residency._prepare(handler, vllm_config, tool_parser, num_draft_tokens)
            except ConfigError as error:
                residency.why_off = str(error)
        if residency.why_off is not None:
            logger.warning("precall: no request will be resident: %s.", residency.why_off.rstrip("."))
        return residency

    async def _prepare(self, handler: Any, vllm_config: Any, tool_parser: str, num_draft_tokens: int) -> None:
        tokenizer = handler.renderer.tokenizer
        family = family_of(tool_parser, tokenizer)
        template = ResultTemplate(tokenizer, family, functools.partial(compat.render_prompt, handler))
        await template.check(compat.sample_request())
        self._splicer = Splicer(handler, template, self._settings, self._metrics)
        self.admission = Admission(
            num_blocks=vllm_config.cache_config.num_gpu_blocks or 0,
            num_longest=compat.num_longest_blocks(vllm_config.cache_config),
            block_size=vllm_config.cache_config.block_size,
            max_model_len=vllm_config.model_config.max_model_len,
            max_num_seqs=vllm_config.scheduler_config.max_num_seqs,
            num_draft_tokens=num_draft_tokens,
        )

    def make(
        self,
        request: Any,
        response: LiveResponse,
        options: ResponseOptions,
        on_executed: Callable[[ExecutedTurn], None],
    ) -> ResidentRequest | None:
        """Return how a chat request is resident, None when it runs as an ordinary one."""
        why_ordinary = None if self._splicer is None else why_request_is_ordinary(request)
        if self._splicer is None or self.admission is None or why_ordinary is not None:
            self._metrics.ordinary(why_ordinary)
            return None
        return ResidentRequest(
            request=request,
            response=response,
            options=options,
            splicer=self._splicer,
            admission=self.admission,
            settings=self._settings,
            metrics=self._metrics,
            on_executed=on_executed,
        )
