"""Fits positive parameters to data by least squares, and says how well each of them is known."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Residuals = Callable[[Mapping[str, float]], NDArray[np.float64]]

STEP = 0.04
"""Relative step of derivatives: far above the grain that whole tokens give the residuals of the paper's cells."""
_MAX_STEP = 0.7  # of a logarithm
_NUM_DAMPINGS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """Parameters at the optimum, residuals and their derivatives with respect to the logarithms of the parameters.

    `relative_std` is each parameter's standard deviation, as a share of it, with all others free; the spread of the
    residuals is taken from themselves, or 1 where they are smaller. `correlations` are those of the logarithms.
    """

    parameters: dict[str, float]
    residuals: NDArray[np.float64]
    jacobian: NDArray[np.float64]

    @property
    def cost(self) -> float:
        return float(self.residuals @ self.residuals)

    @property
    def covariance(self) -> NDArray[np.float64]:
        num, num_parameters = self.jacobian.shape
        variance = max(1.0, self.cost / max(1, num - num_parameters))
        return np.asarray(variance * np.linalg.pinv(self.jacobian.T @ self.jacobian), dtype=np.float64)

    @property
    def relative_std(self) -> dict[str, float]:
        return dict(zip(self.parameters, map(float, np.sqrt(np.diag(self.covariance))), strict=True))

    def correlation(self, one: str, other: str) -> float:
        names, covariance = list(self.parameters), self.covariance
        i, j = names.index(one), names.index(other)
        return float(covariance[i, j] / np.sqrt(covariance[i, i] * covariance[j, j]))


def fit(
    residuals: Residuals,
    start: Mapping[str, float],
    *,
    max_iterations: int = 20,
    step: float = STEP,
    on_iteration: Callable[[float, Mapping[str, float]], None] = lambda *_: None,
) -> Fit:
    """Minimise the sum of squares of `residuals` over the logarithms of the parameters (Levenberg-Marquardt, with
    derivatives by differences of the relative size `step`; where residuals jump and that gains nothing, one
    parameter after the other is moved by `step`). It ends when an iteration gains less than half a percent."""
    damping = 0.01
    parameters = dict(start)
    values = residuals(parameters)
    jacobian = _jacobian(residuals, parameters, values, step)
    for _ in range(max_iterations):
        found = _descend(residuals, parameters, values, jacobian, damping)
        found = found or _move_one_by_one(residuals, parameters, values, step)
        if found is None:
            break
        gain = values @ values - found[1] @ found[1]
        parameters, values, damping = found
        jacobian = _jacobian(residuals, parameters, values, step)
        on_iteration(float(values @ values), parameters)
        if gain < 0.005 * (values @ values):
            break
    return Fit(parameters=parameters, residuals=values, jacobian=jacobian)


def _jacobian(
    residuals: Residuals, parameters: dict[str, float], values: NDArray[np.float64], step: float
) -> NDArray[np.float64]:
    columns = [residuals({**parameters, name: parameters[name] * np.exp(step)}) - values for name in parameters]
    return np.stack(columns, axis=1) / step


def _descend(
    residuals: Residuals,
    parameters: dict[str, float],
    values: NDArray[np.float64],
    jacobian: NDArray[np.float64],
    damping: float,
) -> tuple[dict[str, float], NDArray[np.float64], float] | None:
    """Return better parameters, their residuals and the next damping, or None where no step gains anything."""
    normal = jacobian.T @ jacobian
    for _ in range(_NUM_DAMPINGS):
        damped = normal + damping * np.diag(np.diag(normal) + 1e-9)
        step = np.clip(np.linalg.solve(damped, -jacobian.T @ values), -_MAX_STEP, _MAX_STEP)
        tried = {
            name: float(value * np.exp(change)) for (name, value), change in zip(parameters.items(), step, strict=True)
        }
        found = residuals(tried)
        if found @ found < values @ values:
            return tried, found, max(damping / 4.0, 1e-4)
        damping *= 6.0
    return None


def _move_one_by_one(
    residuals: Residuals, parameters: dict[str, float], values: NDArray[np.float64], step: float
) -> tuple[dict[str, float], NDArray[np.float64], float] | None:
    """Return parameters of which those were moved by `step` that thereby are better, or None where none is."""
    best, has_gained = parameters, False
    for name in parameters:
        for change in (-step, step):
            tried = {**best, name: best[name] * float(np.exp(change))}
            found = residuals(tried)
            if found @ found < values @ values:
                best, values, has_gained = tried, found, True
                break
    return (best, values, 0.01) if has_gained else None
