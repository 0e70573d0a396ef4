"""Steps that need each other, in an order."""

from steps.errors import CycleError, StepError, UnknownStep
from steps.graph import Graph
from steps.order import batches, find_cycle, run_order
from steps.text import loads

__all__ = ["CycleError", "Graph", "StepError", "UnknownStep", "batches", "find_cycle", "loads", "run_order"]
