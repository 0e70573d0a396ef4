"""Cells and their addresses: what makes a setting another one, and in which order the cells run."""

import copy
from pathlib import Path

import pytest
from omegaconf import open_dict

from harness.provenance import ROOT
from harness.sweep import address, expand
from tests.harness.configs import cells_of, compose, config_of

FIG1 = ("experiment=fig1", "scale=smoke")


@pytest.mark.parametrize(
    "override",
    ["output=elsewhere", "tracker=disabled", "scale.num_blocks=9", "scale.name=mine", "prices.name=mine", "jobs=slurm"],
)
def test_where_results_go_what_tokens_cost_and_how_many_blocks_there_are_leave_the_address(override: str) -> None:
    assert address(config_of(*FIG1, override)) == address(config_of(*FIG1))


def test_the_experiment_that_asks_for_a_setting_leaves_its_address_alone() -> None:
    at_G = next(cell.config for cell in cells_of(*FIG1) if cell.config.latency.mean_g == 1.0)
    off = config_of("experiment=colocated", "scale=smoke", "draft=elsewhere")
    assert (at_G.experiment, off.experiment) == ("fig1", "colocated")
    assert address(at_G) == address(off)


@pytest.mark.parametrize(
    "override",
    [
        "latency=lognormal",
        "latency.relative_std=0.3",
        "workload.hit_rate=0.7",
        "seed=1",
        "scale.num_agents=5",
        "agent.tasks_per_agent=2",
        "draft=colocated",
        "speculation=off",
        "speculation.is_adaptive=true",
        "model.max_model_len=4096",
    ],
)
def test_what_changes_a_measurement_changes_the_address(override: str) -> None:
    assert address(config_of(*FIG1, override)) != address(config_of(*FIG1))


def test_settings_of_one_grid_have_addresses_of_their_own_and_blocks_share_them() -> None:
    cells = cells_of(*FIG1, "scale.num_blocks=3", "scale.latencies=[0.0,0.5,1.0]")
    by_setting: dict[float | None, set[str]] = {}
    for cell in cells:
        by_setting.setdefault(cell.config.latency.mean_g, set()).add(cell.setting_id)
    assert [len(ids) for ids in by_setting.values()] == [1, 1, 1]
    assert len(set.union(*by_setting.values())) == 3


def test_cells_run_block_by_block_so_that_every_setting_has_a_first_result_early() -> None:
    cells = cells_of(*FIG1, "scale.latencies=[0.0,0.5,1.0]")
    assert [(cell.block, cell.config.latency.mean_g) for cell in cells] == [
        (0, 0.0), (0, 0.5), (0, 1.0), (1, 0.0), (1, 0.5), (1, 1.0),
    ]  # fmt: skip


def test_a_grid_of_two_keys_takes_every_pair_and_keeps_nothing_of_the_grid() -> None:
    cells = cells_of("experiment=wrong_draft", "+grid={workload.hit_rate:[0.0,0.5]}", "scale.num_blocks=1")
    assert [(cell.config.draft.place.value, cell.config.workload.hit_rate) for cell in cells] == [
        ("elsewhere", 0.0), ("elsewhere", 0.5), ("colocated", 0.0), ("colocated", 0.5),
    ]  # fmt: skip
    assert [cell.config.grid for cell in cells] == [{}] * 4
    assert cells[1].label == "place_elsewhere-hit_rate_0.5"


@pytest.mark.parametrize("name", ["fig1", "wrong_draft", "multi_turn"])
def test_no_two_cells_share_an_id(name: str) -> None:
    cells = cells_of(f"experiment={name}")
    assert len({cell.cell_id for cell in cells}) == len(cells)


def test_an_experiment_without_a_grid_has_one_setting() -> None:
    node = copy.deepcopy(compose("experiment=colocated", "scale.num_blocks=2"))
    with open_dict(node):
        node.grid = {}
    cells = expand(node)
    assert [cell.cell_id.split("-")[:2] for cell in cells] == [["cell", "b0"], ["cell", "b1"]]


def test_other_trajectories_under_the_same_path_are_another_setting(tmp_path: Path) -> None:
    file = tmp_path / "recorded.jsonl"
    config = config_of(f"workload.trajectories={file}")
    file.write_text("one")
    first = address(config)
    assert address(config) == first
    file.write_text("two")
    assert address(config) != first


def test_other_weights_that_come_with_the_checkout_are_another_setting() -> None:
    config = config_of("experiment=pocket")
    sums = {str(ROOT / model.path / "SHA256SUMS"): "one" for model in (config.model, config.draft.model)}
    assert all(Path(file).is_file() for file in sums)
    first = address(config, sums.get)
    assert address(config, sums.get) == first
    for file in sums:
        assert address(config, (sums | {file: "two"}).get) != first
