"""The commands of Slurm that submitit calls, as scripts: jobs run at once, in the background, on this machine."""

import os
import stat
from pathlib import Path

SBATCH = """\
id=$((1000 + $(ls {folder}/jobs | wc -l)))
cp "$1" {folder}/jobs/$id
name=$(sed -n 's/^#SBATCH --job-name=//p' "$1")
{folder}/bin/job $id "$name" >>{folder}/log 2>&1 </dev/null &
echo "Submitted batch job $id"
"""
JOB = """\
echo "$1 $2" >{folder}/queue/$1
export SLURM_JOB_ID=$1 SLURM_NTASKS=1 SLURM_JOB_NUM_NODES=1 SLURM_NODEID=0 SLURM_PROCID=0 SLURM_LOCALID=0
while true; do
    rm -f {folder}/requeued/$1
    bash {folder}/jobs/$1
    [ -e {folder}/requeued/$1 ] || break
done
rm {folder}/queue/$1
"""
SRUN = """\
while [[ $1 == --* ]]; do
    case $1 in
        --output | --error) shift 2 ;;
        *) shift ;;
    esac
done
exec "$@"
"""
SQUEUE = "cat {folder}/queue/* 2>/dev/null\nexit 0\n"
SCONTROL = '[ "$1" = requeue ] && touch {folder}/requeued/$2\n'
SACCT = "exit 0\n"
SCRIPTS = {"sbatch": SBATCH, "job": JOB, "srun": SRUN, "squeue": SQUEUE, "scontrol": SCONTROL, "sacct": SACCT}


class FakeSlurm:
    """A cluster in `folder`; put `path` before the others of PATH."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("bin", "jobs", "queue", "requeued"):
            (folder / name).mkdir(parents=True)
        for name, text in SCRIPTS.items():
            file = folder / "bin" / name
            file.write_text(f"#!/bin/bash\n{text.replace('{folder}', str(folder))}")
            file.chmod(file.stat().st_mode | stat.S_IXUSR)

    @property
    def path(self) -> str:
        return f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"

    @property
    def scripts(self) -> list[str]:
        """The scripts that were submitted."""
        return [file.read_text() for file in sorted((self.folder / "jobs").iterdir())]

    @property
    def log(self) -> str:
        """What the jobs have said."""
        return (self.folder / "log").read_text()

    def queue(self, job_id: str, name: str) -> None:
        """Have a job in the queue that nobody runs."""
        (self.folder / "queue" / job_id).write_text(f"{job_id} {name}\n")
