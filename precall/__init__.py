"""precall: speculative tool calls for LLM agents. The exports below are frozen; the modules hold the parts."""

from precall.chat import ChatClient, ChatTarget, Sampling
from precall.drafts.chat_model import ChatDraft
from precall.ledger import Ledger
from precall.openai_tools import tools_from_openai
from precall.policy import LaunchPolicy
from precall.prices import TokenPrice
from precall.speculator import Speculator
from precall.spending import SpendingCap
from precall.tools import Effect, Tool

__all__ = [
    "ChatClient",
    "ChatDraft",
    "ChatTarget",
    "Effect",
    "LaunchPolicy",
    "Ledger",
    "Sampling",
    "Speculator",
    "SpendingCap",
    "TokenPrice",
    "Tool",
    "tools_from_openai",
]
