"""What an agent of the stress run sends, and when its plan is done."""

import asyncio

import pytest

from harness.engine_checks.agents import Agents
from harness.engine_checks.plans import Behaviour, plan_of
from harness.engine_checks.site import Streamed
from precall.testing.virtual_time import run_virtual
from precall.wire import SECRET_HEADER


class Site:
    """Executes the turns that `executes` says, request by request, and answers after a second."""

    def __init__(self, executes=(), status=200):
        self.executes = list(executes)
        self.status = status
        self.requests = []
        self.posts = []

    def encode(self, text):
        return [len(text)]

    async def stream(self, route, body, headers=None):
        self.requests.append((body, headers))
        await asyncio.sleep(1.0)
        return Streamed(status=self.status, num_executed=self.executes.pop(0) if self.executes else 0)

    async def post(self, request_id, secret, entries):
        self.posts.append((request_id, secret, entries))
        return 200


def first(behaviour, num_turns=None):
    plans = (plan_of(0, agent, index) for agent in range(50) for index in range(20))
    return next(p for p in plans if p.behaviour is behaviour and num_turns in (None, len(p.turns)))


def run(plan, site, opts_in=True):
    agents = Agents(site=site, opts_in=opts_in, label="0")
    run_virtual(agents.run(plan, seed=0))
    return agents


def test_the_agent_goes_on_after_what_was_executed_and_what_it_was_handed():
    plan, site = first(Behaviour.good, 5), Site(executes=[1, 2])
    agents = run(plan, site)
    assert len(site.requests) == 2 and agents.tally.num_spliced_turns == 3
    (_, first_body), (_, second) = [(None, body) for body, _ in site.requests]
    assert len(first_body["precall"]["turn_xargs"]) == 5 and len(second["precall"]["turn_xargs"]) == 3
    assert second["messages"][1:] == [message for turn in plan.turns[:2] for message in turn.messages()]
    assert agents.tally.num_open == 0


def test_an_agent_that_does_not_opt_in_sends_one_ordinary_request_per_turn():
    plan, site = first(Behaviour.good, 4), Site()
    agents = run(plan, site, opts_in=False)
    assert agents.tally.num_requests == 4 and not site.posts
    for body, headers in site.requests:
        assert "precall" not in body and not headers
    forced = [body["vllm_xargs"]["replay_token_ids"] for body, _ in site.requests]
    assert forced == [[len(f"{turn.text}<|im_end|>")] for turn in plan.turns]


def test_every_request_has_a_secret_of_its_own_and_its_posts_carry_it():
    plan, site = first(Behaviour.good, 3), Site()
    run(plan, site)
    secrets = [headers[SECRET_HEADER] for _, headers in site.requests]
    assert len(set(secrets)) == 3
    assert [secret for _, secret, _ in site.posts] == secrets


def test_a_client_that_vanishes_hangs_up_and_sends_nothing_more():
    plan = first(Behaviour.vanishes)
    site = Site()

    async def never(*_):
        site.requests.append(_)
        await asyncio.Event().wait()

    site.stream = never
    agents = run(plan, site)
    assert len(site.requests) == 1 and agents.tally.num_open == 0


@pytest.mark.parametrize("opts_in", [False, True])
def test_a_tool_that_never_returns_ends_the_task_in_either_arm(opts_in):
    plan, site = first(Behaviour.never_returns, 3), Site()
    run(plan, site, opts_in)
    assert len(site.requests) == 2


def test_a_refusal_ends_the_task():
    site = Site(status=400)
    run(first(Behaviour.good, 5), site)
    assert len(site.requests) == 1


def test_posts_in_random_order_include_strangers_and_a_wrong_secret():
    plan, site = first(Behaviour.random_order), Site()
    run(plan, site)
    ids = {request_id for request_id, _, _ in site.posts}
    assert any(request_id.startswith("nobody-") for request_id in ids)
    assert {"a secret of somebody else", "too short"} < {secret for _, secret, _ in site.posts}
