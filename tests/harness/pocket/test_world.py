"""The generator of the pocket world: right conversations, splits that share nothing, cues, determinism."""

import hashlib
import json
import os
import random
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from statistics import median

import jsonschema
import pytest

from harness.pocket import compounds, cues, phrasing, reasoning
from harness.pocket.compounds import NOUNS, TALKS
from harness.pocket.functions import OPERATIONS, TaskState
from harness.pocket.phrasing import REQUESTS, Phrases
from harness.pocket.tools import PARAMETERS, TOOL_NAMES, TWINS, make_tools
from harness.pocket.values import DAYS, ENDINGS, LANGUAGES, UNIT_FACTORS, Split, pool
from harness.pocket.world import KIND_SHARES, PocketTask, draw_task, draw_tasks, make_task, messages_of
from precall.calls import parse_arguments
from precall.errors import ConfigError
from precall.tools import Effect, run_tool

ROOT = Path(__file__).parents[3]
CLOSED = {"day", "op", "unit", "into", "language"}
NUM_TASKS = 2000


@cache
def drawn(split: Split) -> list[PocketTask]:
    return draw_tasks(NUM_TASKS, seed=0, split=split)


def both() -> list[PocketTask]:
    return [*drawn("train"), *drawn("held_out")]


def request_of(task: PocketTask) -> str:
    ((message,),) = task.task.user_turns
    return str(message["content"])


def names_of(task: PocketTask) -> list[str]:
    return [call.name for turn in task.turns for call in turn.calls]


def phrases() -> Iterator[Phrases]:
    yield from REQUESTS.values()
    yield from (noun.phrases for nouns in NOUNS.values() for noun in nouns)
    yield from (talk.phrases for talk in TALKS)
    yield from (value for value in vars(compounds).values() if isinstance(value, Phrases))


async def test_running_the_reference_calls_gives_the_observations_and_the_answer_contains_the_last():
    for task in both()[::7]:
        tools = {tool.name: tool for tool in task.task.make_tools()}
        last = task.turns[-1]
        for turn in task.turns[:-1]:
            for call, expected in zip(turn.calls, turn.observations, strict=True):
                observation = await run_tool(tools[call.name], call)
                assert not observation.is_error
                assert observation.content == expected
        assert last.calls == last.observations == ()
        assert last.reasoning
        for expected in task.turns[-2].observations if len(task.turns) > 1 else ():
            assert expected in task.answer


def test_every_reference_call_is_valid_for_an_offered_tool_and_finds_something():
    everything = make_tools(TOOL_NAMES, TaskState())
    validators = {tool.name: jsonschema.Draft202012Validator(dict(tool.parameters)) for tool in everything}
    for task in both():
        offered = {tool.name for tool in task.task.make_tools()}
        assert 1 <= len(offered) <= 3
        assert task.task.reference_calls == (tuple(call for turn in task.turns for call in turn.calls),)
        for call in task.task.reference_calls[0]:
            assert call.name in offered
            validators[call.name].validate(parse_arguments(call))
            assert tuple(parse_arguments(call)) == PARAMETERS[call.name]
        assert "nothing" not in [observation for turn in task.turns for observation in turn.observations]


def test_every_argument_stands_in_the_request_or_in_an_observation_before():
    words = {"add": "plus", "subtract": "minus", "multiply": "times"}
    for task in both():
        known = request_of(task)
        for turn in task.turns:
            for call in turn.calls:
                for value in parse_arguments(call).values():
                    said = words.get(str(value), str(value))
                    assert re.search(rf"\b{re.escape(said)}\b", known), (value, known)
            known += " " + " ".join(turn.observations)


@pytest.mark.parametrize("split", ["train", "held_out"])
def test_every_name_among_the_arguments_is_of_its_kind_and_split(split: Split):
    for task in drawn(split):
        for call in task.task.reference_calls[0]:
            for parameter, value in parse_arguments(call).items():
                if parameter in ENDINGS:
                    assert value in pool(parameter, split), call


def test_twins_are_offered_together_only_where_a_cue_tells_them_apart():
    for task in both():
        offered = {tool.name for tool in task.task.make_tools()}
        has_twins = any(TWINS.get(name) in offered for name in names_of(task))
        assert has_twins == (task.kind == "cued")


def test_the_kinds_come_in_their_shares_and_some_tasks_write():
    counts = Counter(task.kind for task in both())
    for kind, share in KIND_SHARES.items():
        assert counts[kind] / len(both()) == pytest.approx(share, abs=0.02)
    assert sum(KIND_SHARES.values()) == pytest.approx(1.0)
    num_calls = {kind: {len(names_of(task)) for task in both() if task.kind == kind} for kind in KIND_SHARES}
    assert num_calls == {"single": {1}, "cued": {1}, "none": {0}, "parallel": {2}, "chained": {2, 3}}
    assert {name for task in both() for name in names_of(task)} == set(TOOL_NAMES)
    effects = {tool.name: tool.effect for task in both() for tool in task.task.make_tools()}
    writing = [task for task in both() if any(effects[name] is Effect.WRITE for name in names_of(task))]
    assert 0.05 < len(writing) / len(both()) < 0.25


