#!/usr/bin/env bash
# The reference tests and the benchmark of training on a GPU. `eng/gpu-check.sh pack` builds out/gpu-check, which needs no .NET where it runs;
# `eng/gpu-check.sh run LIB`, in a copy of this folder on the machine with the GPU, runs them with LIB, the lib folder of a PyTorch 2.10 with CUDA.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=out/gpu-check
case "${1:-}" in
  pack)
    for project in src/Hone tests/Hone.Training.Tests; do
      dotnet publish "$project" -c Release -r linux-x64 --self-contained -v quiet -o "$out/$(basename "$project")"
    done
    ;;
  run)
    export HONE_LIBTORCH=${2:?the lib folder of a PyTorch with CUDA}
    "$out/Hone.Training.Tests/Hone.Training.Tests" -noColor -trait Category=Device
    "$out/Hone/hone" bench train --json
    ;;
  *)
    sed -n '2,3s/^# //p' "${BASH_SOURCE[0]}" >&2
    exit 2
    ;;
esac
