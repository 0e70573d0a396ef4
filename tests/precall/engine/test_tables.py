"""Which test covers which row of the tables in docs/tool-cache.md and docs/residency.md.

A row without a test named here turns this red, and so does a name of a test that does not exist. Rows run on the real
engine (tests/integration/engine/) where this machine can; `IN_PROCESS` says why the others do not.
"""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ENGINE = "tests/integration/engine/"
REAL = f"{ENGINE}conformance/"
POSTS, BOUNDS, TURNS, ENDS = (f"{REAL}test_{name}.py::" for name in ("posts", "bounds", "resident_turns", "ends"))
ORDINARY, STARTS = f"{REAL}test_ordinary.py::", f"{REAL}test_starts.py::"
ENDPOINT, STORE, SUPPORT, START = (
    f"tests/precall/engine/test_{n}.py::" for n in ("endpoint", "store", "support", "start")
)
KEYED = f"{POSTS}test_an_entry_serves_the_call_with_its_key_and_no_other"
PLAIN_FORM = f"{POSTS}test_the_papers_plain_form_works_on_a_single_user_server"
LENGTHS = f"{POSTS}test_without_a_secret_nothing_is_taken_and_a_secret_has_a_length"
REUSED = f"{POSTS}test_a_living_id_cannot_be_reused_and_an_ended_one_starts_empty"
OPTIONS = f"{POSTS}test_a_request_opts_in_with_a_secret_and_options_that_exist"
LIVING = f"{POSTS}test_a_post_for_a_living_response_is_taken_and_one_after_its_end_is_not"
AS_STOCK = f"{ORDINARY}test_a_request_that_cannot_be_resident_is_answered_as_by_stock_vllm"
REFUSED = f"{STARTS}test_a_start_is_refused_with_what_to_do"
GOES_ON = f"{TURNS}test_a_supported_request_goes_on_as_a_separate_request_with_its_context_would"
SERVERS = f"{SUPPORT}test_servers_that_cannot_be_resident"

