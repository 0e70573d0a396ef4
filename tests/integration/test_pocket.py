"""The committed pocket models on the real engine: they reach what is published of them, speculation changes none of
their tokens, and a recorded run of theirs replays."""

import dataclasses
import json
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agents.task import Task
from harness import build
from harness.backends.vllm_server import VllmServer
from harness.backends.vllm_settings import VllmServerSettings
from harness.metrics.comparison import check_identical, task_id_of
from harness.participants import cache_salt_of
from harness.pocket.evaluation.asking import at_once, run_live, samples_of, score_turns, target_of
from harness.pocket.world import PocketTask, draw_tasks
from harness.provenance import ROOT
from harness.replay.recorder import record
from harness.replay.trajectories import write_trajectories
from harness.schema import Config, Speculation
from harness.workloads.pocket import load_pocket
from precall.chat import ChatClient, Sampling
from precall.drafts.chat_model import ChatDraft
from precall.events import Event
from precall.ledger import Ledger
from tests.integration.arms import integration_config, run_configured, running, trajectories_of

pytestmark = pytest.mark.engine

NUM_SCORED = 80  # of the 300 tasks of the published evaluation
SLACK = 0.05  # beyond the published interval, since 80 tasks are fewer


@pytest.fixture(scope="module")
def published() -> dict[str, Any]:
    return json.loads((ROOT / "results" / "published" / "pocket" / "pocket-eval.json").read_text())


@pytest.fixture(scope="module")
def live() -> Config:
    return integration_config("experiment=pocket", "speculation=engine", "backend=vllm_resident")


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logs")


@pytest.fixture(scope="module")
def pocket(live: Config, logs: Path) -> Iterator[VllmServer]:
    with running(build.target_server(live), logs) as server:
        yield server


@pytest.fixture(scope="module")
def resident(live: Config, logs: Path) -> Iterator[VllmServer]:
    with running(build.speculative_target_server(live), logs) as server:
        yield server


@pytest.fixture(scope="module")
def pocket_draft(live: Config, logs: Path) -> Iterator[VllmServer]:
    (settings,) = build.draft_servers(live)
    with running(settings, logs) as server:
        yield server


@pytest.fixture(scope="module")
def tasks() -> list[Task]:
    return load_pocket(num_tasks=12, seed=7)


@asynccontextmanager
async def client_of(server: VllmServer) -> AsyncGenerator[ChatClient, None]:
    client = ChatClient(base_url=server.base_url, model=server.settings.served_model_name)
    try:
        yield client
    finally:
        await client.aclose()


async def accuracy(server: VllmServer) -> tuple[float, float]:
    """The shares of calls and of answers that are right, the right history given."""
    async with client_of(server) as client:

        async def score(task: PocketTask) -> list[Any]:
            return await score_turns(task, target_of(client, cache_salt_of("score", task.task.task_id)))

        rows = await at_once(draw_tasks(NUM_SCORED, seed=0, split="held_out"), score, 16, lambda: None)
    scores = [score for of_task in rows for score in of_task]
    is_right = {is_due: [score.fault is None for score in scores if score.is_call_due == is_due] for is_due in (1, 0)}
    calls, answers = (sum(right) / len(right) for right in is_right.values())
    return calls, answers


def check(found: float, interval: list[float]) -> None:
    low, _, high = interval
    assert low - SLACK <= found <= min(1.0, high + SLACK), f"{found:.3f}, published {interval}"


async def test_the_target_reaches_its_published_accuracy(pocket: VllmServer, published: dict[str, Any]):
    calls, answers = await accuracy(pocket)
    check(calls, published["target"]["call_exact_match"])
    check(answers, published["target"]["answer_exact_match"])


