"""The figures of the stress run, and when it has failed."""

from dataclasses import replace
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from harness.backends.vllm_settings import VllmServerSettings
from harness.engine_checks.bystanders import Wait
from harness.engine_checks.plans import plan_of
from harness.engine_checks.servers import BLOCK_SIZE, MAX_MODEL_LEN, NUM_BLOCKS, session_work
from harness.engine_checks.site import ENTRIES, KV_USAGE, LIVE, RESERVED, RUNNING, WAITING
from harness.engine_checks.stress import Segment, has_failed, summarise

CLEAN = dict.fromkeys((RUNNING, WAITING, KV_USAGE, LIVE, ENTRIES, RESERVED), 0.0)
STOCKS = CLEAN | dict.fromkeys((LIVE, ENTRIES, RESERVED))


def segment(arm, **changes):
    ttft_s = 0.3 if arm == "ours" else 0.2
    made = Segment(
        arm=arm,
        num_requests=10,
        num_unfinished=0,
        num_spliced_turns=0 if arm == "stock" else 4,
        num_server_errors=0,
        is_alive=True,
        num_left=STOCKS if arm == "stock" else CLEAN,
        num_stalled_turns=None if arm == "stock" else 0.0,
        num_drafted_tokens=30.0 if arm == "drafting" else 0.0,
        num_preemptions=2.0,
        waits=[Wait(segment=0, at_s=0.0, ttft_s=ttft_s, e2el_s=2 * ttft_s)],
        statuses={},
        broken=[],
        behaviours={},
    )
    return replace(made, **changes)


def figures(**changes_of_ours):
    arms = [segment("ours"), segment("stock"), segment("stock"), segment("ours", **changes_of_ours)]
    return summarise([*arms, segment("drafting")], {"stock_deadlocked": True})


def test_requests_and_spliced_turns_are_those_of_our_arm():
    found = figures()
    assert (found["requests"], found["spliced_turns"], found["unfinished"]) == (30, 12, 0)
    assert found["bystander_p99_ratio"] == pytest.approx(1.5)
    assert (found["leaked_entries"], found["engine_alive"], found["stock_deadlocked"]) == (0, True, True)
    assert not has_failed(found)


@pytest.mark.parametrize(
    "changes",
    [
        {"num_unfinished": 1},
        {"num_server_errors": 1},
        {"is_alive": False},
        *(
            {"num_left": CLEAN | {gauge: left}}
            for gauge in (RUNNING, KV_USAGE, LIVE, ENTRIES, RESERVED)
            for left in (0.1, None)
        ),
    ],
    ids=str,
)
def test_whatever_is_left_or_cannot_be_read_is_a_failure(changes):
    assert has_failed(figures(**changes))


def test_entries_that_cannot_be_read_are_not_counted_as_none():
    assert figures(num_left=CLEAN | {ENTRIES: None})["leaked_entries"] is None


def test_a_run_without_splices_drafts_or_the_deadlock_shows_nothing():
    arms = [segment("ours"), segment("stock"), segment("drafting")]
    assert not has_failed(summarise(arms, {"stock_deadlocked": True}))
    assert has_failed(summarise(arms, {"stock_deadlocked": False}))
    assert has_failed(summarise([arms[0], arms[1]], {"stock_deadlocked": True}))
    unspliced = [replace(each, num_spliced_turns=0) for each in arms]
    assert has_failed(summarise(unspliced, {"stock_deadlocked": True}))


def test_the_cache_holds_four_longest_sequences_beside_the_null_block():
    assert (NUM_BLOCKS - 1) * BLOCK_SIZE == 4 * MAX_MODEL_LEN


def test_stock_sessions_get_the_turns_and_results_of_the_plans(tmp_path: Path):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({letter: index for index, letter in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    settings = VllmServerSettings(
        name="stock", model=str(tmp_path), served_model_name="m", platform="cpu", kv_cache_gib=1
    )
    plans = [plan_of(0, agent, 0) for agent in range(3)]
    work = session_work(settings, plans)
    assert [len(chunks) for chunks in work["agents"]] == [len(plan.turns) for plan in plans]

    def text(token_ids):
        return "".join(tokenizer.id_to_token(token_id) for token_id in token_ids).replace("Ġ", " ").replace("Ċ", "\n")

    for plan, chunks in zip(plans, work["agents"], strict=True):
        assert [text(chunk["output"]) for chunk in chunks] == [f"{turn.text}<|im_end|>" for turn in plan.turns]
        for turn, chunk in zip(plan.turns[:-1], chunks[1:], strict=True):
            assert turn.output in text(chunk["input"])
    assert work["engine"]["num_gpu_blocks_override"] == NUM_BLOCKS
