"""`effreason schema`: the JSON schema of an experiment file, for editors that complete and check TOML."""

import argparse
import json
import sys


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "schema",
        help="print the JSON schema of an experiment file",
        description="Print the JSON schema of an experiment file, for editors that complete and check TOML.",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from effreason.experiment import Experiment

    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Experiment.model_json_schema()}
    json.dump(schema, sys.stdout, indent=2, ensure_ascii=False)
    print()
    return 0
