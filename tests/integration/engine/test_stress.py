"""The stress run on real servers, for a few seconds; `make stress-engine` runs it for minutes."""

from pathlib import Path

import pytest
from rich.console import Console

from harness.display import Display
from harness.engine_checks import stress

SECONDS_PER_ARM = 10.0


@pytest.mark.engine
@pytest.mark.timeout(900)
async def test_every_request_ends_and_nothing_is_left_where_stock_sessions_stand_still(tmp_path: Path):
    display = Display("stress", len(stress.ARMS) + 1, Console(stderr=True))
    figures = stress.summarise(*await stress.run_stress(SECONDS_PER_ARM, tmp_path, display))
    assert figures["requests"] > stress.NUM_AGENTS and figures["spliced_turns"] > 0
    assert figures["unfinished"] == figures["server_errors"] == figures["kv_usage_left"] == 0
    assert figures["leaked_responses"] == figures["requests_left"] == 0 and figures["drafted_tokens"] > 0
    assert figures["leaked_entries"] == figures["reserved_blocks_left"] == 0
    assert figures["engine_alive"] and figures["stock_deadlocked"]
    assert figures["stock_sessions"]["num_unfinished"] > 0 and figures["stock_sessions"]["num_turns"] > 0
    assert figures["bystander_p99_ratio"] is not None