def test_a_chain_takes_an_argument_from_an_observation_or_reads_what_it_wrote():
    for task in both():
        if task.kind != "chained":
            continue
        for before, after in zip(task.turns[:-2], task.turns[1:-1], strict=True):
            values = [str(value) for value in parse_arguments(after.calls[0]).values()]
            seen = before.observations[0]
            is_copied = any(seen == value or seen.split()[-1] == value for value in values)
            is_written = before.calls[0].name == "add_event" and seen.split()[0] in after.observations[0]
            assert is_copied or is_written


def test_train_and_held_out_share_no_value():
    values = defaultdict[Split, set[str]](set)
    for split in ("train", "held_out"):
        for task in drawn(split):
            for call in task.task.reference_calls[0]:
                for parameter, value in parse_arguments(call).items():
                    if parameter not in CLOSED:
                        values[split] |= set(re.findall(r"[A-Z]\w+", str(value))) or {str(value)}
            values[split] |= {word for word in re.findall(r"\w+", request_of(task)) if is_made_up(word)}
    assert len(values["train"]) > 1000
    assert len(values["held_out"]) > 1000
    assert not values["train"] & values["held_out"]


def is_made_up(word: str) -> bool:
    """Whether the word is a value of this world: a capital letter, a middle and an ending, or a number of three digits
    or more (the hours in a note have two)."""
    endings = "|".join(ending for endings in ENDINGS.values() for ending in endings)
    return bool(re.fullmatch(rf"[A-Z][aeio][lnr]({endings})|\d{{3,}}", word))


def shape_of(task: PocketTask) -> str:
    """Return the request without its values and its opening."""
    words = [("_" if is_made_up(word) or word.isdigit() else word) for word in re.split(r"\b", request_of(task))]
    text = "".join(words).removeprefix("In short: ").removeprefix("Step by step: ")
    closed = [*DAYS, *LANGUAGES, *phrasing.OPERATION_WORDS.values(), *{unit for unit, _ in UNIT_FACTORS}]
    return re.sub(rf"\b({'|'.join(closed)})\b", "_", text)


def test_train_and_held_out_share_no_phrasing():
    train, held_out = ({shape_of(task) for task in drawn(split)} for split in ("train", "held_out"))
    assert not train & held_out
    assert len(train) > len(held_out) > 60
    in_train = {text for each in phrases() for text in each.train}
    in_held_out = {text for each in phrases() for text in each.held_out}
    assert not in_train & in_held_out


def test_every_tool_has_six_phrases_or_more_of_which_two_are_held_out():
    assert set(REQUESTS) == set(TOOL_NAMES) == set(phrasing.ANSWERS)
    for each in REQUESTS.values():
        assert len(set(each.train)) >= 4
        assert len(set(each.held_out)) >= 2


@pytest.mark.parametrize("split", ["train", "held_out"])
def test_of_two_cued_tasks_from_equal_draws_only_the_cue_and_the_tool_differ(split: Split):
    pairs = Counter[frozenset[str]]()
    for index in range(300):
        near, far = (_cued(index, split, is_near) for is_near in (True, False))
        words = [request_of(task).split() for task in (near, far)]
        assert len(words[0]) == len(words[1])
        num_changed = sum(one != other for one, other in zip(*words, strict=True))
        assert num_changed == 1
        assert set(near.task.make_tools.names) == set(far.task.make_tools.names)  # pyright: ignore[reportFunctionMemberAccess]
        (near_call,), (far_call,) = near.task.reference_calls[0], far.task.reference_calls[0]
        assert TWINS[near_call.name] == far_call.name
        asked = [re.split(r"(?<=[.?]) ", request_of(task))[-1] for task in (near, far)]
        assert asked[0] == asked[1]  # what changed is in the cue, which comes first
        pairs[frozenset({near_call.name, far_call.name})] += 1
    assert len(pairs) == 3
    assert min(pairs.values()) > 60


def _cued(index: int, split: Split, is_near: bool) -> PocketTask:
    draw = random.Random(index)
    return make_task(draw, "cued", cues.draw_cued(draw, split, is_near), max_tools=2, task_id="x")


def test_a_cue_says_which_twin_is_right_and_the_reasoning_compares():
    for task in both():
        if task.kind == "cued":
            expected, verdict = read_cue(request_of(task))
            assert names_of(task) == [expected]
            assert f": {verdict}" in task.turns[0].reasoning


