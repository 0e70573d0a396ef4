"""Qwen3's architecture in plain PyTorch, for training: parameters are named as in the Hugging Face format.

All tokens of a batch stand in one row of tokens, so that none is spent on padding; only attention, which must not look
from one conversation into another, sees them as one padded row per conversation.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, silu

from harness.pocket.conversations import NOT_LEARNT, Conversation
from harness.pocket.family import VOCAB_SIZE, PocketModel

ROPE_THETA = 10_000.0
NORM_EPSILON = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Conversations one behind the other, [tokens] each: `cells` says where in [num_rows x longest] a token belongs.

    `targets[i]` is what the model writes behind token `places[i]`. `ahead` [longest, longest] is added to attention's
    scores: minus infinity where a token would look ahead. All are filled up so that few sizes occur, since a CPU's
    library compiles and keeps code for each: places with some whose target is NOT_LEARNT, tokens with some that belong
    to one more row.
    """

    token_ids: Tensor
    positions: Tensor
    cells: Tensor
    num_rows: int
    longest: int
    places: Tensor
    targets: Tensor
    ahead: Tensor

    @staticmethod
    def of(conversations: Sequence[Conversation], device: torch.device) -> "Batch":
        lengths = [len(conversation.token_ids) for conversation in conversations]
        longest = _filled(max(lengths), 32)
        positions = torch.cat([torch.arange(length) for length in lengths])
        rows = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
        token_ids = torch.tensor([token_id for conversation in conversations for token_id in conversation.token_ids])
        labels = torch.tensor([label for conversation in conversations for label in conversation.labels])
        learnt = (labels != NOT_LEARNT).nonzero().flatten()  # never the first token of a conversation
        tokens_to_fill = (0, _filled(len(token_ids), 256) - len(token_ids))
        places_to_fill = (0, _filled(len(learnt), 256) - len(learnt))
        return Batch(
            token_ids=pad(token_ids, tokens_to_fill).to(device),
            positions=pad(positions, tokens_to_fill).to(device),
            cells=pad(rows * longest + positions, tokens_to_fill, value=len(lengths) * longest).to(device),
            num_rows=len(lengths) + 1,
            longest=longest,
            places=pad(learnt - 1, places_to_fill).to(device),
            targets=pad(labels[learnt], places_to_fill, value=NOT_LEARNT).to(device),
            ahead=torch.full((longest, longest), -torch.inf, device=device).triu(1),
        )

    def padded(self, values: Tensor) -> Tensor:
        """[tokens, ...] -> [rows, longest, ...], zeros where a row has no token."""
        empty = values.new_zeros(self.num_rows * self.longest, *values.shape[1:])
        return empty.index_copy(0, self.cells, values).view(self.num_rows, self.longest, *values.shape[1:])

    def unpadded(self, values: Tensor) -> Tensor:
        """[rows, longest, ...] -> [tokens, ...]."""
        return values.flatten(0, 1).index_select(0, self.cells)


class Attention(nn.Module):
    def __init__(self, model: PocketModel) -> None:
        super().__init__()
        inner = model.num_heads * model.head_size
        self.head_size = model.head_size
        self.q_proj = nn.Linear(model.hidden_size, inner, bias=False)
        self.k_proj = nn.Linear(model.hidden_size, inner, bias=False)
        self.v_proj = nn.Linear(model.hidden_size, inner, bias=False)
        self.o_proj = nn.Linear(inner, model.hidden_size, bias=False)
        self.q_norm = nn.RMSNorm(model.head_size, NORM_EPSILON)
        self.k_norm = nn.RMSNorm(model.head_size, NORM_EPSILON)

    def forward(self, hidden: Tensor, batch: Batch, rotation: tuple[Tensor, Tensor]) -> Tensor:
        query, key, value = (
            projection(hidden).unflatten(-1, (-1, self.head_size))
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        query, key = (
            rotated(norm(heads.float()).to(value.dtype), rotation)
            for norm, heads in ((self.q_norm, query), (self.k_norm, key))
        )
        query, key, value = (batch.padded(heads).transpose(1, 2).flatten(0, 1) for heads in (query, key, value))
        # Rows are padded behind their tokens, and no token looks ahead: the padding is never seen. Written out, this is
        # twice as fast on a CPU, there and back, as scaled_dot_product_attention, whose way back is slow.
        scores = torch.baddbmm(batch.ahead.to(query.dtype), query, key.mT, alpha=self.head_size**-0.5)
        mixed = torch.bmm(scores.softmax(-1), value).unflatten(0, (batch.num_rows, -1)).transpose(1, 2)
        return self.o_proj(batch.unpadded(mixed).flatten(1))


class FeedForward(nn.Module):
    def __init__(self, model: PocketModel) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(model.hidden_size, model.ff_size, bias=False)
        self.up_proj = nn.Linear(model.hidden_size, model.ff_size, bias=False)
        self.down_proj = nn.Linear(model.ff_size, model.hidden_size, bias=False)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.down_proj(silu(self.gate_proj(hidden)) * self.up_proj(hidden))


class Layer(nn.Module):
    def __init__(self, model: PocketModel) -> None:
        super().__init__()
        self.input_layernorm = nn.RMSNorm(model.hidden_size, NORM_EPSILON)
        self.self_attn = Attention(model)
        self.post_attention_layernorm = nn.RMSNorm(model.hidden_size, NORM_EPSILON)
        self.mlp = FeedForward(model)

    def forward(self, hidden: Tensor, batch: Batch, rotation: tuple[Tensor, Tensor]) -> Tensor:
        hidden = hidden + self.self_attn(self.input_layernorm(hidden), batch, rotation)
        return hidden + self.mlp(self.post_attention_layernorm(hidden))


class Body(nn.Module):
    def __init__(self, model: PocketModel) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(VOCAB_SIZE, model.hidden_size)
        self.layers = nn.ModuleList(Layer(model) for _ in range(model.num_layers))
        self.norm = nn.RMSNorm(model.hidden_size, NORM_EPSILON)


class PocketNetwork(nn.Module):
    """The network of one model of the family, with random weights. Input and output embeddings are the same."""

    def __init__(self, model: PocketModel) -> None:
        super().__init__()
        self.head_size = model.head_size
        self.model = Body(model)
        for weight in self.parameters():
            if weight.ndim == 2:
                nn.init.normal_(weight, std=0.02)

    def forward(self, batch: Batch) -> Tensor:
        """Return the logits behind `batch.places`, [places, vocabulary]."""
        rotation = rotation_at(batch.positions, self.head_size)
        hidden = self.model.embed_tokens(batch.token_ids)
        for layer in self.model.layers:
            hidden = layer(hidden, batch, rotation)
        hidden = self.model.norm(hidden.index_select(0, batch.places))
        return hidden @ self.model.embed_tokens.weight.T


def _filled(number: int, multiple: int) -> int:
    return -(-number // multiple) * multiple


def rotation_at(positions: Tensor, head_size: int) -> tuple[Tensor, Tensor]:
    """Return the cosines and sines by which heads at `positions` are rotated, each [tokens, 1, half a head]."""
    frequencies = ROPE_THETA ** (-torch.arange(0, head_size, 2, device=positions.device) / head_size)
    angles = (positions[:, None] * frequencies)[:, None]
    return angles.cos(), angles.sin()


def rotated(heads: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Rotate [tokens, heads, head size], the first half of a head against its second."""
    cosine, sine = (part.to(heads.dtype) for part in rotation)
    first, second = heads.chunk(2, dim=-1)
    return torch.cat((first * cosine - second * sine, second * cosine + first * sine), dim=-1)
