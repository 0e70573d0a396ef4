"""The engine side's proposer, writing down the worker's whole row whenever a turn has ended in it.

For `--speculative-config '{"method": "custom_class", "model": "harness.replay.recording_proposer.RecordingProposer"}'`.
Where vLLM decodes speculatively it refuses logits processors, so `context_recorder` cannot be loaded there. The rows go
to the same file, as `{"row": [...]}`, without a tag: a proposer is not told which request a row belongs to.
"""

import json
import os
from typing import Any

from harness.replay.context_recorder import FILE
from precall.engine.proposer import ToolProposer


class RecordingProposer(ToolProposer):
    """Drafts as ToolProposer does."""

    def __init__(self, vllm_config: Any) -> None:
        super().__init__(vllm_config)
        self._path = os.environ[FILE]
        self._turn_end = vllm_config.model_config.hf_config.eos_token_id

    def propose(
        self,
        sampled_token_ids: list[list[int]],
        num_tokens_no_spec: Any,
        token_ids_cpu: Any,
        slot_mappings: object = None,
    ) -> list[list[int]]:
        for row, sampled in enumerate(sampled_token_ids):
            if self._turn_end in sampled:
                # Tokens that were accepted behind the turn's end are not part of it.
                num_behind = len(sampled) - sampled.index(self._turn_end) - 1
                token_ids = token_ids_cpu[row, : num_tokens_no_spec[row] - num_behind].tolist()
                with open(self._path, "a", encoding="utf-8") as file:
                    file.write(json.dumps({"row": token_ids}) + "\n")
        return super().propose(sampled_token_ids, num_tokens_no_spec, token_ids_cpu, slot_mappings)
