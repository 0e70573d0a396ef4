"""A view of a workspace in which changes go to a folder of their own: an overlay, mounted for one command alone.

The mount belongs to a mount namespace that the command's processes alone are in, so the kernel takes it away with the
last of them; nothing is ever mounted where others see it. An ordinary user mounts it in a user namespace; the kernel
then refuses to rename folders of the lower tree (EXDEV), which only root's own mounts can do (redirect_dir).
"""

from dataclasses import dataclass
from pathlib import Path

from agents.sandbox.identity import is_root

UPPER, WORK, MERGED = "upper", "work", "merged"
_ROOT_OPTIONS = "redirect_dir=on,index=off,metacopy=off,xino=off"
_USER_OPTIONS = "userxattr"
# Relative names throughout: a colon or comma in a path above would be read as an option's end.
_MOUNT_AND_RUN = """set -e
cd "$1"
mount -t overlay -o "$4,lowerdir=$2,upperdir=$3/upper,workdir=$3/work" overlay "$3/merged"
shift 4
exec "$@"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlay:
    """`lower` is the tree that is read and `fork` the folder with upper/, work/ and merged/; both relative to `root`,
    in plain letters and on one file system."""

    root: Path
    lower: str
    fork: str

    @property
    def upper(self) -> Path:
        return self.root / self.fork / UPPER

    def mount(self, root: Path) -> tuple[list[str], Path]:
        """Return the command that mounts the overlay and runs what follows it, and where the merged tree then is.

        `root` is where the command finds what this process knows as `self.root`. Root is in a mount namespace of the
        command already.
        """
        own = [] if is_root() else ["unshare", "--user", "--map-root-user", "--mount", "--propagation", "private", "--"]
        options = _ROOT_OPTIONS if is_root() else _USER_OPTIONS
        mount_and_run = ["/bin/sh", "-c", _MOUNT_AND_RUN, "sh", str(root), self.lower, self.fork, options]
        return [*own, *mount_and_run], root / self.fork / MERGED
