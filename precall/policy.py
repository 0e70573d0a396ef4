"""May this predicted call be launched? Decided at launch, from what the tool declares."""

from dataclasses import dataclass

from precall.errors import ConfigError
from precall.limits import NUM_RESERVED
from precall.tools import Effect, Tool


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchPolicy:
    """Launches tools that leave the world as it is, at most `max_executions_per_turn` of them a turn; with `is_forking`
    also those that change no more than what a fork holds.

    `max_cost_per_trajectory`, in the unit of `Tool.cost`, bounds the cost of the executions that were not used; one
    that is used takes the place of its confirmed call and costs nothing more. Without `can_reach_outside`, tools that
    may send their arguments to other hosts are not launched: a speculative call already leaks them.
    """

    max_executions_per_turn: int = 16
    max_cost_per_trajectory: float | None = None
    is_forking: bool = True
    can_reach_outside: bool = True

    def __post_init__(self) -> None:
        if self.max_executions_per_turn < 1:
            raise ConfigError(
                f"max_executions_per_turn is {self.max_executions_per_turn}; it must be at least 1. "
                "Set speculation=off to disable speculation."
            )
        if self.max_cost_per_trajectory is not None and not self.max_cost_per_trajectory >= 0.0:
            raise ConfigError(
                f"max_cost_per_trajectory is {self.max_cost_per_trajectory}; it must be 0 or more, or None."
            )

    def allows(self, tool: Tool) -> bool:
        """Whether a call of `tool` can be launched at all."""
        return self._refusal_of_tool(tool) is None

    def refusal(self, tool: Tool, num_launched: int, cost: float = 0.0) -> str | None:
        """Return why a call of `tool` may not be launched after `num_launched` others in this turn and executions that
        cost `cost` without being used in this trajectory, or None."""
        of_tool = self._refusal_of_tool(tool)
        if of_tool is not None:
            return of_tool
        if num_launched >= self.max_executions_per_turn:
            return "budget of the turn"
        if self.max_cost_per_trajectory is not None and cost + tool.cost > self.max_cost_per_trajectory:
            return "budget of the trajectory"
        return None

    def _refusal_of_tool(self, tool: Tool) -> str | None:
        if tool.effect is Effect.WORKSPACE:
            if not self.is_forking or tool.fork is None:
                return f"effect {tool.effect} without a fork"
        elif tool.effect.changes_state:
            return f"effect {tool.effect}"
        if tool.can_reach_outside and not self.can_reach_outside:
            return "reaches outside"
        if tool.max_concurrency is not None and not tool.can_be_stopped:
            return "cannot be stopped"  # a confirmed call could not take its place
        if tool.max_rate_per_s is not None and tool.max_rate_per_s < 1 + NUM_RESERVED:
            return "rate of the tool"
        return None
