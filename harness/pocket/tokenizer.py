"""The tokenizer of the pocket family: 1024 byte-level pieces, trained on conversations of the world's training split.

Its pieces make copying learnable: a name, a number or a tool has the same pieces in prose and in JSON. Digits and
capitals are pieces of their own, and so is the space before them; a tool's name is one piece, and so is each frame of
the JSON around names and values.
"""

import random
import re
from collections.abc import Iterable, Sequence

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from harness.pocket.conversations import written
from harness.pocket.world import draw_task
from harness.replay.tiny_model import ADDED_TOKENS, SPECIAL_TOKENS

VOCAB_SIZE = 1024
_NUM_TASKS = 2000
_FRAMES = ('\n{"name": "', '", "description": "', '", "parameters": {"', '", "arguments": {"', '": {"type": "string"')
_WORDS = (
    r"\p{Nd}",
    r"\p{Lu}",
    r" ?[^\s\p{Lu}\p{Nd}\p{P}\p{S}]+",
    r"(?: ?[\p{P}\p{S}])+",
    r"\s+",
)


def make_tokenizer() -> Tokenizer:
    """Return the tokenizer; the same world gives the same one."""
    draw = random.Random("pocket tokenizer")
    tasks = [draw_task(draw, "train", task_id=str(index)) for index in range(_NUM_TASKS)]
    names = sorted({tool.name for task in tasks for tool in task.task.make_tools()})
    return train_tokenizer((written(task, has_reasoning=True) for task in tasks), names)


def train_tokenizer(texts: Iterable[str], names: Sequence[str]) -> Tokenizer:
    """Return a tokenizer for texts in which each of `names` is to be one piece."""
    tokenizer = Tokenizer(models.BPE())
    longest_first = sorted(names, key=len, reverse=True)
    whole = rf"(?<![a-z_])(?:{'|'.join(map(re.escape, longest_first))})(?![a-z_])"
    pattern = "|".join([whole, f" (?={whole})", *map(re.escape, _FRAMES), *_WORDS])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE - len(ADDED_TOKENS),
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in ADDED_TOKENS])
    for name in names:
        assert len(tokenizer.encode(name, add_special_tokens=False).ids) == 1, f"{name} is too rare to be one piece"
    return tokenizer
