"""How fast completions are drawn by transformers' `generate`, by raw `LLM.generate` of vLLM, and by ours over vLLM.

    python -m effreason.benchmarks.vllm_throughput --model FOLDER [--gguf FILE] --gsm8k FOLDER [--rounds 3]

In the environment of `make vllm`; without --model it is the built-in reasoner on chain sums. Greedy, in float32 on a
CPU, all prompts in one batch. The contestants take turns within a round, so that what else the machine does falls on
all of them; the first round warms up, and is compared: how many of the answers are the same. Prints Markdown.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from statistics import median

import torch

from effreason.benchmarks.rounds import ratio
from effreason.benchmarks.tables import said, table
from effreason.choices import BuiltInModel, ChainSumSource, FolderModel, Gsm8kSource, Model, Prompt, Vllm
from effreason.generation import Limits, Request
from effreason.generation.sampler import open_sampler
from effreason.generation.vllm_engine import VllmGenerator, open_vllm
from effreason.grading.extraction import answer_in
from effreason.models import Loaded, load, stored
from effreason.problems.sources import load as load_problems
from effreason.prompts import render

TokenIds = list[tuple[int, ...]]
"""Of each completion, the end-of-sequence token included."""
Contestant = Callable[[], TokenIds]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", help="folder of the model (default: the built-in reasoner)")
    parser.add_argument("--gguf", help="GGUF file in that folder")
    parser.add_argument("--gsm8k", help="folder with test.jsonl (default: chain sums)")
    parser.add_argument("--problems", type=int, default=64)
    parser.add_argument("--max-tokens", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--compiled", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    model: Model = (
        FolderModel(name="model", path=options.model, gguf_file=options.gguf) if options.model else BuiltInModel()
    )
    loaded = load(model, "cpu", "float32")
    asked = requests(loaded, options.gsm8k, options.problems)
    limits = Limits(0.0, 1.0, options.max_tokens)
    with tempfile.TemporaryDirectory() as folder:
        engine = open_vllm(Vllm(cache_gib=1.0, compiled=options.compiled), stored(model, Path(folder)))
        with closing(engine):
            compare(contestants(loaded, engine, asked, limits), loaded, options.rounds)


def requests(loaded: Loaded, gsm8k: str | None, count: int) -> list[Request]:
    source = Gsm8kSource(folder=gsm8k) if gsm8k else ChainSumSource()
    problems = load_problems(source, "test", count, 0)[:count]
    return [Request(render(Prompt(), problem.question, loaded.tokenizer), 1, 0) for problem in problems]


def contestants(loaded: Loaded, engine: VllmGenerator, asked: list[Request], limits: Limits) -> dict[str, Contestant]:
    def ids_of(generator: VllmGenerator) -> TokenIds:
        engine.llm.reset_prefix_cache()  # or later rounds would read no prompt
        return [one.token_ids for [one] in generator.generate(asked, limits)]

    return {
        "transformers `generate`": lambda: by_generate(loaded, asked, limits),
        "our sampler": lambda: [one.token_ids for [one] in open_sampler(loaded).generate(asked, limits)],
        "raw `LLM.generate`": lambda: by_raw_vllm(engine, asked, limits),
        "vLLM behind our seam": lambda: ids_of(engine),
    }


@torch.inference_mode()
def by_generate(loaded: Loaded, asked: list[Request], limits: Limits) -> TokenIds:
    padded = loaded.tokenizer.pad(
        {"input_ids": [list(request.prompt_ids) for request in asked]}, padding_side="left", return_tensors="pt"
    )
    drawn = loaded.model.generate(
        **padded,
        do_sample=False,
        max_new_tokens=limits.max_tokens,
        eos_token_id=sorted(loaded.eos_ids),
        pad_token_id=loaded.tokenizer.pad_token_id,
    )
    return [_until_its_end(row, loaded.eos_ids) for row in drawn[:, padded["input_ids"].shape[1] :].tolist()]


def by_raw_vllm(engine: VllmGenerator, asked: list[Request], limits: Limits) -> TokenIds:
    from vllm import SamplingParams

    engine.llm.reset_prefix_cache()
    asking = SamplingParams(
        temperature=0.0,
        max_tokens=limits.max_tokens,
        stop_token_ids=sorted(engine.eos_ids),
        ignore_eos=True,
        detokenize=False,
    )
    prompts = [{"prompt_token_ids": list(request.prompt_ids)} for request in asked]
    return [tuple(one.outputs[0].token_ids) for one in engine.llm.generate(prompts, asking, use_tqdm=False)]


def _until_its_end(ids: list[int], eos_ids: frozenset[int]) -> tuple[int, ...]:
    end = next((place for place, token in enumerate(ids) if token in eos_ids), len(ids))
    return tuple(ids[: end + 1])


def compare(found: dict[str, Contestant], loaded: Loaded, rounds: int) -> None:
    """Print seconds, tokens per second, and how many answers are those of the first contestant."""
    answers: dict[str, list[str | None]] = {}
    seconds: dict[str, list[float]] = {name: [] for name in found}
    processor: dict[str, list[float]] = {name: [] for name in found}
    tokens: dict[str, int] = {}
    for number in range(rounds + 1):
        for name, contestant in found.items():
            clock, used = time.perf_counter(), time.process_time()
            drawn = contestant()
            if number == 0:
                texts = loaded.tokenizer.batch_decode(drawn, skip_special_tokens=True)
                answers[name], tokens[name] = [answer_in(text) for text in texts], sum(map(len, drawn))
                continue
            seconds[name].append(time.perf_counter() - clock)
            processor[name].append(time.process_time() - used)
    print(_table(answers, seconds, processor, tokens))
    print(f"\nLoad of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


def _table(
    answers: dict[str, list[str | None]],
    seconds: dict[str, list[float]],
    processor: dict[str, list[float]],
    tokens: dict[str, int],
) -> str:
    base = next(iter(answers))
    heading = ("", "median, s", "CPU-s", "tokens/s", f"times as fast as {base}", f"same answers as {base}")
    rows = [
        [
            name,
            f"{median(seconds[name]):.1f}",
            f"{median(processor[name]):.1f}",
            f"{tokens[name] / median(seconds[name]):,.0f}",
            said(ratio(seconds[base], seconds[name])),
            f"{sum(map(str.__eq__, map(str, answers[name]), map(str, answers[base])))} of {len(answers[name])}",
        ]
        for name in answers
    ]
    return table(heading, rows)


if __name__ == "__main__":
    main()
