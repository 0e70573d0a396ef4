"""`make kill-check` with real servers: two settings of the target, each started once, and nothing outlives a kill."""

from pathlib import Path

import pytest

from harness.bench import FOLDER, keeping
from harness.cell_bench import cells_of
from harness.kill_check.__main__ import start
from harness.kill_check.check import check

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

# Without speculation: no draft to measure, and cells of a few seconds each.
SWEEP = (
    *("experiment=fig1", "scale=smoke", "speculation=off", "agent.num_agents=2", "agent.tasks_per_agent=1"),
    *("scale.num_blocks=2", "scale.latencies=[0.0]", "workload.reasoning_words_mean=40.0", "tracker=disabled"),
    "+grid={backend.kv_cache_gib:[1,2]}",
)


def test_a_sweep_on_real_servers_starts_each_once_and_outlives_kills(tmp_path: Path) -> None:
    with keeping(FOLDER / "fig1.json"):
        report = check(
            lambda output, journal: start(SWEEP, output, journal), cells_of(SWEEP), tmp_path, num_kills=2, seed=0
        )
    said = "\n".join(log.read_text() for log in tmp_path.glob("*.log"))
    assert report.problems == (), said
    assert (report.num_cells, report.num_kills) == (4, 2)
    assert report.num_server_starts == report.num_distinct_servers == 2
