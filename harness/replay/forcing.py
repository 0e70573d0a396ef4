"""Replay under speculative decoding: the engine follows recorded tokens while it verifies drafts.

vLLM refuses V1 logits processors beside a proposer, so the recorded tokens are forced where logits become tokens
(`GPUModelRunner._sample`, a private method of vLLM 0.32): each row of a request's logits, those of its drafts included,
gets the recorded token of its position. The stock rejection sampler then accepts exactly the drafts that match.
"""

import functools
from typing import Any

import torch
from vllm.v1.worker.gpu_model_runner import GPUModelRunner

from harness.replay.plugin import PARAMETER, force_rows

_MARK = "_precall_replay"


def force_samples() -> None:
    """Have every model runner of this process follow recordings. Raises RuntimeError where vLLM has another form."""
    stock = getattr(GPUModelRunner, "_sample", None)
    if stock is None:
        raise RuntimeError("GPUModelRunner of this vLLM has no _sample; replay beside a proposer needs vLLM 0.32.")
    if hasattr(stock, _MARK):
        return

    @functools.wraps(stock)
    def sample(self: Any, logits: torch.Tensor | None, spec_decode_metadata: Any) -> Any:
        if logits is not None:
            force_rows(logits, *_rows(self, spec_decode_metadata))
        return stock(self, logits, spec_decode_metadata)

    setattr(sample, _MARK, True)
    GPUModelRunner._sample = sample


def _rows(runner: Any, metadata: Any) -> tuple[list[int], list[int]]:
    """Return the rows of the logits that are forced, and the token of each."""
    rows: list[int] = []
    tokens: list[int] = []
    row = 0
    for index, request_id in enumerate(runner.input_batch.req_ids):
        num_rows = 1 + (metadata.num_draft_tokens[index] if metadata is not None else 0)
        request = runner.requests[request_id]
        recorded = ((request.sampling_params and request.sampling_params.extra_args) or {}).get(PARAMETER) or []
        position = len(request.output_token_ids)
        for offset, token_id in enumerate(recorded[position : position + num_rows]):
            if type(token_id) is int and token_id >= 0:  # anything else would end the engine; nobody has checked it
                rows.append(row + offset)
                tokens.append(token_id)
        row += num_rows
    return rows, tokens
