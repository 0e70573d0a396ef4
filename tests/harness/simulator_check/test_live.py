"""What drafts answered, pooled over cells: by hand."""

from dataclasses import replace
from pathlib import Path

from harness.replay.trajectories import RecordedTrajectory, RecordedTurn, TrajectorySet, write_trajectories
from harness.schema import Config
from harness.simulator_check.live import DraftAnswers
from precall.calls import ToolCall
from precall.events import Event, EventKind
from tests.harness.configs import config_of
from tests.harness.metrics.timelines import event

LOOK = {"name": "look", "arguments": "{}"}
CALLS = (ToolCall(name="look", arguments="{}"),)


def turn(content: str = "", calls: tuple[ToolCall, ...] = CALLS) -> RecordedTurn:
    return RecordedTurn(user_turn=0, reasoning="", content=content, calls=calls)


TURNS = (turn(), turn("Once more."), turn("Done.", ()))


def answered(index: int, *, sample: int = 0, num_tokens: int = 7, run: str = "spec-1") -> Event:
    data = {"sample": sample, "sent_s": 0.0, "calls": [LOOK], "num_prompt_tokens": 9, "num_output_tokens": num_tokens}
    return event(EventKind.DRAFT_ANSWERED, 1.0, "a", run, index, **data)


def cell(folder: Path, *turns: RecordedTurn) -> Path:
    folder.mkdir()
    found = RecordedTrajectory(task_id="a", turns=turns)
    write_trajectories(
        folder / "trajectories-spec-1.jsonl", TrajectorySet(origin="measured", description="", trajectories=(found,))
    )
    return folder


def config(num_samples: int = 1, temperature: float = 1.0) -> Config:
    found = config_of("experiment=pocket", "scale=smoke")
    model = replace(found.draft.model, temperature=temperature)
    return replace(found, draft=replace(found.draft, model=model, num_samples=num_samples))


def test_what_was_cut_off_in_a_cell_is_what_the_draft_said_elsewhere_after_the_same_history(tmp_path):
    late, early = cell(tmp_path / "late", *TURNS), cell(tmp_path / "early", *TURNS)
    answers = DraftAnswers()
    answers.add(late, config(), {"spec-1": [answered(0)]})
    answers.add(early, config(), {"spec-1": [answered(0, num_tokens=5), answered(1)], "base-1": [answered(2)]})
    (own,) = answers.of_turn(late, config(), "a", TURNS, 0)
    assert (own.calls, own.num_tokens) == (CALLS, 7)
    (other,) = answers.of_turn(late, config(), "a", TURNS, 1)
    assert (other.source, other.calls) == ((early, "spec-1"), CALLS)
    assert answers.of_turn(late, config(), "a", TURNS, 2) == []
    assert answers.of_turn(late, config(), "a", (turn("Another."), *TURNS[1:]), 1) == []
    assert answers.of_turn(late, config(temperature=0.0), "a", TURNS, 1) == []


def test_samples_that_are_missing_are_taken_in_turn_from_those_that_are_known(tmp_path):
    one, other = cell(tmp_path / "one", *TURNS), cell(tmp_path / "other", *TURNS)
    answers = DraftAnswers()
    answers.add(one, config(5), {"spec-1": [answered(0, sample=3, num_tokens=0)]})
    answers.add(other, config(3), {"spec-1": [answered(0, sample=1, num_tokens=2), answered(0, num_tokens=1)]})
    found = [answer.num_tokens for answer in answers.of_turn(one, config(5), "a", TURNS, 0)]
    assert found == [None, 1, 2, 1, 2]  # its own was not counted
    assert len(answers.of_turn(other, config(1), "a", TURNS, 0)) == 1
