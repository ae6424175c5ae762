"""`effreason export POLICY DIR`: a policy as a Hugging Face model with its card, for transformers and `vllm serve`.

effreason export train/3f9a ./shorter
effreason export tiny:alpha=0.3 ./shorter --push me/shorter
effreason export train/3f9a ./shorter --adapter               what LoRA added, for peft
"""

import argparse
from pathlib import Path

from effreason.commands.cells import one_policy
from effreason.commands.stores import existing_store, store_arguments


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "export",
        parents=[store_arguments()],
        help="write a policy as a model with a card, and send it to the hub",
        description="Write a policy as a model that transformers loads and `vllm serve` serves, with a model card.",
    )
    parser.add_argument("policy", metavar="POLICY", help="train/ADDRESS, or EXPERIMENT:alpha=A,seed=S")
    parser.add_argument("folder", type=Path, metavar="DIR", help="made if need be")
    parser.add_argument("--adapter", action="store_true", help="the LoRA adapter in place of the merged model")
    parser.add_argument(
        "--overwrite", action="store_true", help="also into a folder that is not empty; a model in it makes way"
    )
    parser.add_argument("--push", metavar="OWNER/NAME", help="also upload it to the hub, private (HF_TOKEN)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    store = existing_store(options)
    policy = one_policy(options.policy, store)
    _refuse_full(options.folder, options.overwrite)
    from effreason.shipping.export import export

    export(store, policy, options.folder, adapter=options.adapter)
    print(f"{policy.address} is in {options.folder}, with README.md as its card.")
    if options.push:
        from effreason.shipping.push import push

        print(f"Pushed to {push(options.folder, options.push)} (private where it was made by this).")
    return 0


def _refuse_full(folder: Path, overwrite: bool) -> None:
    from effreason.errors import UserError

    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file.", "Name a folder.")
    if folder.is_dir() and any(folder.iterdir()) and not overwrite:
        raise UserError(f"{folder} is not empty.", "Name another folder, or give --overwrite.")
