"""A server in the place of vLLM: answers /health, /v1/models and /metrics, and has children, as vLLM does.

Started as a process of its own by the tests; standard library only.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

METRICS = """# TYPE vllm:generation_tokens_total counter
vllm:generation_tokens_total{engine="0"} 5.0
vllm:generation_tokens_total{engine="1"} 7.0
"""


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/metrics":
            self._answer(METRICS, "text/plain; version=0.0.4")
        elif self.path == "/v1/models":
            self._answer(json.dumps({"object": "list", "data": [{"id": "small"}, {"id": "large"}]}), "application/json")
        elif self.path == "/v0/models":
            self._answer(json.dumps(["small"]), "application/json")
        elif self.path == "/health":
            self._answer("", "text/plain")
        else:
            self.send_error(404)

    def _answer(self, text: str, content_type: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: object) -> None:
        pass


def burn(cpu_s: float) -> None:
    while time.process_time() < cpu_s:
        pass


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--slow-s", type=float, default=0.0)
    parser.add_argument("--crash", action="store_true")
    parser.add_argument("--pids", type=Path, help="children are started, and every process adds its id to this file")
    parser.add_argument("--depth", type=int, default=0)
    parser.add_argument("--stubborn", action="store_true", help="ignore SIGTERM")
    parser.add_argument("--burn-s", type=float, default=0.0, help="CPU time that the last child spends")
    options = parser.parse_args()
    if options.stubborn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if options.pids and options.depth < 2:
        # The last one leaves the group.
        command = [sys.executable, __file__, *sys.argv[1:], "--depth", str(options.depth + 1)]
        subprocess.Popen(command, start_new_session=options.depth == 1)
    elif options.pids:
        burn(options.burn_s)
    if options.pids:
        with options.pids.open("a") as file:
            file.write(f"{os.getpid()}\n")
    if options.depth:
        time.sleep(60)
        return
    for number in range(30):
        print(f"starting, part [{number}]", flush=True)
    time.sleep(options.slow_s)
    if options.crash:
        sys.exit("the model folder has no config")
    ThreadingHTTPServer(("127.0.0.1", options.port), Handler).serve_forever()


if __name__ == "__main__":
    main()
