"""Training: interrupted anywhere it ends at the same weights, it follows its schedule, and it learns."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from rich.console import Console

from harness.pocket import train as train_module
from harness.pocket.display import TrainingDisplay
from harness.pocket.family import DRAFTS, FAMILY, TARGET, PocketModel
from harness.pocket.probe import Probe
from harness.pocket.train import Run, checkpoint_of, draw_tasks, main, rate_at, train
from tests.harness.pocket import tiny


class Killed(BaseException):
    """Stands for a signal that ends the process."""


@pytest.fixture(scope="module", autouse=True)
def small_steps() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_module, "CONVERSATIONS_PER_STEP", 2)
        patch.setattr(train_module, "_STEPS_PER_CHECKPOINT", 2)
        patch.setattr(train_module, "_STEPS_PER_ROW", 3)
        patch.setattr(train_module, "_ROWS_PER_PROBE", 1)
        patch.setattr(torch.cuda, "is_available", lambda: False)
        yield


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """How a matrix product is split among threads follows the machine's load, and the last bits follow the split."""
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(num_threads)


def run(checkpoint: Path, model: PocketModel = tiny.TARGET) -> Run:
    display = TrainingDisplay(Console(quiet=True))
    return train(model, tiny.encoder(model), Probe(tiny.encoder(model), 4), checkpoint, display)


def facts(finished: Run) -> tuple[dict[str, bytes], list[dict[str, object]], int]:
    """All that a run leaves behind but for its time."""
    weights = {name: weight.numpy().tobytes() for name, weight in finished.network.state_dict().items()}
    curve = [dataclasses.asdict(row) | {"seconds": None} for row in finished.curve]
    return weights, curve, finished.num_tokens


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory):
    return facts(run(tmp_path_factory.mktemp("undisturbed") / "checkpoint.pt"))


@pytest.mark.parametrize("killed_at", range(6))
def test_a_run_killed_in_any_step_ends_at_the_weights_of_an_undisturbed_one(
    killed_at: int, undisturbed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with monkeypatch.context() as patch:
        learn = train_module.learn

        def kill(current: Run, *arguments: object) -> float:
            if current.num_steps == killed_at:
                raise Killed
            return learn(current, *arguments)

        patch.setattr(train_module, "learn", kill)
        with pytest.raises(Killed):
            run(tmp_path / "killed.pt")
    assert facts(run(tmp_path / "killed.pt")) == undisturbed


@pytest.mark.parametrize("killed_at", [1, 2, 3])
def test_a_run_killed_while_it_writes_a_checkpoint_goes_on_from_the_one_before(
    killed_at: int, undisturbed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    save, num_saved = torch.save, 0

    def write_half(state: object, file: Path) -> None:
        nonlocal num_saved
        num_saved += 1
        save(state, file)
        if num_saved == killed_at:
            file.write_bytes(file.read_bytes()[:1000])
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", write_half)
        with pytest.raises(Killed):
            run(tmp_path / "killed.pt")
    assert facts(run(tmp_path / "killed.pt")) == undisturbed


def test_a_finished_run_is_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first = facts(run(tmp_path / "done.pt"))
    monkeypatch.setattr(train_module, "learn", lambda *_: pytest.fail("a step was taken"))
    assert facts(run(tmp_path / "done.pt")) == first


def test_a_short_run_learns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(train_module, "CONVERSATIONS_PER_STEP", 4)
    monkeypatch.setattr(train_module, "_STEPS_PER_ROW", 5)
    monkeypatch.setattr(train_module, "_NUM_WARM_UP_STEPS", 5)
    first, *_, last = run(tmp_path / "short.pt", dataclasses.replace(tiny.TARGET, num_steps=40)).curve
    assert first.loss > 6
    assert last.loss < 4
    assert last.step == 40 and last.call_rate is not None


def test_the_rate_rises_stays_and_falls():
    rates = [rate_at(step, 1000) for step in range(1000)]
    assert rates[:50] == pytest.approx([(step + 1) / 50 for step in range(50)])
    assert set(rates[50:601]) == {1.0}
    assert rates[800] == pytest.approx(0.515)
    assert rates[999] == pytest.approx(0.03, abs=0.003)
    assert rate_at(1000, 1000) == pytest.approx(0.03)


def test_the_rate_of_both_optimizers_follows_the_schedule(tmp_path: Path):
    finished = run(tmp_path / "rates.pt")
    rates = [group["lr"] for optimizer in finished.optimizers for group in optimizer.param_groups]
    assert rates == pytest.approx([0.02 * rate_at(5, 6), 3e-3 * rate_at(5, 6)])


def test_steps_offer_one_tool_first_then_two_then_three():
    model = dataclasses.replace(tiny.TARGET, num_steps=1000)
    offered = {
        step: max(len(task.task.make_tools()) for _ in range(1) for task in _many(model, step))
        for step in (0, 49, 50, 149, 150, 999)
    }
    assert offered == {0: 1, 49: 1, 50: 2, 149: 2, 150: 3, 999: 3}


def _many(model: PocketModel, step: int) -> list:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_module, "CONVERSATIONS_PER_STEP", 40)
        return draw_tasks(model, step)


def test_a_step_draws_the_same_tasks_again_and_no_other_step_or_seed_does():
    def requests(model: PocketModel, step: int) -> list[str]:
        return [task.task.user_turns[0][0]["content"] for task in _many(model, step)]

    other = dataclasses.replace(tiny.TARGET, seed=4)
    assert requests(tiny.TARGET, 4) == requests(tiny.TARGET, 4)
    assert requests(tiny.TARGET, 4) != requests(tiny.TARGET, 5)
    assert requests(tiny.TARGET, 4) != requests(other, 4)


def test_another_recipe_has_another_checkpoint():
    assert checkpoint_of(tiny.TARGET) == checkpoint_of(tiny.TARGET)
    longer = dataclasses.replace(tiny.TARGET, num_steps=7)
    assert checkpoint_of(longer) != checkpoint_of(tiny.TARGET)


def test_the_command_trains_and_writes_the_models_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(train_module, "FAMILY", {"tiny": tiny.TARGET, "other": tiny.DRAFT})
    monkeypatch.setattr(train_module, "Probe", lambda encoder: Probe(encoder, 4))
    main(["--models", "tiny", "--steps", "4", "--output", "models"])
    shown = capsys.readouterr().out
    assert "tiny: step 3 of 4, loss " in shown
    assert " tokens/s, about 0 s left, held out: " in shown
    assert [folder.name for folder in (tmp_path / "models").iterdir()] == ["tiny"]
    assert "--steps 4" in (tmp_path / "models" / "tiny" / "card.md").read_text()


def test_a_number_of_steps_below_one_is_refused(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        main(["--steps", "0"])
    assert "--steps is 0; it must be at least 1." in capsys.readouterr().err


def test_the_family_is_a_target_that_reasons_and_smaller_drafts_that_do_not():
    sizes = [
        sum(weight.numel() for weight in train_module.PocketNetwork(model).parameters()) for model in (*DRAFTS, TARGET)
    ]
    assert sizes == sorted(sizes) and len(set(sizes)) == len(sizes)
    assert TARGET.has_reasoning and not any(draft.has_reasoning for draft in DRAFTS)
    assert list(FAMILY) == ["pocket", "pocket_s", "pocket_m", "pocket_l"]
    assert len({model.seed for model in FAMILY.values()}) == len(FAMILY)
    assert all(model.head_size in (32, 64, 80, 96, 112, 128) for model in FAMILY.values()), "vLLM's on a CPU"
