"""The pocket family: a target that reasons and three drafts that call at once, smaller and cheaper from m to s."""

from dataclasses import dataclass

VOCAB_SIZE = 1024
MAX_POSITIONS = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class PocketModel:
    """A model of Qwen3's architecture: `num_layers` x (attention with `num_heads` of `head_size`, feed-forward
    `ff_size`), trained for `num_steps`. Where `has_reasoning` is false, it writes its calls and answers at once."""

    name: str
    hidden_size: int
    num_layers: int
    num_heads: int
    head_size: int
    ff_size: int
    num_steps: int
    seed: int
    has_reasoning: bool = False


TARGET = PocketModel(
    name="pocket",
    hidden_size=256,
    num_layers=4,
    num_heads=4,
    head_size=64,
    ff_size=640,
    num_steps=2000,
    seed=0,
    has_reasoning=True,
)
DRAFTS = (
    PocketModel(
        name="pocket_s", hidden_size=48, num_layers=2, num_heads=1, head_size=32, ff_size=96, num_steps=350, seed=1
    ),
    PocketModel(
        name="pocket_m", hidden_size=128, num_layers=3, num_heads=2, head_size=64, ff_size=320, num_steps=700, seed=2
    ),
    PocketModel(
        name="pocket_l", hidden_size=192, num_layers=4, num_heads=3, head_size=64, ff_size=448, num_steps=1100, seed=3
    ),
)
FAMILY = {model.name: model for model in (TARGET, *DRAFTS)}
