import pytest

from steps import CycleError, Graph, StepError, UnknownStep, batches, loads, run_order
from steps.__main__ import main

CHAIN = "ship: test build\ntest: build\nbuild\n"


def test_a_step_comes_after_what_it_needs():
    assert run_order(loads(CHAIN)) == ["build", "test", "ship"]


def test_nothing_has_an_empty_order():
    assert run_order(Graph()) == []
    assert batches(Graph()) == []


def test_batches_hold_what_can_run_at_once_in_the_order_of_adding():
    graph = loads("b\na\nd: a b\nc: a\ne: d c")
    assert batches(graph) == [("b", "a"), ("d", "c"), ("e",)]


def test_a_cycle_is_named():
    with pytest.raises(CycleError) as caught:
        run_order(Graph().add("a", "b").add("b", "c").add("c", "b"))
    assert caught.value.cycle == ["b", "c", "b"]


def test_a_step_that_is_needed_and_missing_is_named():
    with pytest.raises(UnknownStep, match="a needs b"):
        run_order(Graph().add("a", "b"))


@pytest.mark.parametrize("text", ["a\na", ": b", "a b: c"])
def test_a_text_that_is_wrong_is_refused(text):
    with pytest.raises(StepError):
        loads(text)


def test_the_command_prints_the_order(tmp_path, capsys):
    file = tmp_path / "steps.txt"
    file.write_text(CHAIN)
    assert main([str(file)]) == 0
    assert main([str(file), "--batches"]) == 0
    assert capsys.readouterr().out.splitlines() == ["build test ship", "build", "test", "ship"]
