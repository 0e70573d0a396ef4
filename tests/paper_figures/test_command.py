"""The command line: what is drawn from where, the same bytes in every process, what is said where nothing can be."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from paper_figures import command, data, sources, style
from paper_figures.__main__ import DRAWINGS
from paper_figures.data import NothingToDraw
from precall.errors import ConfigError
from tests.paper_figures.frames import bench_folder, cells, cells_folder, engine_bench, given_cells, write_all

ROOT = Path(__file__).resolve().parents[2]
BY_NAME = {drawing.name: drawing for drawing in DRAWINGS}
KINDS = list({drawing.draw: drawing for drawing in DRAWINGS}.values())
"""One for each way of drawing: some figures differ in their sources alone."""
FIGURES = [drawing.name for drawing in KINDS if drawing.name != "api_table"]
DPI = 40  # what takes time is the number of pixels


def draw_all(folders: dict[str, list[str]], out: Path) -> None:
    """Draw each kind of figure from its folders. Another process calls this, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(style._RC, "savefig.dpi", DPI)
        for drawing in KINDS:
            paths = map(Path, folders[drawing.name])
            found = [each.at(path) for each, path in zip(drawing.sources, paths, strict=True)]
            command.render(drawing, found, out)


DRAW_ALL = """
import json, sys
from pathlib import Path
from tests.paper_figures.test_command import draw_all
draw_all(json.loads(sys.argv[1]), Path(sys.argv[2]))
"""


