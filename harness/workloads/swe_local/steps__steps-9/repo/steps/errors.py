"""What can be wrong with steps."""

from typing import Sequence


class StepError(Exception):
    """Steps that have no order."""


class UnknownStep(StepError):
    """A step needs one that does not exist."""


class CycleError(StepError):
    """Steps need each other in a circle."""

    def __init__(self, cycle: Sequence[str]) -> None:
        super().__init__("these need each other: " + " -> ".join(cycle))
        self.cycle = list(cycle)
