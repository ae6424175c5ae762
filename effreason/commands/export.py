"""`effreason export POLICY DIR`: a policy as a Hugging Face model with its card, for transformers and `vllm serve`.

effreason export train/3f9a ./shorter
effreason export tiny:alpha=0.3 ./shorter --push me/shorter
effreason export train/3f9a ./shorter --adapter               what LoRA added, for peft
"""

import argparse
from pathlib import Path

from effreason.commands.cells import one_policy
from effreason.commands.stores import existing_store, store_arguments
from effreason.commands.typed import entries_of


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "export",
        parents=[store_arguments()],
        help="write a policy as a model with a card, and upload it to the hub",
        description="Write a policy as a model that transformers loads and `vllm serve` serves, with a model card.",
    )
    parser.add_argument("policy", metavar="POLICY", help="train/ADDRESS, or EXPERIMENT:alpha=A,seed=S")
    parser.add_argument("folder", type=Path, metavar="DIR", help="folder to write to; created if missing")
    parser.add_argument("--adapter", action="store_true", help="write the LoRA adapter instead of the merged model")
    parser.add_argument(
        "--overwrite", action="store_true", help="write even if the folder is not empty; a model in it is replaced"
    )
    parser.add_argument(
        "--push", metavar="OWNER/NAME", help="also upload it to a private hub repository (needs HF_TOKEN)"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    store = existing_store(options)
    policy = one_policy(options.policy, store)
    _refuse_full(options.folder, options.overwrite)
    if options.push is not None:
        from effreason.shipping.push import refuse_no_repository

        refuse_no_repository(options.push)
    from effreason.shipping.export import export

    files = export(store, policy, options.folder, adapter=options.adapter)
    print(f"{policy.address} is in {options.folder}, with README.md as its card.")
    if options.push is not None:
        from effreason.shipping.push import push

        print(f"Pushed to {push(options.folder, files, options.push)} (private if this created it).")
    return 0


def _refuse_full(folder: Path, overwrite: bool) -> None:
    from effreason.errors import UserError

    if entries_of(folder) and not overwrite:
        raise UserError(f"{folder} is not empty.", "Choose another folder, or give --overwrite.")
