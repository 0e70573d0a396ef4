"""The whole evaluation by a virtual clock, with models that know the world and err in known ways."""

import asyncio
import io
import json
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from harness import bench
from harness.pocket import evaluate as module
from harness.pocket.evaluate import Evaluation, command_line, main
from harness.pocket.world import draw_tasks
from precall.calls import ToolCall
from precall.chat import Messages, Sampling
from precall.errors import BackendError, ConfigError
from precall.events import now_s
from precall.stream import Generation
from precall.testing.virtual_time import run_virtual
from precall.tools import Tool
from tests.harness.pocket.streamed import chunk_of

TASKS = draw_tasks(20, seed=0, split="held_out")
BY_REQUEST = {task.task.user_turns[0][0]["content"]: task for task in TASKS}
WRONG = ToolCall(name="no_such_tool", arguments="{}", call_id="w")


class KnowingClient:
    """The target takes 1 s and never errs. Drafts take 0.25 s and err in every second task when greedy, else in all
    samples but the seventh."""

    def __init__(self, *, base_url: str, model: str) -> None:
        assert base_url == f"http://{model}"
        self.model = model

    async def generate(
        self, messages: Messages, tools: Sequence[Tool], sampling: Sampling, extra_body: Any = None, choice: int = 0
    ) -> Generation:
        task = BY_REQUEST[messages[0]["content"]]
        turn = task.turns[sum(message["role"] == "assistant" for message in messages)]
        sent_s = now_s()
        await asyncio.sleep(1.0 if self.model == "pocket" else 0.25)
        calls = turn.calls
        if self.model != "pocket" and calls:
            is_right = TASKS.index(task) % 2 == 0 if sampling.temperature == 0.0 else choice == 6
            calls = calls if is_right else (WRONG,)
        return Generation(
            content=turn.content, reasoning="", tool_calls=calls, finish_reason="stop",
            sent_s=sent_s, first_token_s=None, finished_s=now_s(),
        )  # fmt: skip

    async def stream(
        self, messages: Messages, tools: Sequence[Tool], sampling: Sampling, extra_body: Any, *, num_choices: int
    ) -> AsyncGenerator[Any, None]:
        choices = (self.generate(messages, tools, sampling, extra_body, choice=i) for i in range(num_choices))
        yield chunk_of(*await asyncio.gather(*choices))

    async def aclose(self) -> None:
        pass


class Pool:
    """Stands for the servers: keeps which were up together."""

    def __init__(self, death: str | None = None) -> None:
        self.provided: list[list[str]] = []
        self.death = death

    async def provide(self, settings: Sequence[Any], log_folder: Path) -> list[Any]:
        self.provided.append([each.served_model_name for each in settings])
        names = self.provided[-1]
        return [SimpleNamespace(base_url=f"http://{name}", check_alive=self._check_alive) for name in names]

    async def _check_alive(self) -> None:
        if self.death is not None:
            raise BackendError(self.death)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(module, "ChatClient", KnowingClient)
    monkeypatch.setattr(module, "server_settings", lambda model, models: SimpleNamespace(served_model_name=model.name))
    return command_line(["--tasks", "20", "--timed-tasks", "2", "--agents", "1", "2"])


def evaluation(asked: Any, pool: Any) -> Evaluation:
    return Evaluation(asked, pool, Console(file=io.StringIO()))