def start(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    line = [sys.executable, *map(str, arguments)]
    return subprocess.Popen(
        line, cwd=ROOT, env=os.environ | environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two folders with each kind of figure, the second from a process with another hash seed and matplotlibrc."""
    folder = tmp_path_factory.mktemp("figures")
    folders = {name: [str(path) for path in paths] for name, paths in write_all(folder / "results").items()}
    users_style = folder / "matplotlibrc"
    users_style.write_text("font.size: 20\n")
    first, second = folder / "first", folder / "second"
    other = {"MATPLOTLIBRC": str(users_style), "PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT)}
    process = start("-c", DRAW_ALL, json.dumps(folders), second, **other)
    draw_all(folders, first)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    return first, second


def test_every_kind_of_figure_is_drawn(drawn: tuple[Path, Path]) -> None:
    written = {file.name for file in drawn[0].iterdir()}
    assert written == {f"{name}.{kind}" for name in FIGURES for kind in ("pdf", "png")} | {"api_table.md"}


def test_two_processes_write_the_same_bytes_without_naming_the_machine(drawn: tuple[Path, Path]) -> None:
    first, second = drawn
    for file in sorted(first.iterdir()):
        content = file.read_bytes()
        assert content == (second / file.name).read_bytes(), f"{file.name} differs between two processes"
        assert str(first.parent).encode() not in content, file.name


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_carries_its_data_and_the_command_that_draws_it(name: str, drawn: tuple[Path, Path]) -> None:
    text = Image.open(drawn[0] / f"{name}.png").text  # type: ignore[attr-defined]
    assert text["Command"].split()[:4] == ["python", "-m", "paper_figures", name]
    assert ("--from" in text["Command"]) == bool(BY_NAME[name].sources)
    assert text["Description"] == BY_NAME[name].shows and set(text["Origin"].split(" and ")) <= set(data.ORIGINS)
    identity = json.loads(text["Data"])
    assert {data.shown(data.paper_file(paper)) for paper in BY_NAME[name].paper} <= identity.keys()
    assert len(identity) > len(BY_NAME[name].paper), "the figure says nothing of our own data"
    pdf = (drawn[0] / f"{name}.pdf").read_bytes()
    assert b"/CreationDate" not in pdf and b"/Keywords" in pdf


def test_the_command_writes_the_figure_that_is_named(tmp_path: Path) -> None:
    process = start("-m", "paper_figures", "fig3_speedup_model", "--out", tmp_path)
    printed, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["fig3_speedup_model.pdf", "fig3_speedup_model.png"]
    assert len(printed.splitlines()) == 2


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["paper_figures", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        command.main(DRAWINGS)
    return end.value.code


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(data, "RESULTS", tmp_path)
    monkeypatch.setattr(sources, "PUBLISHED", tmp_path / "published")
    return tmp_path


def test_missing_cells_end_the_command_with_the_remedy(monkeypatch, tmp_path, capsys) -> None:
    assert run(monkeypatch, "fig1_throughput", "--from", tmp_path / "fig1", "--out", tmp_path) == 1
    said = capsys.readouterr().err
    assert "fig1/cells.parquet is missing" in said
    assert "Run `python -m harness.run experiment=fig1` first." in said


def test_without_names_what_cannot_be_drawn_is_listed_and_the_rest_is_drawn(results, monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["paper_figures", "--out", str(results / "out")])
    with pytest.raises(SystemExit) as end:
        command.main((BY_NAME["fig6_time_saved"], BY_NAME["api_table"]))
    printed = capsys.readouterr()
    assert end.value.code == 0
    assert printed.out.splitlines() == ["out/api_table.md"]
    assert printed.err.startswith("not drawn: fig6_time_saved: fig6/cells.parquet is missing")


def test_cells_that_contradict_each_other_fail_the_command_and_no_other_figure(results, monkeypatch, capsys) -> None:
    cells_folder(results / "runs/local/fig6", cells(block=0))
    monkeypatch.setattr(sys, "argv", ["paper_figures", "--out", str(results / "out")])
    with pytest.raises(SystemExit) as end:
        command.main((BY_NAME["fig6_time_saved"], BY_NAME["api_table"]))
    printed = capsys.readouterr()
    assert end.value.code == 1
    assert printed.out.splitlines() == ["out/api_table.md"]
    assert printed.err.startswith("fig6_time_saved: ") and "twice; blocks must differ" in printed.err


def test_a_bench_in_an_older_form_leaves_the_place_to_the_published_one(results) -> None:
    older = {key: value for key, value in engine_bench().items() if key != "reasoning_words"}
    bench_folder(results / "bench", engine=older)
    with pytest.raises(
        NothingToDraw, match=r"bench/engine.json lacks \['reasoning_words'\].*Run `make bench-engine` again"
    ):
        command.find(BY_NAME["engine_agents"], "local")
    bench_folder(results / "published/engine", engine=engine_bench())
    assert [each.is_published for each in command.find(BY_NAME["engine_agents"], "local")] == [True]


def test_a_record_that_is_broken_fails_the_command_and_no_other_figure(results, monkeypatch, capsys) -> None:
    bench_folder(results / "bench", engine=engine_bench() | {"rows": None})
    (results / "paper").symlink_to(ROOT / "results" / "paper")
    monkeypatch.setattr(sys, "argv", ["paper_figures", "--out", str(results / "out")])
    with pytest.raises(SystemExit) as end:
        command.main((BY_NAME["engine_agents"], BY_NAME["api_table"]))
    printed = capsys.readouterr()
    assert end.value.code == 1
    assert printed.out.splitlines() == ["out/api_table.md"]
    assert printed.err.startswith("engine_agents: TypeError: ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fig9"], "there is no figure fig9; the figures are fig1_throughput, "),
        (["draft_hardware", "--from", "one"], "--from has 1 folders; it takes 2"),
        (["--from", "one"], "--from has 1 folders; it takes one figure and its"),
    ],
)
def test_a_wrong_argument_is_named_with_its_rule(arguments, message, monkeypatch, capsys) -> None:
    assert run(monkeypatch, *arguments) == 2
    assert message in capsys.readouterr().err


def test_your_own_cells_come_before_published_ones(results: Path) -> None:
    wanted = sources.cells("fig1", columns=["time_saved_pct"])
    published = cells_folder(results / "published/local/fig1", cells())
    found = wanted.find("smoke")
    assert (found.path, found.is_published) == (published, True)
    own = cells_folder(results / "runs/smoke/fig1", cells())
    found = wanted.find("smoke")
    assert (found.path, found.is_published, found.files) == (own, False, (own / "cells.parquet",))


def test_own_cells_that_lack_a_column_leave_the_place_to_published_ones(results: Path) -> None:
    cells_folder(results / "runs/local/fig1", cells().drop(columns="time_saved_pct"))
    published = cells_folder(results / "published/local/fig1", cells())
    assert sources.cells("fig1", columns=["time_saved_pct"]).find("local").path == published


def test_where_nothing_can_be_drawn_your_own_run_is_what_is_missed(results: Path) -> None:
    with pytest.raises(NothingToDraw, match=r"fig1/cells.parquet is missing; .* experiment=fig1` first"):
        sources.cells("fig1", "pocket", columns=()).find("local")
    with pytest.raises(NothingToDraw, match="Run `make ablation` first"):
        sources.bench("ablation", command="make ablation").find("local")


def test_your_own_cells_are_not_compared_with_published_ones(results: Path) -> None:
    cells_folder(results / "runs/local/fig1", cells())
    cells_folder(results / "published/local/target_hardware", given_cells())
    with pytest.raises(NothingToDraw, match=r"fig1 is yours and .*target_hardware is published; both must come from"):
        command.find(BY_NAME["draft_hardware"], "local")
    cells_folder(results / "runs/local/target_hardware", given_cells())
    assert [each.is_published for each in command.find(BY_NAME["draft_hardware"], "local")] == [False, False]


def test_where_one_of_two_is_not_yours_both_are_the_published_ones(results: Path) -> None:
    cells_folder(results / "runs/local/fig1", cells())
    cells_folder(results / "published/local/fig1", cells())
    cells_folder(results / "published/local/target_hardware", given_cells())
    assert [each.is_published for each in command.find(BY_NAME["draft_hardware"], "local")] == [True, True]


def test_published_rows_are_marked_as_such_in_the_figure(results: Path, tmp_path: Path) -> None:
    cells_folder(results / "published/local/fig1", cells())
    cells_folder(results / "runs/local/fig6", cells())
    titles = []
    for wanted in (sources.cells("fig1", columns=()), sources.cells("fig6", columns=())):
        figure = style.new_figure(height_in=1.0)
        drawing = command.Drawing(name="x", shows="x", draw=lambda frame, figure=figure: figure, sources=(wanted,))
        command.render(drawing, [wanted.find("local")], tmp_path / "out")
        titles.append(figure.get_suptitle())
    assert titles == ["published rows of ours: local/fig1", ""]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (cells().iloc[:0], "has 0 rows"),
        (cells().drop(columns="noise_pct"), r"lacks the columns \['noise_pct'\]"),
        (cells(noise_pct=None), r"rows without a value in \['noise_pct'\]"),
    ],
)
def test_cells_that_lack_what_a_figure_needs_are_nothing_to_draw(frame, message, tmp_path) -> None:
    with pytest.raises(NothingToDraw, match=message):
        data.load_cells(cells_folder(tmp_path / "fig1", frame), columns=["noise_pct"])


@pytest.mark.parametrize(
    ("frame", "message"),
    [(cells(origin="guessed"), r"has the origins \['guessed'\]"), (cells(block=0), "twice")],
)
def test_cells_that_cannot_be_told_apart_or_have_no_origin_are_refused(frame, message, tmp_path) -> None:
    with pytest.raises(ConfigError, match=message) as refused:
        data.load_cells(cells_folder(tmp_path / "fig1", frame))
    assert not isinstance(refused.value, NothingToDraw)


def test_unknown_published_numbers_are_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"results/paper/fig2.csv is missing; .*'fig1_throughput'"):
        data.load_paper("fig2")


def test_published_numbers_come_without_their_comment_line() -> None:
    paper = data.load_paper("fig1_throughput")
    assert list(paper.columns) == ["tool_latency_s", "method", "throughput_tok_per_s"]
    assert len(paper) == 14
