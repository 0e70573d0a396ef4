"""What the tests of jobs on a cluster stand on."""

import pytest

from tests.harness.cluster.fake_slurm import FakeSlurm


@pytest.fixture
def slurm(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> FakeSlurm:
    """The commands of Slurm, first in PATH."""
    slurm = FakeSlurm(tmp_path_factory.mktemp("cluster") / "slurm")
    monkeypatch.setenv("PATH", slurm.path)
    return slurm
