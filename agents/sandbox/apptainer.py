"""The command line of Apptainer, for clusters that have it and no bubblewrap. Its form is tested; it has not been run.

It needs an image with Python and prlimit in it. Apptainer tells nothing of its processes, so the watcher counts size
and the machine's reserve only, and memory is bounded per process, not in sum.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

from agents.sandbox.launch import GATE, WORKSPACE, Launch, ReadOnly, View, inner_environment
from agents.sandbox.limits import Limits
from agents.sandbox.overlay import Overlay
from agents.sandbox.results import SandboxError


class Apptainer:
    """Isolates commands with Apptainer, in the container image `image`: a file, a folder, or a URI such as docker://.

    The workspace is bound at `folder`, over what the image has there; `python_prefix` is the Python that is found first
    in the image.
    """

    def __init__(self, image: Path | str, *, folder: str = WORKSPACE, python_prefix: Path | None = None) -> None:
        program = shutil.which("apptainer")
        if program is None:
            raise SandboxError("apptainer is not here. On a cluster load its module: module load apptainer")
        self._program = program
        self._image = str(image)
        self._folder = folder
        self._environment = inner_environment(python_prefix)

    def launch(self, command: Sequence[str], view: View, limits: Limits, gate: Sequence[str] = GATE) -> Launch:
        if isinstance(view, Overlay):
            raise SandboxError("Forks by overlay need bubblewrap; make them by copying where Apptainer is used.")
        if isinstance(view, ReadOnly):
            raise SandboxError(
                "Apptainer's /tmp can be written to. What must write nothing, as the interpreter of the "
                "tool `python`, needs bubblewrap."
            )
        if "," in str(view) or ":" in str(view):
            raise SandboxError(f"{view} holds a comma or colon, which end an option of Apptainer. Rename the folder.")
        variables = self._environment.items()
        arguments = [
            *(self._program, "--quiet", "exec", "--containall", "--cleanenv", "--no-home", "--no-privs"),
            *("--net", "--network", "none", "--hostname", "sandbox"),
            *("--bind", f"{view}:{self._folder}:rw", "--pwd", self._folder),
            *(word for name, value in variables for word in ("--env", f"{name}={value}")),
            self._image,
            *gate,
            *limits.prlimit(),
            *command,
        ]
        return Launch(arguments=arguments)
