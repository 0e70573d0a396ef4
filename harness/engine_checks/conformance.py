"""`python -m harness.engine_checks.conformance [pytest arguments]`: the engine side against its documented tables.

Runs the tests marked `conformance`, on real servers. The last line is one JSON object, kept in
results/bench/conformance.json. The exit status is pytest's.
"""

import sys
from typing import Any

import pytest

from harness.bench import write_bench
from harness.provenance import ROOT

FOLDER = ROOT / "tests" / "integration" / "engine" / "conformance"


class Count:
    """A pytest plugin that counts tests. One that could not be set up or taken down has failed, one skipped too."""

    def __init__(self) -> None:
        self._has_passed: dict[str, bool] = {}

    def pytest_runtest_logreport(self, report: Any) -> None:
        self._has_passed[report.nodeid] = self._has_passed.get(report.nodeid, True) and report.outcome == "passed"

    @property
    def num_passed(self) -> int:
        return sum(self._has_passed.values())

    @property
    def num_failed(self) -> int:
        return len(self._has_passed) - self.num_passed


def main() -> None:
    count = Count()
    status = pytest.main(["-q", "-m", "conformance", str(FOLDER), *sys.argv[1:]], plugins=[count])
    write_bench("conformance", {"target": "conformance", "passed": count.num_passed, "failed": count.num_failed})
    sys.exit(status)


if __name__ == "__main__":
    main()
