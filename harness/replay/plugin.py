"""The vLLM plugin of replay: a V1 logits processor that makes the engine follow recorded tokens.

A request carries the tokens in `vllm_xargs["replay_token_ids"]`; requests without it are left alone. The engine does
its full work (prefill, decode, sampling, streaming); only the choice of the token is taken from it. Loaded with
`--logits-processors harness.replay.plugin:ReplayLogitsProcessor`. vLLM's Model Runner V2 and speculative decoding skip
V1 processors, so whoever replays must compare the token ids that come back with those that were asked for.
"""

from typing import TYPE_CHECKING

import torch
from vllm import SamplingParams
from vllm.v1.sample.logits_processor.interface import BatchUpdate, LogitsProcessor, MoveDirectionality

if TYPE_CHECKING:
    from vllm.config import VllmConfig

PARAMETER = "replay_token_ids"


class ReplayLogitsProcessor(LogitsProcessor):
    """Gives each forced row's recorded token the only finite logit."""

    @classmethod
    def validate_params(cls, sampling_params: SamplingParams) -> None:
        """Raise ValueError, which the server answers with status 400, unless the parameter is a list of token ids."""
        token_ids = (sampling_params.extra_args or {}).get(PARAMETER)
        if token_ids is None:
            return
        if not isinstance(token_ids, list) or not all(
            type(token_id) is int and token_id >= 0 for token_id in token_ids
        ):
            raise ValueError(f"{PARAMETER} must be a flat list of token ids, each an integer >= 0.")
        if sampling_params.max_tokens is not None and sampling_params.max_tokens < len(token_ids):
            raise ValueError(
                f"{PARAMETER} holds {len(token_ids)} tokens and max_tokens is {sampling_params.max_tokens}; "
                "it must be at least as large."
            )

    def __init__(self, vllm_config: "VllmConfig", device: torch.device, is_pin_memory: bool) -> None:
        # row -> (recorded tokens, the engine's live list of tokens generated so far, of which only the length counts)
        self._rows: dict[int, tuple[list[int], list[int]]] = {}

    def is_argmax_invariant(self) -> bool:
        return False

    def update_state(self, batch_update: BatchUpdate | None) -> None:
        if batch_update is None:
            return
        for row in batch_update.removed:
            self._rows.pop(row, None)
        for row, params, _, output_token_ids in batch_update.added:
            token_ids = (params.extra_args or {}).get(PARAMETER)
            if token_ids:
                self._rows[row] = (token_ids, output_token_ids)
            else:
                self._rows.pop(row, None)
        for source, target, direction in batch_update.moved:
            moved, replaced = self._rows.pop(source, None), self._rows.pop(target, None)
            if moved is not None:
                self._rows[target] = moved
            if replaced is not None and direction is MoveDirectionality.SWAP:
                self._rows[source] = replaced

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        rows: list[int] = []
        tokens: list[int] = []
        for row, (token_ids, output_token_ids) in self._rows.items():
            position = len(output_token_ids)
            if position < len(token_ids):
                rows.append(row)
                tokens.append(token_ids[position])
        force_rows(logits, rows, tokens)
        return logits


def force_rows(logits: torch.Tensor, rows: list[int], tokens: list[int]) -> None:
    """Give each row ([rows, vocabulary]) its token as the only one with a finite logit.

    A token outside the vocabulary is not forced: raising here would end the engine for everybody, and whoever replays
    compares the tokens anyway.
    """
    known = [(row, token) for row, token in zip(rows, tokens, strict=True) if token < logits.shape[-1]]
    if known:
        row_index, token_index = torch.tensor(known, device=logits.device).unbind(1)
        logits[row_index] = float("-inf")
        logits[row_index, token_index] = 0.0
