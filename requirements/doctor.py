"""Says what this machine lacks for a platform and how to get it. Needs nothing but Python; ends with 1 if it lacks
something.

python3 requirements/doctor.py cpu|cuda
"""

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from harness.cluster.driver import drivers_here, gpu_problem  # noqa: E402 - needs nothing but Python, as this file

NUM_FREE_GIB = {"cpu": 6, "cuda": 20}


def main() -> int:
    wanted = sys.argv[1] if len(sys.argv) > 1 else "cpu"
    checks = [
        check_system(),
        check_python(),
        check_make(),
        check_disk(wanted),
        check_memory(),
        check_cores(),
        check_sandbox(),
    ]
    checks.append(check_cpu_flags() if wanted == "cpu" else check_gpu())
    for is_good, text, remedy in checks:
        print(f"{'ok     ' if is_good else 'MISSING'}  {text}" + ("" if is_good else f"\n         -> {remedy}"))
    stamp = ROOT / ".venv" / wanted / ".installed"
    print(
        f"{'ok     ' if stamp.exists() else 'later  '}  environment .venv/{wanted}"
        + ("" if stamp.exists() else ": made by the first `make` target")
    )
    print("note     " + wandb_state())
    return 0 if all(is_good for is_good, _, _ in checks) else 1


Check = tuple[bool, str, str]


def check_system() -> Check:
    name = f"{platform.system()} {platform.machine()}"
    return (
        name == "Linux x86_64",
        f"system: {name}",
        "The lock files are for Linux on x86-64; use such a machine or a virtual one.",
    )


def check_python() -> Check:
    for name in (os.environ.get("PYTHON_BASE"), "python3.11", "python3"):
        if name and shutil.which(name):
            version = subprocess.run(
                [name, "-c", "import sys; print(*sys.version_info[:2])"], capture_output=True, text=True, check=False
            )
            if version.stdout.split() == ["3", "11"]:
                return True, f"Python 3.11: {name}", ""
    return (
        shutil.which("python3") is not None,
        "Python 3.11: none here, uv will fetch it",
        "Install python3 with venv, for example `apt install python3-venv`.",
    )


def check_make() -> Check:
    missing = [name for name in ("make", "git") if not shutil.which(name)]
    return (
        not missing,
        "make, git",
        f"Install {' '.join(missing)}, for example with `apt install make git`.",
    )


def check_disk(wanted: str) -> Check:
    num_free = shutil.disk_usage(ROOT).free / 2**30
    need = NUM_FREE_GIB[wanted]
    return (
        num_free >= need,
        f"disk: {num_free:.0f} GiB free here, {need} needed",
        "Free some space, or clone to a larger disk.",
    )


def check_memory() -> Check:
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        gib >= 11.5,
        f"memory: {gib:.0f} GiB, 12 needed",
        "Close other programs or use a larger machine; backend.kv_cache_gib=1 needs less.",
    )


def check_cores() -> Check:
    num_cores = len(os.sched_getaffinity(0))
    return (
        num_cores >= 2,
        f"cores: {num_cores}, 2 needed",
        "With one core the target and its clients disturb each other; use 2 or more.",
    )


def check_sandbox() -> Check:
    """The agents run what models write in bubblewrap; docs/sandbox.md."""
    if not shutil.which("bwrap"):
        return (
            False,
            "sandbox: no bubblewrap",
            "Install it: `apt install bubblewrap`. Only the agents' sandbox needs it.",
        )
    told = subprocess.run(["bwrap", "--version"], capture_output=True, text=True, check=False).stdout
    version = re.search(r"(\d+)\.(\d+)", told)
    tried = subprocess.run(
        ["bwrap", "--unshare-all", "--unshare-user", "--disable-userns", "--ro-bind", "/", "/", "true"],
        capture_output=True,
        text=True,
        check=False,
    )
    return (
        tried.returncode == 0,
        f"sandbox: bubblewrap {version[0] if version else 'of unknown version'} {tried.stderr.strip()}".rstrip(),
        "It needs bubblewrap 0.8 or later and user namespaces: allow them here, see docs/sandbox.md.",
    )


def check_cpu_flags() -> Check:
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    return " avx2" in text, "processor: AVX2", "vLLM's CPU build needs AVX2; use a processor that has it."


def check_gpu() -> Check:
    drivers = drivers_here()
    if not drivers:
        return (
            False,
            "GPUs: 0",
            "No GPU answers nvidia-smi. On a login node that is normal: each job looks again on its own node. "
            "Elsewhere install the driver, or use PLATFORM=cpu.",
        )
    problem = gpu_problem(1)
    return problem is None, f"GPUs: {len(drivers)}, driver {drivers[0]}", problem or ""


def wandb_state() -> str:
    is_logged_in = "WANDB_API_KEY" in os.environ or (Path.home() / ".netrc").exists()
    return "W&B: " + (
        "credentials found, runs may go online" if is_logged_in else "no account, runs are kept offline (fine)"
    )


if __name__ == "__main__":
    sys.exit(main())
