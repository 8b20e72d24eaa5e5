#!/usr/bin/env bash
# Install the pinned project into ~/dsocr-env: install.sh cpu | gpu | auto
#
# `gpu` brings vLLM, `auto` does so where a GPU is found. All machines of a cluster need the same Python;
# PYTHON= names another than python3.12.
set -euo pipefail

checkout=$(cd "$(dirname "$0")/.." && pwd)
environment="$HOME/dsocr-env"
kind=${1:?cpu, gpu or auto}
if [ "$kind" = auto ]; then
  kind=cpu
  if compgen -G '/dev/nvidia[0-9]*' > /dev/null; then kind=gpu; fi
fi
case $kind in
  cpu) pinned=requirements.txt ;;
  gpu) pinned=requirements-vllm.txt ;;
  *) echo "install.sh: cpu, gpu or auto, not $kind" >&2; exit 2 ;;
esac

[ -x "$environment/bin/python" ] || "${PYTHON:-python3.12}" -m venv "$environment"
pip=("$environment/bin/pip" install --quiet --disable-pip-version-check)
"${pip[@]}" --no-deps --require-hashes -r "$checkout/$pinned"
"${pip[@]}" --no-deps --force-reinstall "$checkout"
