"""precall: speculative tool calls for LLM agents."""

from precall.calls import Observation, ToolCall, canonical_key
from precall.chat import ChatClient, ChatTarget, Sampling
from precall.drafts.chat_model import ChatDraft
from precall.ledger import Ledger
from precall.policy import LaunchPolicy
from precall.resident_target import ResidentTarget
from precall.speculation import ClientSpeculation, NoSpeculation
from precall.tool_cache import ToolCachePublisher
from precall.tools import Effect, Tool
from precall.turn import TurnRunner

__all__ = [
    "ChatClient",
    "ChatDraft",
    "ChatTarget",
    "ClientSpeculation",
    "Effect",
    "LaunchPolicy",
    "Ledger",
    "NoSpeculation",
    "Observation",
    "ResidentTarget",
    "Sampling",
    "Tool",
    "ToolCachePublisher",
    "ToolCall",
    "TurnRunner",
    "canonical_key",
]
