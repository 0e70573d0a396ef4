"""A logits processor that writes down what the worker holds as a request's prompt whenever it is given a row.

Loaded with `--logits-processors tests.integration.engine.context_recorder:ContextRecorder`; requests say
`context_tag` in their `vllm_xargs`. A session is given a row anew for every chunk, with its whole context so far.
"""

import json
import os

from vllm.v1.sample.logits_processor.interface import LogitsProcessor

FILE = "PRECALL_CONTEXT_FILE"
PARAMETER = "context_tag"


class ContextRecorder(LogitsProcessor):
    def __init__(self, vllm_config, device, is_pin_memory):
        self._path = os.environ.get(FILE)

    def is_argmax_invariant(self):
        return True

    def update_state(self, batch_update):
        for _, params, prompt_token_ids, output_token_ids in batch_update.added if batch_update else ():
            tag = (params.extra_args or {}).get(PARAMETER)
            if tag is not None and self._path:
                row = {"tag": tag, "prompt": list(prompt_token_ids or ()), "num_output": len(output_token_ids)}
                with open(self._path, "a") as file:
                    file.write(json.dumps(row) + "\n")

    def apply(self, logits):
        return logits
