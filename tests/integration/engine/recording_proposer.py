"""The tool proposer, writing down what the worker holds as a request's prompt in the first step of every chunk.

Stands in for `context_recorder`, which vLLM does not load beside a proposer, and writes the same rows.
"""

import json
import os

from harness.replay.context_recorder import FILE, PARAMETER
from harness.replay.proposer import ReplayToolProposer


class RecordingProposer(ReplayToolProposer):
    def propose(self, sampled_token_ids, num_tokens_no_spec, token_ids_cpu, slot_mappings=None):
        batch = self._runner.input_batch if self._runner is not None else None
        for row, sampled in enumerate(sampled_token_ids if batch is not None else ()):
            request = self._runner.requests[batch.req_ids[row]]
            tag = (request.sampling_params.extra_args or {}).get(PARAMETER)
            if tag is not None and sampled and len(request.output_token_ids) == len(sampled):
                prompt = token_ids_cpu[row][: int(batch.num_prompt_tokens[row])].tolist()
                with open(os.environ[FILE], "a") as file:
                    file.write(json.dumps({"tag": tag, "prompt": prompt, "num_output": 0}) + "\n")
        return super().propose(sampled_token_ids, num_tokens_no_spec, token_ids_cpu, slot_mappings)
