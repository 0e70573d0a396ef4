"""Right turns, as the pocket models write them, come out of vLLM's parsers as right: what is scored is the model."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from transformers import AutoTokenizer
from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
from vllm.parser.parser_manager import ParserManager

from harness.pocket.evaluation.scoring import fault_of
from harness.pocket.world import PocketTask, PocketTurn, draw_tasks, messages_of, tools_of
from precall.stream import Generation, GenerationBuilder
from tests.harness.pocket import tiny

pytestmark = pytest.mark.engine

TASKS = draw_tasks(60, seed=3, split="held_out")


@pytest.fixture(scope="module", params=[tiny.TARGET, tiny.DRAFT], ids=lambda model: model.name)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, str | None]:
    folder: Path = tiny.exported(tmp_path_factory.mktemp("models") / "tiny", request.param)
    return AutoTokenizer.from_pretrained(folder), "qwen3" if request.param.has_reasoning else None


def turns_of(task: PocketTask, tokenizer: Any) -> Iterator[tuple[PocketTurn, list[int], list[int]]]:
    """Each turn with the prompt before it and the tokens that a model without fault generates."""
    messages = messages_of(task)
    places = [place for place, message in enumerate(messages) if message["role"] == "assistant"]

    def rendered(end: int, *, is_prompt: bool) -> list[int]:
        return tokenizer.apply_chat_template(
            messages[:end], tools=tools_of(task), add_generation_prompt=is_prompt, tokenize=True, return_dict=False
        )

    for place, turn in zip(places, task.turns, strict=True):
        prompt, whole = rendered(place, is_prompt=True), rendered(place + 1, is_prompt=False)
        assert whole[: len(prompt)] == prompt
        generated = whole[len(prompt) :]
        yield turn, prompt, generated[: generated.index(tokenizer.eos_token_id)]


def streamed(prompt: list[int], generated: list[int], tools: Any, tokenizer: Any, reasoning: str | None) -> Generation:
    """What a client makes of the chunks that vLLM sends, one per token."""
    make_parser = ParserManager.get_parser(
        tool_parser_name="hermes", reasoning_parser_name=reasoning, enable_auto_tools=True, model_name="m",
        is_harmony=False, tokenizer=tokenizer,
    )  # fmt: skip
    request = ChatCompletionRequest(messages=[{"role": "user", "content": "x"}], tools=tools, stream=True)
    parser, builder, before = make_parser(tokenizer, request.tools), GenerationBuilder(0.0), ""
    for index, token in enumerate(generated):
        text = tokenizer.decode(generated[: index + 1], skip_special_tokens=False)
        message = parser.parse_delta(
            text[len(before) :], [token], request, prompt if index == 0 else None, finished=index == len(generated) - 1
        )
        before = text
        if message is not None:
            choice = SimpleNamespace(delta=message, finish_reason=None)
            builder.add(SimpleNamespace(usage=None, choices=[choice]), 0.0)
    return builder.build(1.0)


def test_a_right_turn_has_no_fault_and_its_own_reasoning(model: tuple[Any, str | None]):
    tokenizer, reasoning = model
    for task in TASKS:
        tools = {tool.name: tool for tool in task.task.make_tools()}
        for turn, prompt, generated in turns_of(task, tokenizer):
            generation = streamed(prompt, generated, tools_of(task), tokenizer, reasoning)
            assert fault_of(turn, generation.tool_calls, generation.content, tools) is None, generation
            assert generation.reasoning.strip() == (turn.reasoning if reasoning else "")
