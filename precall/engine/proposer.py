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
        self.drafts = CallDrafts()
        self._max_model_len: int = vllm_config.model_config.max_model_len
        self._runner: Any = None

    def load_model(self, *_: object, **__: object) -> None:
        """Do nothing: there is no model. vLLM calls it."""

    def bind(self, runner: Any) -> None:
        """Learn the model runner, which knows the rows' requests; vLLM passes no request ids to a proposer."""
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
        if not len(self.drafts):
            return [[] for _ in sampled_token_ids]
        return [
            self._draft(row, int(num_tokens_no_spec[row]), token_ids_cpu[row]) if sampled else []
            for row, sampled in enumerate(sampled_token_ids)
        ]

    def _draft(self, row: int, num_tokens: int, token_ids: TokenArray) -> list[int]:
        request_id, num_prompt_tokens = compat.request_of_row(self._runner, row)
        response_id = compat.response_id_of_engine(request_id)
        limit = min(self.num_draft_tokens, self._max_model_len - num_tokens - 1)
        if limit < 1 or not self.drafts.has(response_id):
            return []
        return self.drafts.draft(response_id, token_ids[num_prompt_tokens:num_tokens], limit)


class ToolProposerExtension:
    """What the API server may ask of the workers, through `collective_rpc`."""

    model_runner: Any

    def precall_bind(self, opener: list[int], turn_end: int) -> int | None:
        """Make the proposer ready; return how many tokens it drafts at most, None if the worker has none of ours."""
        proposer = getattr(self.model_runner, "drafter", None)
        if not isinstance(proposer, ToolProposer):
            return None
        proposer.drafts.configure(opener, turn_end)
        proposer.bind(self.model_runner)
        return proposer.num_draft_tokens

    def precall_update(self, added: dict[str, list[list[Any]]], dropped: list[str]) -> None:
        """Drop responses, then add candidates, each as [serial, style, token ids]."""
        drafts: CallDrafts = self.model_runner.drafter.drafts
        for response_id in dropped:
            drafts.drop(response_id)
        for response_id, candidates in added.items():
            drafts.add(
                response_id,
                [
                    Candidate(serial=serial, style=style, token_ids=tuple(token_ids))
                    for serial, style, token_ids in candidates
                ],
            )
