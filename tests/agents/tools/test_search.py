"""The search tool: what it finds, in which order, and that the call alone decides it."""

import pytest

from agents.tools.search import Corpus, Paragraph, search_tool
from precall.calls import ToolCall
from precall.tools import Effect, run_tool

PARAGRAPHS = [
    Paragraph(title="Arle", text="The longest river."),
    Paragraph(title="Vennit", text="A river of slate and trout."),
    Paragraph(title="Caskin", text="The highest mountain, on which the Arle rises."),
    Paragraph(title="Twin one", text="Sheep graze."),
    Paragraph(title="Twin two", text="Sheep graze."),
]


@pytest.fixture
def corpus():
    return Corpus(PARAGRAPHS)


def titles(corpus, query):
    return [paragraph.title for paragraph in corpus.search(query)]


def test_the_paragraph_with_the_rarer_words_comes_first(corpus):
    assert titles(corpus, "river of trout") == ["Vennit", "Arle"]
    assert titles(corpus, "highest mountain Arle") == ["Caskin", "Arle"]


def test_titles_are_searched_too_and_case_does_not_matter(corpus):
    assert titles(corpus, "VENNIT") == ["Vennit"]


def test_equal_scores_come_in_the_order_of_the_corpus(corpus):
    assert titles(corpus, "sheep") == ["Twin one", "Twin two"]


@pytest.mark.parametrize("query", ["", "the of", "zebra", "!?"])
def test_a_query_without_a_known_word_finds_nothing(corpus, query):
    assert titles(corpus, query) == []


def test_a_corpus_without_words_is_refused():
    for paragraphs in ([], [Paragraph(title="", text="")]):
        with pytest.raises(ValueError, match="corpus is empty"):
            Corpus(paragraphs)


async def test_the_observation_has_titles_and_texts_and_repeats(corpus):
    tool = search_tool(corpus)
    assert tool.effect is Effect.PURE
    call = ToolCall(name="search", arguments='{"query": "trout"}')
    observations = [await run_tool(each, call) for each in (tool, search_tool(Corpus(PARAGRAPHS)))]
    assert {observation.content for observation in observations} == {"[Vennit]\nA river of slate and trout."}
    nothing = await run_tool(tool, ToolCall(name="search", arguments='{"query": "zebra"}'))
    assert (nothing.content, nothing.is_error) == ("No paragraph has any of these words.", False)
