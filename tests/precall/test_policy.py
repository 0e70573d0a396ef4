"""The launch policy: effects and the budget of a turn."""

import pytest

from precall.errors import ConfigError
from precall.policy import LaunchPolicy
from precall.tools import Effect
from tests.precall.worlds import World


def tool(effect):
    return World().tool("f", effect, 1.0)


@pytest.mark.parametrize(
    ("effect", "refusal"),
    [(Effect.PURE, None), (Effect.READ, None), (Effect.WRITE, "effect write"), (Effect.UNKNOWN, "effect unknown")],
)
def test_only_tools_that_leave_the_world_as_it_is_may_be_launched(effect, refusal):
    assert LaunchPolicy().refusal(tool(effect), 0) == refusal
    assert LaunchPolicy().allows_effect(tool(effect)) == (refusal is None)


def test_the_budget_refuses_the_execution_after_the_last_one():
    policy = LaunchPolicy(max_executions_per_turn=2)
    refusals = [policy.refusal(tool(Effect.PURE), num_launched) for num_launched in range(4)]
    assert refusals == [None, None, "budget of the turn", "budget of the turn"]


def test_a_budget_below_one_is_refused_and_named():
    message = "max_executions_per_turn is 0; it must be at least 1"
    with pytest.raises(ConfigError, match=message):
        LaunchPolicy(max_executions_per_turn=0)
