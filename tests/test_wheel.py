"""The wheel: what is in it, and that it works where nothing of the checkout is."""

import configparser
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "openai_loop.py"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel in a copy, since a build leaves folders behind. The kit is copied too, or it could not get in."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("precall", "agents", "harness", "paper_figures", "conf", "examples", "tests"):
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index", str(source)]
    subprocess.run([*build, "-w", str(target)], check=True, capture_output=True)
    (built,) = target.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpack the wheel into an empty folder, which is what installing a pure one comes to."""
    folder = tmp_path_factory.mktemp("installed")
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


def test_the_wheel_holds_the_library_whole_and_nothing_else(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    library = {str(path.relative_to(ROOT)) for path in (ROOT / "precall").rglob("*.py")}
    assert names == library | {"precall/py.typed"}


def test_the_wheel_needs_openai_alone_and_registers_the_plugins_of_the_engine(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    of_kind = {Path(name).name: archive.read(name).decode() for name in archive.namelist() if ".dist-info/" in name}
    needs = [line.partition(": ")[2] for line in of_kind["METADATA"].splitlines() if line.startswith("Requires-Dist")]
    assert [need.partition("<")[0].partition(">")[0] for need in needs] == ["openai"]
    plugins = configparser.ConfigParser()
    plugins.read_string(of_kind["entry_points.txt"])
    assert {kind: dict(plugins[kind]) for kind in plugins.sections()} == {
        "vllm.endpoint_plugins": {"precall": "precall.engine.endpoint:PrecallEndpoint"},
        "vllm.stat_logger_plugins": {"precall_steps": "precall.engine.steps:StepLogger"},
    }
    assert "LICENSE" in of_kind


def test_it_is_imported_where_no_other_package_is_installed(installed: Path, tmp_path: Path) -> None:
    program = f"import sys; sys.path.insert(0, {str(installed)!r}); import precall; print(precall.__file__)"
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert Path(ran.stdout.strip()).parent == installed / "precall"


PROGRAM = """
import asyncio, runpy, sys
sys.path.insert(0, sys.argv[1])
import precall
from openai import AsyncOpenAI
from precall.calls import ToolCall
from precall.testing.fake_server import FakeChatServer, answer_of

async def main():
    call = ToolCall(name="weather", arguments='{"city": "Rome"}', call_id="1")
    answers = [answer_of(calls=[call]), answer_of(content="Sunny.")]
    models = {"gpt-5": answers, "gpt-5-nano": answers}
    async with FakeChatServer(answers=models) as server, AsyncOpenAI(base_url=server.base_url, api_key="k") as openai:
        print(precall.__file__, await runpy.run_path(sys.argv[2])["answer"](openai, "Weather in Rome?"))

asyncio.run(main())
"""


def test_the_example_runs_from_the_wheel(installed: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-I", "-c", PROGRAM, str(installed), str(EXAMPLE)]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == f"{installed / 'precall' / '__init__.py'} Sunny."
