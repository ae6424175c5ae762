"""`effreason artifacts clean`: what a store can do without, shown first and removed with --yes.

effreason artifacts clean --store s3://bucket/prefix                      shows, removes nothing
effreason artifacts clean --store s3://bucket/prefix --older-than 12h --yes
"""

import argparse
import re
from datetime import timedelta

from effreason.commands.stores import bytes_as_read, existing_store

LONGEST = timedelta(days=36_500)
UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    age = "keep every step that stored anything within this age: 30m, 12h, 7d, 2w (default: 7d)"
    parser.add_argument("--older-than", type=_age, default=timedelta(days=7), metavar="AGE", help=age)
    parser.add_argument("--yes", action="store_true", help="actually remove the entries shown")
    parser.set_defaults(run=run_clean)


def run_clean(options: argparse.Namespace) -> int:
    store = existing_store(options)
    entries = size = 0
    for found in store.litter(options.older_than):
        entries += len(found.entries)
        size += found.size
        for entry in sorted(found.entries, key=lambda entry: entry.key):
            kind = "unfinished upload" if entry.upload else "file"
            print(f"{bytes_as_read(entry.size):>9}  {entry.changed:%Y-%m-%d %H:%M}  {kind:17}  {entry.key}")
        if options.yes:
            store.remove(found)
    if not entries:
        print(f"{options.store} holds nothing to remove.")
    elif options.yes:
        print(f"{entries} removed, {bytes_as_read(size)}.")
    else:
        print(f"{entries} could be removed, {bytes_as_read(size)}; run the same command with --yes to remove them.")
    return 0


def _age(given: str) -> timedelta:
    match = re.fullmatch(r"(\d+)([mhdw])", given)
    if match is None:
        raise argparse.ArgumentTypeError(f"{given!r} is not a valid age; write it like 30m, 12h, 7d or 2w")
    try:
        age = timedelta(**{UNITS[match[2]]: int(match[1])})
    except (OverflowError, ValueError):  # more than Python reckons with, or reads
        age = timedelta.max
    if age > LONGEST:
        raise argparse.ArgumentTypeError(f"{given!r} is more than {LONGEST.days} days")
    return age
