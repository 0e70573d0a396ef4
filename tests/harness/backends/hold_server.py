"""A process that holds a fake server until it is ended itself: the harness, as seen from outside.

python hold_server.py <file for the process ids> <folder for the log> [arguments of the fake server]
"""

import asyncio
import sys
from pathlib import Path

from harness.backends.processes import ServerProcess

FAKE_SERVER = Path(__file__).with_name("fake_server.py")


async def main() -> None:
    pids, log_folder, *options = sys.argv[1:]
    server = ServerProcess(
        name="target",
        command=lambda port: [sys.executable, str(FAKE_SERVER), "--port", str(port), "--pids", pids, *options],
        log_path=Path(log_folder) / "target.log",
        stop_timeout_s=0.5,
    )
    async with server:
        print("up", flush=True)
        await asyncio.sleep(60)


asyncio.run(main())
