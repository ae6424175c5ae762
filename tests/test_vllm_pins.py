"""The versions of vLLM that the project names: of the environments, of the image's base, and of the page on images."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def pinned(kind: str) -> str:
    lines = (ROOT / "infra" / f"vllm-{kind}.txt").read_text().splitlines()
    [version] = [line.split("==")[1] for line in lines if line.startswith("vllm")]
    return version


@pytest.mark.parametrize("place", ["images/generate.Dockerfile", "docs/containers.md"])
def test_the_base_image_for_gpus_has_the_vllm_that_is_pinned(place):
    named = re.findall(r"vllm/vllm-openai:v(\d+(?:\.\d+)*)", (ROOT / place).read_text())
    assert named == [pinned("gpu")]


def test_one_version_of_vllm_is_pinned_for_cpus_and_gpus():
    assert pinned("cpu") == pinned("gpu")
