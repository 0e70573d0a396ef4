"""What the sandbox hands back, and its errors."""

from dataclasses import dataclass

from agents.sandbox.limits import Limit


class SandboxError(RuntimeError):
    """The sandbox could not be set up, so the command has not run. The message says what to install or to change."""


class LimitError(RuntimeError):
    """A command was stopped at a limit. As an observation it is an error, so that a predicted call that meets it in a
    fork has failed, and its confirmed twin is run in place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """A command that has ended, and every process with it.

    `returncode` is 128 + n after signal n, and None when a limit stopped the command; `stopped_by` says which.
    `duration_s` is from the start of the set-up to the end of the last process.
    """

    returncode: int | None
    stdout: str
    stderr: str
    stopped_by: Limit | None
    duration_s: float

    @property
    def is_timed_out(self) -> bool:
        return self.stopped_by is Limit.TIME

    def check_limits(self) -> None:
        """Raise LimitError when a limit stopped the command."""
        if self.stopped_by is not None:
            raise LimitError(
                f"The command was stopped after {self.duration_s:.1f} s: it exceeded its limit of {self.stopped_by}."
            )
