"""Text to token ids without any added token, special or not: what a tool returned cannot act as a control token.

`split_special_tokens` of transformers does not do: it still finds added tokens that are not marked special, such as
`<tool_call>` in many tokenizers.
"""

import re
from collections.abc import Sequence
from typing import Any

from precall.errors import ConfigError


class PlainEncoder:
    """Encodes template text, which may hold added tokens, and foreign text between, which may not."""

    def __init__(self, tokenizer: Any) -> None:
        """`tokenizer` is a fast tokenizer of transformers. Raises ConfigError for any other."""
        from tokenizers import Tokenizer

        backend = getattr(tokenizer, "backend_tokenizer", None)
        if backend is None:
            kind = type(tokenizer).__name__
            raise ConfigError(f"The tokenizer is a {kind}; splicing needs a fast tokenizer of transformers.")
        self._added = {token.content: token_id for token_id, token in backend.get_added_tokens_decoder().items()}
        self._added_ids = frozenset(self._added.values())
        self._plain = Tokenizer(backend.model)
        self._plain.normalizer = backend.normalizer
        self._plain.pre_tokenizer = backend.pre_tokenizer
        longest_first = sorted(self._added, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)) or "(?!)")

    def encode(self, pieces: Sequence[str], texts: Sequence[str]) -> list[int]:
        """Return the tokens of `pieces` with `texts` between them: piece, text, piece, ..., text, piece.

        Stretches between two added tokens of the template are encoded in one go, as the tokenizer does.
        """
        assert len(pieces) == len(texts) + 1, f"{len(texts)} texts stand between {len(texts) + 1} pieces"
        tokens: list[int] = []
        stretch = ""
        for piece, text in zip(pieces, [*texts, ""], strict=True):
            position = 0
            for match in self._pattern.finditer(piece):
                tokens += self._encode_plain(stretch + piece[position : match.start()])
                tokens.append(self._added[match.group()])
                stretch, position = "", match.end()
            stretch += piece[position:] + text
        return tokens + self._encode_plain(stretch)

    def _encode_plain(self, text: str) -> list[int]:
        tokens = self._plain.encode(text, add_special_tokens=False).ids if text else []
        assert self._added_ids.isdisjoint(tokens), "text encoded as plain holds no added token"
        return tokens
