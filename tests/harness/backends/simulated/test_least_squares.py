"""Least squares against a problem whose answer is known."""

import numpy as np
import pytest

from harness.backends.simulated.least_squares import fit

X = np.linspace(0.0, 4.0, 30)


def decay(parameters):
    return parameters["scale"] * np.exp(-parameters["rate"] * X) - 3.0 * np.exp(-0.7 * X)


def test_a_curve_gives_back_the_parameters_that_made_it():
    found = fit(decay, {"scale": 1.0, "rate": 2.0})
    assert found.parameters == pytest.approx({"scale": 3.0, "rate": 0.7}, rel=1e-3)
    assert found.cost < 1e-4


def test_parameters_that_only_their_product_decides_are_said_to_be_unknown():
    def residuals(parameters):
        return (parameters["a"] * parameters["b"] - 6.0) * 10.0 * np.ones(5) + 10.0 * (parameters["c"] - 2.0)

    def with_c(parameters):
        return np.concatenate([residuals(parameters), [100.0 * (parameters["c"] - 2.0)]])

    found = fit(with_c, {"a": 1.0, "b": 4.0, "c": 1.0})
    assert found.parameters["a"] * found.parameters["b"] == pytest.approx(6.0, rel=1e-2)
    assert found.parameters["c"] == pytest.approx(2.0, rel=1e-2)
    assert found.relative_std["c"] < 0.05


def test_the_standard_deviation_is_that_of_a_straight_line_by_hand():
    found = fit(
        lambda parameters: np.array([10.0 * np.log(parameters["a"]), 10.0 * np.log(parameters["a"])]), {"a": 2.0}
    )
    assert found.parameters["a"] == pytest.approx(1.0, abs=0.01)
    assert found.relative_std["a"] == pytest.approx(1.0 / np.sqrt(200.0))