def test_the_figures_are_those_of_what_the_models_did(asked: Any):
    pool = Pool()
    found, kept = run_virtual(evaluation(asked, pool).run())
    assert pool.provided == [["pocket"], *(["pocket", name] for name in ("pocket_s", "pocket_m", "pocket_l"))]
    assert (found["num_tasks"], found["num_timed_tasks"]) == (20, 2)
    target = found["target"]
    assert [target[key][1] for key in ("call_exact_match", "answer_exact_match", "no_call_match", "solved")] == [
        1.0
    ] * 4
    assert (target["faults"], kept["unsolved"], kept["faults_of_target"]) == ({}, [], [])
    assert list(found["drafts"]) == ["pocket_s", "pocket_m", "pocket_l"]
    turns = [(index, turn) for index, task in enumerate(TASKS) for turn in task.turns if turn.calls]
    num_calls = sum(len(turn.calls) for _, turn in turns)
    num_right = sum(len(turn.calls) for index, turn in turns if index % 2 == 0)
    draft = found["drafts"]["pocket_m"]
    assert draft["call_exact_match"][1] == sum(index % 2 == 0 for index, _ in turns) / len(turns)
    assert draft["answer_exact_match"] == target["answer_exact_match"]
    assert draft["faults"] == {"wrong_tool": sum(index % 2 for index, _ in turns)}
    rates = {num: interval[1] for num, interval in draft["call_acceptance_rate"].items()}
    assert rates == {"1": num_right / num_calls, "3": 0.0, "5": 0.0, "7": 1.0, "9": 1.0}
    assert draft["call_acceptance_rate_sampled_once"][1] == 0.0
    assert draft["num_calls"] == num_calls
    for num_agents in ("1", "2"):
        for place in ("alone", "colocated"):
            assert set(draft["g_over_G"][num_agents][place]) == {"1", "3", "5", "7", "9"}
            assert draft["g_over_G"][num_agents][place]["9"] == [0.25, 0.25, 0.25]


def test_a_request_that_failed_because_its_server_went_is_explained_by_the_server(
    asked: Any, monkeypatch: pytest.MonkeyPatch
):
    async def fail(self: Any, *args: Any) -> Generation:
        raise BackendError("the request failed")

    monkeypatch.setattr(KnowingClient, "generate", fail)
    with pytest.raises(BackendError, match="Its log ends with"):
        run_virtual(evaluation(asked, Pool(death="The pocket server ended. Its log ends with")).run())
    with pytest.raises(BackendError, match="the request failed"):
        run_virtual(evaluation(asked, Pool()).run())


def test_a_target_that_asks_for_no_call_ends_the_evaluation(asked: Any, monkeypatch: pytest.MonkeyPatch):
    async def say_nothing(self: Any, *args: Any) -> Generation:
        return Generation(
            content="", reasoning="", tool_calls=(), finish_reason="stop",
            sent_s=0.0, first_token_s=None, finished_s=0.0,
        )  # fmt: skip

    monkeypatch.setattr(KnowingClient, "generate", say_nothing)
    with pytest.raises(BackendError, match="pocket asked for no call in 20 tasks; drafts need some"):
        run_virtual(evaluation(asked, Pool()).run())


@pytest.mark.parametrize("option", ["--tasks", "--timed-tasks", "--agents"])
def test_a_number_below_one_is_refused(option: str):
    with pytest.raises(ConfigError, match=f"{option} is 0; it must be at least 1"):
        command_line([option, "0"])


def test_models_that_are_not_there_end_it_before_a_server_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(module.sys, "argv", ["evaluate", "--models", str(tmp_path)])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 1
    assert "pocket has no config.json; it is not a model's folder" in capsys.readouterr().err


def test_the_last_line_is_one_json_object_and_times_are_kept_beside_it(
    asked: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    async def found(*args: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        return {"num_tasks": 20, "target": {}, "drafts": {}}, {"timings": {"pocket_s": []}}

    monkeypatch.setattr(module, "evaluate", found)
    monkeypatch.setattr(module, "print_tables", lambda *args: None)
    monkeypatch.setattr(bench, "FOLDER", tmp_path)
    monkeypatch.setattr(module.sys, "argv", ["evaluate"])
    main()
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"num_tasks": 20, "target": {}, "drafts": {}}
    kept = json.loads((tmp_path / "pocket-eval.json").read_text())
    assert kept["timings"] == {"pocket_s": []} and "provenance" in kept


def test_an_interruption_ends_it_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    async def interrupted(*args: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "evaluate", interrupted)
    monkeypatch.setattr(module.sys, "argv", ["evaluate"])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 130
    assert "Interrupted; nothing is kept" in capsys.readouterr().err
