"""What a vLLM server is started with to have precall's engine side."""

import json
from dataclasses import replace

from harness.backends.vllm_settings import VllmServerSettings

SERVE_MODULE = "precall.engine.serve"
PROPOSER = "precall.engine.proposer.ToolProposer"
REPLAY_PROPOSER = "harness.replay.proposer.ReplayToolProposer"
PROPOSER_EXTENSION = "precall.engine.proposer.ToolProposerExtension"


def with_engine_side(
    settings: VllmServerSettings,
    *,
    is_residency: bool,
    num_speculative_tokens: int | None,
    proposer: str = PROPOSER,
) -> VllmServerSettings:
    """Return the settings of a server with the tool cache, equal in all else. With `num_speculative_tokens` the class
    `proposer` drafts cached calls; None: nothing does."""
    args = ["--additional-config.precall.residency", json.dumps(is_residency)]
    if num_speculative_tokens is not None:
        speculative = {
            "method": "custom_class",
            "model": proposer,
            "num_speculative_tokens": num_speculative_tokens,
        }
        args += ["--speculative-config", json.dumps(speculative), "--worker-extension-cls", PROPOSER_EXTENSION]
        # vLLM refuses V1 logits processors beside speculative decoding; proposers for replay and checks do their work.
        settings = replace(settings, logits_processors=())
    return replace(settings, entry_module=SERVE_MODULE, extra_args=(*args, *settings.extra_args))
