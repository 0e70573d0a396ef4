#!/usr/bin/env bash
# install.sh cpu|cuda FOLDER: makes a virtual environment with exactly the versions of the platform's lock file.
# Packages come from the sources that pip is configured with. Only the CPU build of torch may be missing there; then uv
# takes it from PyTorch's own index, which uv knows.
set -euo pipefail
platform=$1 venv=$2
here=$(dirname "$0")
lock=$here/$platform.txt

log() { echo "setup: $*" >&2; }

if [ -L "$(dirname "$venv")" ]; then
    log "$(dirname "$venv") is a link, to an environment that another checkout may be at work with; run make there, or remove the link"
    exit 1
fi

make_venv() {
    local python
    for python in "${PYTHON_BASE:-}" python3.11 python3; do
        if [ -n "$python" ] && "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
            log "$("$python" --version) from $python"
            "$python" -m venv "$venv"
            return
        fi
    done
    log "no Python 3.11 here; uv fetches one"
    python3 -m venv "$venv.uv"
    "$venv.uv/bin/pip" install -q uv==0.13.9
    "$venv.uv/bin/uv" venv -q --python 3.11 --seed "$venv"
    rm -rf "$venv.uv"
}

install_cpu_torch() {
    local torch
    torch=$(grep '^torch==' "$lock")
    if "$venv/bin/pip" install -q --no-deps "$torch" 2>"$venv/torch.log"; then
        return
    fi
    log "pip's sources have no $torch; uv takes it from PyTorch's index"
    "$venv/bin/pip" install -q uv==0.13.9
    "$venv/bin/uv" pip install --python "$venv/bin/python" --no-deps --torch-backend=cpu "$torch"
}

log "making $venv for $platform; this takes 2 to 6 minutes, once"
rm -rf "$venv"
make_venv
if [ "$platform" = cpu ]; then
    log "torch"
    install_cpu_torch
fi
log "$(grep -c '==' "$lock") packages of $lock"
# The lock is complete, so nothing is resolved: bfcl-eval pins versions that it does not need here, and mini-swe-agent
# asks for clients of models (litellm) that its prompts and its inspector do not use.
"$venv/bin/pip" install --no-deps --progress-bar on -r "$lock" | grep -vE '^(Requirement already|Looking in|  )' || true
"$venv/bin/python" - <<'P'
import bfcl_eval, hydra, openai, torch, transformers, vllm, wandb  # noqa: F401
P
log "done: $(du -sh "$venv" | cut -f1)"
