"""May this predicted call be launched? Decided at launch, from what the tool declares."""

from dataclasses import dataclass

from precall.errors import ConfigError
from precall.tools import Effect, Tool


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchPolicy:
    """Launches tools that leave the world as it is, at most `max_executions_per_turn` of them a turn; with `is_forking`
    also those that change no more than what a fork holds."""

    max_executions_per_turn: int = 16
    is_forking: bool = True

    def __post_init__(self) -> None:
        if self.max_executions_per_turn < 1:
            raise ConfigError(
                f"max_executions_per_turn is {self.max_executions_per_turn}; it must be at least 1. "
                "Set speculation=off to disable speculation."
            )

    def allows_effect(self, tool: Tool) -> bool:
        """Whether a call of `tool` can be launched at all."""
        if tool.effect is Effect.WORKSPACE:
            return self.is_forking and tool.fork is not None
        return not tool.effect.changes_state

    def refusal(self, tool: Tool, num_launched: int) -> str | None:
        """Return why a call of `tool` may not be launched after `num_launched` others in this turn, or None."""
        if not self.allows_effect(tool):
            return f"effect {tool.effect}" + (" without a fork" if tool.effect is Effect.WORKSPACE else "")
        if num_launched >= self.max_executions_per_turn:
            return "budget of the turn"
        return None
