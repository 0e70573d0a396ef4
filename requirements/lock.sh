#!/usr/bin/env bash
# lock.sh: resolves cpu.in and cuda.in into cpu.txt and cuda.txt with uv. FIND_LINKS may name a folder or page that has
# the CPU build of torch.
set -euo pipefail
cd "$(dirname "$0")"
compile() {
    uv pip compile -q --python-version 3.11 --no-annotate --no-header "$@"
}
compile --python-platform x86_64-manylinux_2_28 --override overrides-cpu.txt \
    $(if [ -n "${FIND_LINKS:-}" ]; then echo "--find-links $FIND_LINKS"; else echo --torch-backend=cpu; fi) cpu.in -o cpu.txt
compile --python-platform x86_64-manylinux_2_35 cuda.in -o cuda.txt
# Installed without its dependencies: it pins numpy 1.26.4 and much that only its own evaluation needs.
echo "bfcl-eval==2026.3.23" | tee -a cpu.txt >>cuda.txt
# Likewise: neither its templates nor its inspector need litellm, tenacity or prompt_toolkit.
echo "mini-swe-agent==2.4.6" | tee -a cpu.txt >>cuda.txt
