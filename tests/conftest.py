"""What all tests stand on."""

import gc
from collections.abc import Iterator
from pathlib import Path

import certifi
import pytest

from tests.task_leaks import noting_tasks_left

END = "-----END CERTIFICATE-----\n"


def pytest_configure() -> None:
    """Have Python look for dead cycles among all objects less often: with vLLM imported, a look takes 0.3 s."""
    gc.set_threshold(700, 10, 1000)


@pytest.fixture(scope="session", autouse=True)
def few_certificates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Trust one certificate only: httpx reads all it trusts for every client, in some 20 ms, and no test needs any."""
    file = tmp_path_factory.mktemp("certificates") / "one.pem"
    file.write_text(Path(certifi.where()).read_text().partition(END)[0] + END)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(file))
        yield


@pytest.fixture
def no_task_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test whose event loop still has a task when it is closed; the mark leaves_tasks is for tests of that."""
    with noting_tasks_left() as left:
        yield
    if request.node.get_closest_marker("leaves_tasks") is None:
        assert not left, f"tasks were left behind: {left}"
