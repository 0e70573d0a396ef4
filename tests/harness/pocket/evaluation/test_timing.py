"""g and G by a virtual clock: who is asked with whom, in which order, under which salt."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest

from harness.pocket.evaluation.asking import LiveTask
from harness.pocket.evaluation.timing import MODES, Mode, choose_tasks, measure_times, plan
from precall.chat import Messages
from precall.drafts.protocol import Prediction
from precall.events import now_s
from precall.stream import Generation
from precall.testing.virtual_time import run_virtual
from precall.tools import Tool
from tests.harness.pocket.evaluation.turns import OSLO, ROME, answering, calling, live, task_of


def live_task(task_id: str, num_turns: int = 1) -> LiveTask:
    turns = [calling(OSLO)] * num_turns
    return live(
        *([OSLO], [ROME], [OSLO])[:num_turns], "Done.", task=task_of(*turns, answering("Done."), task_id=task_id)
    )


class Server:
    """A target that takes 1 s, and 0.5 s more for each sample under way when it begins; a draft of 0.25 s a sample."""

    def __init__(self) -> None:
        self.num_samples = 0
        self.num_targets = self.most_targets = 0
        self.asked: list[tuple[str, str, int]] = []

    def target(self, salt: str) -> "TargetStub":
        return TargetStub(self, salt)

    def draft(self, task_id: str, num_samples: int, salt: str) -> "DraftStub":
        return DraftStub(self, num_samples, salt)


class TargetStub:
    def __init__(self, server: Server, salt: str) -> None:
        self._server, self._salt = server, salt

    async def turns(self, messages: Messages, tools: Sequence[Tool]) -> AsyncGenerator[Generation, None]:
        server, sent_s = self._server, now_s()
        server.asked.append(("target", self._salt, len(messages)))
        server.num_targets += 1
        server.most_targets = max(server.most_targets, server.num_targets)
        await asyncio.sleep(0.0)  # a draft that is asked at the same moment counts
        await asyncio.sleep(1.0 + 0.5 * server.num_samples)
        server.num_targets -= 1
        yield Generation(
            content="", reasoning="", tool_calls=(), finish_reason=None,
            sent_s=sent_s, first_token_s=None, finished_s=now_s(),
        )  # fmt: skip


class DraftStub:
    def __init__(self, server: Server, num_samples: int, salt: str) -> None:
        self._server, self._num_samples, self._salt = server, num_samples, salt

    async def predict(self, messages: Messages, tools: Sequence[Tool]) -> AsyncGenerator[Prediction, None]:
        self._server.asked.append(("draft", self._salt, len(messages)))
        self._server.num_samples += self._num_samples
        for sample in range(self._num_samples):
            await asyncio.sleep(0.25)
            yield Prediction(sample=sample, calls=(), sent_s=0.0)
        self._server.num_samples -= self._num_samples


def test_alone_nobody_else_is_asked_and_colocated_both_are_at_the_same_time():
    timings = run_virtual(measure_times([live_task("a", 2)], Server(), num_agents=1, run="run", on_done=lambda: None))
    found = {(row.mode.has_target, row.mode.num_samples): (row.G_s, row.g_s) for row in timings}
    assert found == {
        (True, 0): (1.0, None),
        **{(False, num): (None, 0.25 * num) for num in (1, 3, 5, 7, 9)},
        **{(True, num): (1.0 + 0.5 * num, 0.25 * num) for num in (1, 3, 5, 7, 9)},
    }
    keys = [(row.task_id, row.turn, row.mode, row.repeat) for row in timings]
    assert sorted(keys, key=str) == sorted(
        [("a", turn, mode, repeat) for turn in (0, 1) for mode in MODES for repeat in (0, 1)], key=str
    )


def test_a_walk_through_a_task_has_one_salt_of_its_own_and_its_turns_in_order():
    server = Server()
    run_virtual(measure_times([live_task("a", 3)], server, num_agents=1, run="run", on_done=lambda: None))
    walks: dict[str, list[tuple[str, int]]] = {}
    for who, salt, num_messages in server.asked:
        walks.setdefault(salt, []).append((who, num_messages))
    assert len(walks) == 3 * len(MODES)  # one round that is not kept, and two repeats
    for walk in walks.values():
        for who in ("target", "draft"):
            assert [num for each, num in walk if each == who] in ([], [1, 3, 5])


@pytest.mark.parametrize("num_agents", [1, 3])
def test_as_many_tasks_are_under_way_as_there_are_agents(num_agents: int):
    server, num_done = Server(), 0

    def count() -> None:
        nonlocal num_done
        num_done += 1

    tasks = [live_task(str(index)) for index in range(7)]
    timings = run_virtual(measure_times(tasks, server, num_agents=num_agents, run="run", on_done=count))
    assert server.most_targets == num_agents
    assert len(timings) == len(tasks) * len(MODES) * 2
    assert num_done == len(plan(tasks, num_agents))
    assert {row.num_agents for row in timings} == {num_agents}


def test_a_few_tasks_go_through_all_modes_before_the_next_do_and_the_second_repeat_is_reversed():
    tasks = [live_task(str(index)) for index in range(5)]
    steps = plan(tasks, 1)
    sizes = [len(group) for _, _, group in steps[:: len(MODES)]]
    assert sizes == [2, 2, 1, 2, 2, 1]
    assert [mode for _, mode, _ in steps[: len(MODES)]] == list(MODES)
    assert [mode for _, mode, _ in steps[-len(MODES) :]] == list(reversed(MODES))
    assert [repeat for repeat, _, _ in steps] == [0] * 33 + [1] * 33


def test_modes_are_the_target_alone_and_every_number_of_samples_alone_and_beside_it():
    assert MODES[0] == Mode(has_target=True, num_samples=0)
    assert {(mode.has_target, mode.num_samples) for mode in MODES[1:]} == {
        (has_target, num) for has_target in (False, True) for num in (1, 3, 5, 7, 9)
    }


def test_only_tasks_with_calls_are_timed_and_the_choice_is_seeded():
    tasks = [live_task(str(index)) if index % 2 else live("Done.") for index in range(40)]
    chosen = choose_tasks(tasks, 8, seed=0)
    assert len(chosen) == 8 and all(task.call_turns for task in chosen)
    assert chosen == choose_tasks(tasks, 8, seed=0) != choose_tasks(tasks, 8, seed=1)
    assert len(choose_tasks(tasks, 100, seed=0)) == 20
