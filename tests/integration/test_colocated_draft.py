"""A draft at work on its own server beside the target: it says what was recorded, and the target is not disturbed."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.task import Task
from harness import build
from harness.backends.vllm_server import VllmServer
from harness.metrics.comparison import check_identical
from harness.model_paths import model_path
from harness.replay.models import ReplayDraft
from harness.replay.rendering import HermesRenderer
from harness.replay.trajectories import RecordedTrajectory
from harness.schema import Config
from harness.workloads.bfcl import load_bfcl
from precall.calls import ToolCall
from precall.chat import ChatClient
from precall.events import EventKind
from precall.ledger import Ledger
from tests.integration.arms import integration_config, new_salt, run_configured, running

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def colocated() -> Config:
    """Long reasoning, so that the draft has mostly spoken when the target has."""
    long = "workload.reasoning_words_mean=200.0"
    return integration_config("experiment=colocated", "workload.hit_rate=0.5", "draft.num_samples=2", long)


@pytest.fixture(scope="module")
def draft(colocated: Config, target: VllmServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[VllmServer]:
    """The draft's server; the target is up before it, as in the harness."""
    (settings,) = build.draft_servers(colocated)
    with running(settings, tmp_path_factory.mktemp("logs")) as server:
        yield server


@pytest.fixture(scope="module")
def tasks() -> list[Task]:
    return load_bfcl(["simple_python", "live_multiple"], num_tasks=4, seed=2)


@pytest.fixture(scope="module")
def recorded(colocated: Config, tasks: list[Task]) -> dict[str, RecordedTrajectory]:
    return build.trajectories_of(colocated, tasks)


def plain(calls: tuple[ToolCall, ...]) -> list[dict[str, str]]:
    return [{"name": call.name, "arguments": call.arguments} for call in calls]


async def test_a_draft_alone_gives_each_recorded_sample_of_each_turn(colocated, draft, tasks, recorded):
    client = ChatClient(base_url=draft.base_url, model=colocated.draft.model.name)
    renderer = HermesRenderer(Path(model_path(colocated.draft.model)))
    num_calls = []
    for task in tasks:
        replay = ReplayDraft(client, recorded[task.task_id], renderer, new_salt())
        for index, turn in enumerate(recorded[task.task_id].turns):
            history = [*task.user_turns[0], *({"role": "assistant", "content": "x"} for _ in range(index))]
            predictions = [each async for each in replay.predict(history, task.make_tools())]
            said = {prediction.sample: plain(prediction.calls) for prediction in predictions}
            assert said == {sample: plain(calls) for sample, calls in enumerate(turn.draft_samples)}
            assert all(
                prediction.num_output_tokens == len(renderer.draft_tokens(turn.draft_samples[prediction.sample]))
                for prediction in predictions
            )
            num_calls += [len(calls) for calls in turn.draft_samples]
    assert set(num_calls) == {0, 1}  # samples with and without a call were among them
    await client.aclose()


async def test_a_draft_at_work_beside_the_target_says_what_was_recorded_and_changes_nothing(
    colocated, target, draft, tasks, recorded
):
    base = await run_configured("base-1", colocated, tasks, [target, draft])
    spec = await run_configured("spec-1", colocated, tasks, [target, draft])
    assert check_identical({"base-1": base.events, "spec-1": spec.events}).num_identical == 5 * len(tasks)
    assert not [event for event in spec.events if event.kind is EventKind.DRAFT_FAILED]
    answered = [event for event in spec.events if event.kind is EventKind.DRAFT_ANSWERED]
    for event in answered:
        turn = recorded[event.trajectory_id.removeprefix("spec-1/")].turns[event.turn]
        assert event.data["calls"] == plain(turn.draft_samples[event.data["sample"]])
    ledger = Ledger.from_events(spec.events)
    assert len(answered) > 2 * len(tasks)  # of four samples a task; a late one is dropped with its turn
    assert ledger.num_used > 0 and ledger.num_used == ledger.num_matched
    assert spec.draft_cpu_s > base.draft_cpu_s
