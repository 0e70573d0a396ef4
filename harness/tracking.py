"""Tracking: a copy of an experiment's numbers in Weights & Biases, for people to look at. Figures never read from
it."""

import os
from pathlib import Path
from typing import Any, Protocol

from harness import provenance
from harness.schema import Config, TrackerMode, to_plain
from precall.errors import ConfigError


class Tracker(Protocol):
    def log(self, metrics: dict[str, Any]) -> None: ...

    def finish(self, exit_code: int) -> None: ...


class NoTracker:
    """Tracking switched off."""

    def log(self, metrics: dict[str, Any]) -> None:
        pass

    def finish(self, exit_code: int) -> None:
        pass


class WandbTracker:
    """One W&B run per experiment and process; those of one experiment form a group. Never asks for an account: without
    one it writes an offline run under `folder`."""

    def __init__(
        self,
        *,
        mode: TrackerMode,
        project: str,
        name: str,
        folder: Path,
        config: dict[str, Any],
        provenance: dict[str, Any],
    ) -> None:
        # W&B otherwise looks for updates and asks questions on a terminal.
        os.environ.setdefault("WANDB_SILENT", "true")
        import wandb

        if mode is TrackerMode.online and not _is_logged_in():
            raise ConfigError(
                "tracker.mode is online; it needs an account of Weights & Biases, and none is known here. "
                "Log in with `wandb login`, or set tracker.mode=offline."
            )
        if mode is TrackerMode.auto:
            mode = TrackerMode.online if _is_logged_in() else TrackerMode.offline
        folder.mkdir(parents=True, exist_ok=True)
        self._run = wandb.init(
            project=project,
            name=name,
            group=name,
            reinit="create_new",  # the experiments of a sweep have theirs at the same time
            dir=str(folder),
            mode=mode.value,
            config={**config, "provenance": provenance},
            settings=wandb.Settings(
                silent=True, console="off", disable_git=True, disable_code=True, x_disable_stats=True
            ),
        )

    def log(self, metrics: dict[str, Any]) -> None:
        self._run.log({key: value for key, value in metrics.items() if value is not None})

    def finish(self, exit_code: int) -> None:
        self._run.finish(exit_code=exit_code)


class Trackers:
    """The trackers of a process: one per experiment, opened at its first use."""

    def __init__(self) -> None:
        self._trackers: dict[str, Tracker] = {}

    def of(self, config: Config) -> Tracker:
        """Return the tracker of the experiment that `config` is a cell of."""
        if config.output not in self._trackers:
            self._trackers[config.output] = _start(config)
        return self._trackers[config.output]

    def finish(self, exit_code: int) -> None:
        """Close all; `exit_code` other than 0 marks their runs as failed."""
        for tracker in self._trackers.values():
            tracker.finish(exit_code)


def _start(config: Config) -> Tracker:
    if config.tracker.mode is TrackerMode.disabled:
        return NoTracker()
    return WandbTracker(
        mode=config.tracker.mode,
        project=config.tracker.project,
        name=config.experiment,
        folder=Path(config.output),
        config=to_plain(config),
        provenance=provenance.collect(config.seed),
    )


def _is_logged_in() -> bool:
    import wandb
    from wandb.sdk.lib.wbauth import wbnetrc

    return "WANDB_API_KEY" in os.environ or wbnetrc.read_netrc_auth(host=wandb.Settings().base_url) is not None
