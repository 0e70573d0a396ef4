"""The tool `search`: BM25 over a small corpus of paragraphs (Robertson and Zaragoza 2009, by the library bm25s)."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

from precall.tools import Effect, Tool

_NUM_RESULTS = 3
_DESCRIPTION = (
    f"Search a collection of paragraphs and return the {_NUM_RESULTS} that match best, each with its title. Words "
    "count, not their order."
)
_PARAMETERS = {
    "type": "object",
    "properties": {"query": {"type": "string", "description": "The words to look for."}},
    "required": ["query"],
}


def _import_bm25s() -> ModuleType:
    # Without numba, which it would load and does not need here: where numba is loaded, vLLM 0.32 for CPU cannot start
    # (triton_utils/dispatcher.py looks through all modules for kernels, and an object of llvmlite's has no plain dict).
    is_hidden = "numba" not in sys.modules
    if is_hidden:
        sys.modules["numba"] = None  # pyright: ignore[reportArgumentType]
    try:
        import bm25s
    finally:
        if is_hidden:
            del sys.modules["numba"]
    return bm25s


bm25s = _import_bm25s()


@dataclass(frozen=True, slots=True, kw_only=True)
class Paragraph:
    title: str
    text: str


class Corpus:
    """Paragraphs and their index. Nothing changes it, so that one serves all trajectories."""

    def __init__(self, paragraphs: Sequence[Paragraph]) -> None:
        """Raises ValueError when there is no word to be found."""
        self.paragraphs = tuple(paragraphs)
        self._index = bm25s.BM25(backend="numpy")
        tokens = _tokens([f"{paragraph.title} {paragraph.text}" for paragraph in paragraphs])
        if not any(tokens):
            raise ValueError("The corpus is empty; it must have at least one paragraph with a word.")
        self._index.index(tokens, show_progress=False)

    def search(self, query: str) -> list[Paragraph]:
        """Return the paragraphs that match best, the best first, at equal scores in the order of the corpus; none that
        shares no word with the query."""
        words = _tokens([query])[0]
        if not words:
            return []
        scores = self._index.get_scores(words)
        order = sorted(range(len(self.paragraphs)), key=lambda index: (-scores[index], index))
        return [self.paragraphs[index] for index in order[:_NUM_RESULTS] if scores[index] > 0.0]


def _tokens(texts: list[str]) -> list[list[str]]:
    tokens = bm25s.tokenize(texts, stopwords="english", return_ids=False, show_progress=False)
    assert isinstance(tokens, list), "ids were not asked for"
    return tokens


def search_tool(corpus: Corpus) -> Tool:
    """Return the tool that searches `corpus`."""

    async def search(query: str) -> str:
        found = corpus.search(query)
        if not found:
            return "No paragraph has any of these words."
        return "\n\n".join(f"[{paragraph.title}]\n{paragraph.text}" for paragraph in found)

    return Tool(name="search", description=_DESCRIPTION, parameters=_PARAMETERS, function=search, effect=Effect.PURE)
