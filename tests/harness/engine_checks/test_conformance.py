"""How conformance counts its tests."""

from types import SimpleNamespace

from harness.engine_checks.conformance import Count


def counted(*reports):
    count = Count()
    for nodeid, when, outcome in reports:
        count.pytest_runtest_logreport(SimpleNamespace(nodeid=nodeid, when=when, outcome=outcome))
    return count.num_passed, count.num_failed


def test_a_test_has_passed_when_its_setup_its_call_and_its_teardown_have():
    whole = [("a", when, "passed") for when in ("setup", "call", "teardown")]
    assert counted(*whole) == (1, 0)
    assert counted(*whole, ("b", "setup", "passed"), ("b", "call", "failed"), ("b", "teardown", "passed")) == (1, 1)


def test_a_test_that_could_not_be_set_up_or_taken_down_or_was_skipped_has_failed():
    assert counted(("a", "setup", "failed"), ("a", "teardown", "passed")) == (0, 1)
    assert counted(("a", "setup", "passed"), ("a", "call", "passed"), ("a", "teardown", "failed")) == (0, 1)
    assert counted(("a", "setup", "skipped"), ("a", "teardown", "passed")) == (0, 1)