async def test_the_samples_of_one_request_are_those_of_requests_with_seeds_of_their_own(pocket_draft: VllmServer):
    tasks = [task for task in draw_tasks(20, seed=3, split="held_out") if task.turns[0].calls]
    seen: set[bool] = set()
    async with client_of(pocket_draft) as client:

        async def ask(task: PocketTask, seed: int, num_samples: int) -> list[list[tuple[str, str]]]:
            sampling = Sampling(temperature=1.0, max_tokens=120, seed=seed)
            draft = ChatDraft(client, sampling, num_samples, {"cache_salt": cache_salt_of("n", task.task.task_id)})
            samples = await samples_of(draft, task.task.user_turns[0], task.task.make_tools())
            return [[(call.name, call.arguments) for call in sample] for sample in samples]

        for task in tasks:
            together = await ask(task, 40, 3)
            assert together == [(await ask(task, 40 + index, 1))[0] for index in range(3)], task.task.task_id
            seen.add(together[0] == together[1])
    assert False in seen, "samples that are always alike would be equal whatever their seeds"


async def test_the_target_solves_its_published_share_of_tasks(pocket: VllmServer, published: dict[str, Any]):
    async with client_of(pocket) as client:
        tasks = draw_tasks(NUM_SCORED, seed=0, split="held_out")
        solved = await at_once(
            tasks, lambda task: run_live(task, target_of(client, f"live-{task.task.task_id}")), 16, lambda: None
        )
    check(sum(task.is_solved for task in solved) / len(solved), published["target"]["solved"])


async def test_a_draft_reaches_its_published_accuracy(pocket_draft: VllmServer, published: dict[str, Any]):
    calls, _ = await accuracy(pocket_draft)
    check(calls, published["drafts"][pocket_draft.settings.served_model_name]["call_exact_match"])


async def test_baseline_client_side_and_engine_side_generate_the_same_tokens_unforced(
    live, pocket, resident, pocket_draft, tasks
):
    client_side = dataclasses.replace(live, speculation=dataclasses.replace(live.speculation, mode=Speculation.client))
    base = await run_configured("base-1", live, tasks, [pocket, pocket_draft])
    spec = await run_configured("spec-1", client_side, tasks, [pocket, pocket_draft])
    engine = await run_configured("spec-2", live, tasks, [resident, pocket_draft])
    agreed = check_identical({"base-1": base.events, "spec-1": spec.events, "spec-2": engine.events})
    assert agreed.num_equal_prompts == agreed.num_prompts > 2 * len(tasks)
    assert Ledger.from_events(spec.events).num_used > 0
    assert Ledger.from_events(engine.events).num_executed > 0


async def test_a_recorded_run_replays_to_the_same_events(live, pocket, pocket_draft, tasks, logs, tmp_path):
    recorded = await run_configured("base-1", live, tasks, [pocket, pocket_draft])
    file = tmp_path / "recorded.jsonl"
    kept = record(trajectories_of(recorded), recorded.events, "a test")
    write_trajectories(file, kept)
    ids = {trajectory.task_id for trajectory in kept.trajectories}
    assert len(ids) >= len(tasks) - 2  # a malformed call cannot be replayed
    tasks = [task for task in tasks if task.task_id in ids]
    events = [event for event in recorded.events if task_id_of(event) in ids]
    replaying = integration_config(
        "experiment=pocket", "speculation=off", "model.is_replay=true", f"workload.trajectories={file}"
    )
    settings = build.target_server(replaying)
    assert isinstance(settings, VllmServerSettings)
    async with VllmServer(settings, log_folder=logs) as server:
        replayed = await run_configured("base-2", replaying, tasks, [server])
    assert check_identical({"base-1": events, "base-2": replayed.events}).num_identical > 4 * len(tasks)
    assert shape(replayed.events) == shape(events)


def shape(events: Sequence[Event]) -> dict[str, list[Any]]:
    """The kinds of events of each task, in their order."""
    kinds: dict[str, list[Any]] = {}
    for event in events:
        kinds.setdefault(task_id_of(event), []).append((event.kind, event.turn))
    return kinds
