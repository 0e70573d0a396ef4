"""The tool proposer (O2) in an engine that follows a recording.

--speculative-config '{"method": "custom_class", "model": "harness.replay.proposer.ReplayToolProposer", ...}'
"""

from typing import Any

from harness.replay.forcing import force_samples
from precall.engine.proposer import ToolProposer


class ReplayToolProposer(ToolProposer):
    """Drafts as ToolProposer does; loading it makes the worker follow recorded tokens."""

    def __init__(self, vllm_config: Any) -> None:
        force_samples()
        super().__init__(vllm_config)