def read_cue(request: str) -> tuple[str, str]:
    """Return the tool that the cue asks for, and how the reasoning puts it, by reading the request alone."""
    days = re.findall("|".join(DAYS), request)
    numbers = [int(number) for number in re.findall(r"\d+", request)]
    if days:
        return ("weather_now", "the same day") if days[0] == days[1] else ("weather_forecast", "another day")
    if numbers:
        limit, distance = numbers
        return ("train_time", "within") if distance <= limit else ("flight_time", "beyond")
    (path,) = [word for word in re.findall(r"\w+", request) if is_made_up(word)]
    is_archived = path.endswith(tuple(re.findall(r"[Ee]ach (\w+)", request)))
    return ("read_archive", "there") if is_archived else ("read_file", "not there")


def test_the_right_twin_cannot_be_told_from_the_order_of_the_tools_or_from_their_frequency():
    cued = [task for task in both() if task.kind == "cued"]
    is_first = [names_of(task)[0] == offered_twins(task)[0] for task in cued]
    assert 0.4 < sum(is_first) / len(cued) < 0.6
    counts = Counter(names_of(task)[0] for task in cued)
    for name, twin in TWINS.items():
        assert 0.4 < counts[name] / (counts[name] + counts[twin]) < 0.6


def offered_twins(task: PocketTask) -> list[str]:
    names = [tool.name for tool in task.task.make_tools()]
    return [name for name in names if TWINS.get(name) in names]


@pytest.mark.parametrize("max_tools", [1, 2, 3, 5])
def test_a_task_offers_at_most_the_tools_it_may(max_tools: int):
    tasks = [draw_task(random.Random(index), "train", max_tools=max_tools, task_id="x") for index in range(300)]
    assert {len(task.task.make_tools()) for task in tasks} == set(range(1, max_tools + 1))


@pytest.mark.parametrize("max_tools", [0, 18])
def test_a_number_of_tools_that_cannot_be_offered_is_refused(max_tools: int):
    with pytest.raises(ConfigError, match=rf"max_tools is {max_tools}; it must be between 1 and 17"):
        draw_task(random.Random(0), "train", max_tools=max_tools, task_id="x")


def test_a_task_depends_on_seed_split_and_index_alone():
    assert draw_tasks(5, seed=0, split="train") == drawn("train")[:5]
    for others in (draw_tasks(20, seed=1, split="train"), draw_tasks(20, seed=0, split="held_out")):
        assert others[:20] != drawn("train")[:20]
    assert len({task.task.task_id for task in both()}) == 2 * NUM_TASKS


def test_another_process_draws_the_same():
    code = (
        "import hashlib; from harness.pocket.world import draw_tasks, messages_of, tools_of; "
        "print(hashlib.sha256(repr([(messages_of(t), tools_of(t), t.task.make_tools) "
        "for t in draw_tasks(200, seed=3, split='held_out')]).encode()).hexdigest())"
    )
    digests = set()
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
        ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, check=True)
        digests.add(ran.stdout.decode().strip())
    assert len(digests) == 1
    assert len(digests.pop()) == hashlib.sha256().digest_size * 2


def test_a_conversation_is_in_the_form_of_the_chat_completions_api():
    for task in drawn("held_out")[:200]:
        user, *others = messages_of(task)
        assert user == {"role": "user", "content": request_of(task)}
        asked: list[str] = []
        for message in others:
            if message["role"] == "tool":
                assert message["tool_call_id"] == asked.pop(0)
                continue
            assert not asked, "a tool's message is missing"
            assert message["reasoning"] == message["reasoning"].strip() != ""
            for call in message.get("tool_calls", ()):
                arguments = json.loads(call["function"]["arguments"])
                assert call["function"]["arguments"] == json.dumps(arguments)
                asked.append(call["id"])
        assert others[-1]["content"] == task.answer != ""
        ids = [call["id"] for message in others for call in message.get("tool_calls", ())]
        assert len(set(ids)) == len(ids)


def test_the_reasoning_ends_with_the_calls_and_its_length_follows_the_opening():
    num_words = defaultdict[str, list[int]](list)
    for task in drawn("train"):
        for turn in task.turns[:-1]:
            decision = turn.reasoning[turn.reasoning.rindex("I call ") :]
            assert turn.calls[0].name in decision
            assert all(str(value) in decision for call in turn.calls for value in parse_arguments(call).values())
        if task.kind == "single":
            opening = request_of(task).partition(": ")[0]
            num_words[opening if f"{opening}: " in reasoning.OPENINGS.values() else ""].append(
                len(task.turns[0].reasoning.split())
            )
    assert 2 * median(num_words["In short"]) < median(num_words["Step by step"])
    assert median(num_words["In short"]) < median(num_words[""]) < median(num_words["Step by step"])


def test_open_values_begin_with_a_capital_letter_or_a_digit_and_a_quarter_is_held_out():
    for kind in (*ENDINGS, "amount", "a"):
        train, held_out = pool(kind, "train"), pool(kind, "held_out")
        assert not set(train) & set(held_out)
        assert 0.2 < len(held_out) / (len(train) + len(held_out)) < 0.3
        assert all(re.match(r"[A-Z0-9]", str(value)) for value in [*train, *held_out])
    assert set(OPERATIONS) == set(phrasing.OPERATION_WORDS)
