"""`effreason schema`: the JSON schema of an experiment file, for editors that check TOML, or that of report.json."""

import argparse
import json
import sys

DOCUMENTS = ("experiment", "report")


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "schema",
        help="print the JSON schema of an experiment file",
        description="Print the JSON schema of an experiment file, for editors that complete and check TOML; or that of "
        "report.json, for programs that read it.",
    )
    parser.add_argument(
        "document",
        nargs="?",
        choices=DOCUMENTS,
        default="experiment",
        help="document to describe (default: experiment)",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    if options.document == "report":
        from effreason.report.schema import json_schema

        print(json_schema())
        return 0
    from effreason.experiment import Experiment

    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Experiment.model_json_schema()}
    json.dump(schema, sys.stdout, indent=2, ensure_ascii=False)
    print()
    return 0
