"""The settings of a grid are what each would be if it were composed by itself."""

import itertools
from typing import Any

import pytest
from omegaconf import OmegaConf

from harness.grid import Settings
from harness.schema import Config, to_config
from precall.errors import ConfigError
from tests.harness.configs import EXPERIMENTS, compose


def composed_one_by_one(node: Any, grid: dict[str, list[Any]]) -> list[Config]:
    found = []
    for values in itertools.product(*grid.values()):
        setting = OmegaConf.merge(node, {})
        OmegaConf.update(setting, "grid", {}, merge=False)
        for key, value in zip(grid, values, strict=True):
            OmegaConf.update(setting, key, value, merge=True)
        found.append(to_config(setting))
    return found


def settings(node: Any, grid: dict[str, list[Any]]) -> list[Config]:
    all_of_them = Settings(node, grid)
    return [all_of_them.config(values) for values in itertools.product(*grid.values())]


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_the_settings_of_an_experiment_are_those_composed_one_by_one(experiment: str) -> None:
    node = compose(f"experiment={experiment}")
    grid = to_config(node).grid
    assert settings(node, grid) == composed_one_by_one(node, grid)


@pytest.mark.parametrize(
    "grid",
    [
        {"scale.num_agents": [1, 2]},  # agent.num_agents refers to it
        {
            "draft.model.name": ["a", "b"],
            "draft.name": ["mine"],
        },  # a path refers to the first; the second referred to it
        {"speculation.mode": ["off", "client"], "workload.categories": [["multiple"], ["simple_python", "multiple"]]},
        {"latency": [{"mean_g": 0.5}, {"relative_std": 0.7}]},  # a mapping leaves nothing behind for the next
        {"model.tiny.num_layers": [2, 3], "backend.simulated_target.step_s": [0.1, 0.2]},
        {"experiment": ["one", "two"], "scale.name": ["x", "y"]},  # the output refers to both
        {},
    ],
)
def test_what_refers_to_a_key_of_the_grid_follows_it(grid: dict[str, list[Any]]) -> None:
    node = compose("experiment=fig5", "model=replay_tiny", "backend=simulated")
    assert settings(node, grid) == composed_one_by_one(node, grid)


def test_a_value_that_the_schema_refuses_is_named_with_its_key() -> None:
    with pytest.raises(ConfigError, match=r"grid\.draft\.num_samples: 'many' cannot be set"):
        settings(compose("experiment=fig1"), {"draft.num_samples": [1, "many"]})


def test_the_node_stays_as_it_was() -> None:
    node = compose("experiment=fig1")
    before = OmegaConf.to_yaml(node)
    settings(node, {"latency.mean_g": [0.3]})
    assert OmegaConf.to_yaml(node) == before