TOOL_CACHE = {
    "with a secret": [LIVING, f"{ENDS}test_a_client_that_leaves_before_it_has_an_answer_frees_the_sequence"],
    "with the field, no secret, single-user server": [PLAIN_FORM],
    "with the field, no secret, any other server": [OPTIONS],
    "a secret that is too short or too long": [LENGTHS],
    "the field is no object, or has an option that does not exist or is of the wrong type": [OPTIONS],
    "the id of a response that lives": [REUSED],
    "the id of a response that has ended": [REUSED],
    "`name`": [KEYED],
    "`params`": [KEYED],
    "`output`": [KEYED],
    "`keep_alive`": [KEYED, f"{BOUNDS}test_a_response_holds_so_many_entries_until_they_expire"],
    "`running`": [
        f"{TURNS}test_a_call_announced_as_running_is_awaited",
        f"{TURNS}test_a_wait_for_a_call_that_never_returns_is_bounded",
    ],
    "`cached`": [LIVING],
    "for a response that lives": [
        LIVING,
        f"{POSTS}test_of_a_key_named_twice_or_posted_twice_the_later_output_is_used",
    ],
    "early: no request with this id has come yet": [
        f"{POSTS}test_an_early_post_is_used_and_one_with_another_secret_is_dropped",
        f"{BOUNDS}test_early_posts_are_bounded_in_number_and_bytes_and_expire",
    ],
    "double: a key that is cached already": [
        f"{POSTS}test_of_a_key_named_twice_or_posted_twice_the_later_output_is_used"
    ],
    "double: announced as running, but the output is there": [
        f"{POSTS}test_an_announcement_does_not_replace_an_output_and_an_output_replaces_an_announcement"
    ],
    "late: the turn that asked for it has ended in a miss, so has the response": [
        f"{POSTS}test_a_post_after_the_turn_that_asked_for_it_has_missed_is_too_late"
    ],
    "finished: the response has ended (of the last `num_remembered`)": [
        LIVING,
        f"{BOUNDS}test_an_ended_response_is_remembered_only_so_long",
    ],
    "unknown: an id that no chat response can have": [f"{POSTS}test_an_id_that_no_chat_response_can_have_is_unknown"],
    "no API key, or a wrong one": [f"{POSTS}test_without_the_key_nothing_is_taken"],
    "no secret, on a server of several users": [LENGTHS],
    "another secret than the response's, or none where it has one": [
        f"{POSTS}test_another_owners_post_is_refused_and_leaves_the_context_unchanged",
        PLAIN_FORM,
    ],
    "not JSON, a key twice, NaN, no array, a field missing, unknown or of the wrong type, output and running both or "
    "neither": [f"{POSTS}test_a_malformed_body_is_refused_whole", f"{ENDPOINT}test_a_malformed_body_is_refused_whole"],
    "a body above `max_body_bytes`, an entry above `max_entry_bytes`": [
        f"{BOUNDS}test_a_body_and_an_entry_may_be_only_so_large"
    ],
    "too much for `max_entries_per_response`, `max_bytes_per_response` or `max_total_bytes`; early: `max_early_posts`, "
    "`max_early_bytes`": [
        f"{BOUNDS}test_a_response_holds_so_many_entries_until_they_expire",
        f"{BOUNDS}test_responses_hold_so_many_bytes_each_and_together",
        f"{BOUNDS}test_early_posts_are_bounded_in_number_and_bytes_and_expire",
    ],
}
RESIDENCY = {
    "streaming and not": [f"{TURNS}test_executed_turns_stand_in_their_field_alone_and_usage_counts_all"],
    "temperature, penalties, `bad_words`, `logit_bias`, `min_tokens`, `stop_token_ids`": [
        GOES_ON,
        f"{TURNS}test_a_request_that_samples_is_resident",
    ],
    "tensor parallelism": [SERVERS],
    "a seed with temperature 0": [GOES_ON],
    "a seed with temperature above 0": [AS_STOCK],
    "no tools; `tool_choice` none, required or named; `parallel_tool_calls=false`": [AS_STOCK],
    "n above 1, beam search": [AS_STOCK],
    "stop strings": [AS_STOCK],
    "grammars: `response_format`, `structured_outputs`": [AS_STOCK],
    "logprobs, prompt logprobs": [AS_STOCK],
    "`echo`, `continue_final_message`, no generation prompt, `truncate_prompt_tokens`, `return_prompt_text`, "
    "`include_reasoning=false`": [AS_STOCK],
    "a prompt that is not plain tokens": [f"{SUPPORT}test_inputs_that_cannot_be_resident"],
    "LoRA": [f"{SUPPORT}test_inputs_that_cannot_be_resident"],
    "KV connectors, transfer parameters": [AS_STOCK, SERVERS],
    "precall's own proposer (docs/drafts.md)": [
        f"{ENGINE}test_drafts.py::test_resident_sequences_with_drafts_are_token_identical_to_separate_requests"
    ],
    "EAGLE, MTP, n-gram and any other speculative decoding": [SERVERS],
    "the tool-call parser hermes; openai with gpt-oss": [
        f"{ENGINE}test_resident.py::test_resident_sequences_are_token_identical_to_separate_requests",
        f"{ENGINE}test_harmony.py::test_resident_sequences_are_token_identical_to_separate_requests",
    ],
    "other tool-call parsers; templates or tokenizers that fail the trial at the start": [
        f"{SUPPORT}test_a_server_of_another_family_says_that_nothing_will_be_resident",
        f"{SUPPORT}test_a_template_that_cannot_be_spliced_without_loss_switches_residency_off",
    ],
    "sliding-window models other than gpt-oss, gpt-oss with an odd number of layers": [SERVERS],
    "hybrid, encoder-decoder and multimodal models; context and pipeline parallelism": [SERVERS],
    "`/v1/completions`, `/v1/responses` and all other routes": [
        f"{ORDINARY}test_other_routes_answer_as_those_of_stock_vllm",
        f"{SUPPORT}test_other_routes_keep_the_stock_engine_client",
    ],
    "data parallelism, more than one API server process, another vLLM than 0.32; the proposer without its worker "
    "extension or the reverse, or with a form of calls that cannot be drafted": [
        "tests/precall/engine/test_drafting.py::test_half_of_the_arguments_that_drafting_needs_is_refused",
        "tests/precall/engine/test_drafting.py::test_the_style_of_a_template_is_read_from_a_rendered_call",
        REFUSED,
        f"{START}test_a_command_line_that_asks_for_several_is_refused_before_anything_starts",
        f"{START}test_a_server_of_several_processes_is_refused",
        f"{START}test_another_version_is_refused",
    ],
}
IN_PROCESS = {
    "tensor parallelism": "needs a core or a GPU per rank beside those of the server",
    "a prompt that is not plain tokens": "needs a multimodal model",
    "LoRA": "needs an adapter",
    "EAGLE, MTP, n-gram and any other speculative decoding": "replay, which forces the calls, is refused with it",
    "other tool-call parsers; templates or tokenizers that fail the trial at the start": "a server each",
    "sliding-window models other than gpt-oss, gpt-oss with an odd number of layers": "needs such a model",
    "hybrid, encoder-decoder and multimodal models; context and pipeline parallelism": "needs such a model",
}


def rows_of(document: str) -> list[str]:
    """The first cells of the tables of a document; of residency.md, those that say what is supported."""
    lines = (ROOT / "docs" / document).read_text().split("## Supported, ordinary, refused")[-1].splitlines()
    tables = [line for index, line in enumerate(lines) if line.startswith("|") and not _is_header(lines, index)]
    return [re.split(r" ?(?<!\\)\| ?", line)[1] for line in tables]


def _is_header(lines: list[str], index: int) -> bool:
    rule = re.compile(r"\|[-|]+$")
    return bool(rule.match(lines[index]) or (index + 1 < len(lines) and rule.match(lines[index + 1])))


def functions_of(path: str) -> set[str]:
    tree = ast.parse((ROOT / path).read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize(("document", "covered"), [("tool-cache.md", TOOL_CACHE), ("residency.md", RESIDENCY)])
def test_every_row_of_the_tables_has_a_test_that_exists(document, covered):
    assert set(rows_of(document)) == set(covered)
    for row, tests in covered.items():
        assert tests, row
        for test in tests:
            path, _, name = test.partition("::")
            assert name in functions_of(path), f"{row}: {test}"
        assert any(test.startswith(ENGINE) for test in tests) != (row in IN_PROCESS), row
