"""What the agents of the stress run do."""

import json
from collections import Counter

from harness.engine_checks.plans import TOOLS, Behaviour, plan_of
from precall.calls import ToolCall, canonical_key

PLANS = [plan_of(0, agent, round_index) for agent in range(40) for round_index in range(10)]


def keys_posted(plan, num_done=0):
    schema = TOOLS[0]["function"]["parameters"]
    calls = [ToolCall(name=e["name"], arguments=json.dumps(e["params"])) for e in plan.entries(num_done)]
    return [canonical_key(call, schema) for call in calls]


def keys_called(plan):
    calls = [message["tool_calls"][0] for turn in plan.turns for message in turn.messages() if "tool_calls" in message]
    return [
        canonical_key(ToolCall(name=call["function"]["name"], arguments=call["function"]["arguments"]))
        for call in calls
    ]


def of(behaviour):
    return [plan for plan in PLANS if plan.behaviour is behaviour]


def test_an_agent_does_the_same_in_every_arm_and_agents_differ():
    assert plan_of(0, 3, 5) == plan_of(0, 3, 5)
    assert len({plan.turns for plan in PLANS}) == len(PLANS)
    assert plan_of(1, 3, 5) != plan_of(0, 3, 5)


def test_half_of_the_plans_are_good_and_every_other_behaviour_occurs():
    counts = Counter(plan.behaviour for plan in PLANS)
    assert set(counts) == set(Behaviour)
    assert 0.4 < counts[Behaviour.good] / len(PLANS) < 0.6


def test_a_good_client_posts_what_the_model_calls_and_a_wrong_one_nothing_of_it():
    for plan in of(Behaviour.good):
        assert keys_posted(plan) == keys_called(plan)
        assert keys_posted(plan, 1) == keys_called(plan)[1:]
    for plan in of(Behaviour.wrong_calls):
        assert set(keys_posted(plan)).isdisjoint(keys_called(plan))


def test_a_tool_that_never_returns_is_announced_and_is_the_last():
    for plan in of(Behaviour.never_returns):
        entries = plan.entries(0)
        assert [entry.get("running", False) for entry in entries] == [False] * (len(entries) - 1) + [True]


def test_only_a_client_that_vanishes_hangs_up_and_only_a_late_one_posts_late():
    for plan in PLANS:
        assert (plan.leaves_after_s is not None) == (plan.behaviour is Behaviour.vanishes)
        assert plan.post_delay_s == 0 or plan.behaviour is Behaviour.late


def test_a_turn_as_messages_is_what_the_model_said_and_was_told():
    turn = plan_of(0, 1, 0).turns[0]
    asked, told = turn.messages()
    assert asked["content"] == turn.words and turn.text.startswith(turn.words)
    assert asked["tool_calls"][0]["function"]["arguments"] in turn.text
    assert told["tool_call_id"] == asked["tool_calls"][0]["id"] and told["content"] == turn.output
    assert [message["role"] for message in plan_of(0, 1, 0).turns[-1].messages()] == ["assistant"]
