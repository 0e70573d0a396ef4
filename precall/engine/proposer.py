"""The worker's side of O2: a proposer for vLLM's `custom_class` speculative decoding that drafts cached calls.

    --speculative-config '{"method": "custom_class", "model": "precall.engine.proposer.ToolProposer",
                           "num_speculative_tokens": 64}'
    --worker-extension-cls precall.engine.proposer.ToolProposerExtension

Verification is vLLM's own, so what the target says keeps its distribution. Loading any proposer of this kind switches
async scheduling off and has vLLM refuse `min_p` and `logit_bias`, for every request: it is a start-up choice.
"""

from typing import Any

from precall.engine import compat
from precall.engine.call_drafts import CallDrafts, Candidate, TokenArray


class ToolProposer:
    """Drafts, for each row of the batch, the cached call that goes on from what the row has generated."""

    def __init__(self, vllm_config: Any) -> None:
        compat.repair_sampling()
        self.num_draft_tokens: int = vllm_config.speculative_config.num_speculative_tokens
        self.drafts: CallDrafts | None = None
        self._max_model_len: int = vllm_config.model_config.max_model_len
        self._runner: Any = None

    def load_model(self, *_: object, **__: object) -> None:
        """Do nothing: there is no model. vLLM calls it."""

    def bind(self, runner: Any, opener: list[int], turn_end: int) -> None:
        """Learn the form of calls, and the model runner: it knows the rows' requests, which vLLM does not pass."""
        self.drafts = CallDrafts(opener, turn_end)
        self._runner = runner
        compat.lift_draft_limit(runner, self.num_draft_tokens)

    def propose(
        self,
        sampled_token_ids: list[list[int]],
        num_tokens_no_spec: TokenArray,
        token_ids_cpu: TokenArray,
        slot_mappings: object = None,
    ) -> list[list[int]]:
        """Return the draft of each row, empty for most.

        `sampled_token_ids`: per row, the tokens of this step, none while the prompt is being prefilled.
        `num_tokens_no_spec`: [rows], the length of each sequence. `token_ids_cpu`: [rows, max_model_len].
        """
        drafts = self.drafts
        if drafts is None or not len(drafts):
            return [[] for _ in sampled_token_ids]
        return [
            self._draft(drafts, row, int(num_tokens_no_spec[row]), token_ids_cpu[row]) if sampled else []
            for row, sampled in enumerate(sampled_token_ids)
        ]

    def _draft(self, drafts: CallDrafts, row: int, num_tokens: int, token_ids: TokenArray) -> list[int]:
        key, num_prompt_tokens = compat.draft_key_of_row(self._runner, row)
        limit = min(self.num_draft_tokens, self._max_model_len - num_tokens - 1)
        if key is None or limit < 1 or not drafts.has(key):
            return []
        return drafts.draft(key, token_ids[num_prompt_tokens:num_tokens], limit)


class ToolProposerExtension:
    """What the API server may ask of the workers, through `collective_rpc`."""

    model_runner: Any

    def precall_bind(self, opener: list[int], turn_end: int) -> int | None:
        """Make the proposer ready; return how many tokens it drafts at most, None if the worker has none of ours."""
        proposer = compat.proposer_of(self.model_runner)
        if not isinstance(proposer, ToolProposer):
            return None
        proposer.bind(self.model_runner, opener, turn_end)
        return proposer.num_draft_tokens

    def precall_update(self, added: dict[str, list[list[Any]]], dropped: list[str]) -> int:
        """Drop responses, then add candidates, each as [serial, style, token ids]; return how many responses remain."""
        drafts: CallDrafts = compat.proposer_of(self.model_runner).drafts
        for key in dropped:
            drafts.drop(key)
        for key, candidates in added.items():
            drafts.add(
                key,
                [
                    Candidate(serial=serial, style=style, token_ids=tuple(token_ids))
                    for serial, style, token_ids in candidates
                ],
            )
        return len(drafts)
