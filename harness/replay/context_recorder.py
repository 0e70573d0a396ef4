"""A logits processor that writes down what the worker holds as a request's prompt whenever it is given a row.

Loaded with `--logits-processors harness.replay.context_recorder:ContextRecorder`; requests say `context_tag` in their
`vllm_xargs`. A session is given a row anew for every chunk, with its whole context so far. The rows go, as JSON lines,
to the file that the variable `PRECALL_CONTEXT_FILE` names.
"""

import json
import os
from typing import TYPE_CHECKING

from vllm.v1.sample.logits_processor.interface import BatchUpdate, LogitsProcessor

if TYPE_CHECKING:
    import torch
    from vllm.config import VllmConfig

FILE = "PRECALL_CONTEXT_FILE"
PARAMETER = "context_tag"


class ContextRecorder(LogitsProcessor):
    """Changes no logit."""

    def __init__(self, vllm_config: "VllmConfig", device: "torch.device", is_pin_memory: bool) -> None:
        self._path = os.environ.get(FILE)

    def is_argmax_invariant(self) -> bool:
        return True

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        for _, params, prompt_token_ids, output_token_ids in batch_update.added if batch_update else ():
            tag = (params.extra_args or {}).get(PARAMETER)
            if tag is not None and self._path:
                prompt = list(prompt_token_ids or ())
                row = {"tag": tag, "prompt": prompt, "num_output": len(output_token_ids)}
                with open(self._path, "a", encoding="utf-8") as file:
                    file.write(json.dumps(row) + "\n")

    def apply(self, logits: "torch.Tensor") -> "torch.Tensor":
        return logits
