"""Create .env from .env.example with freshly drawn secrets, readable by nobody else; `make up` does it once.

Settings that are already in .env stay as they are; those that only .env.example has are added. This module needs only
the standard library, and imports only modules of the project that need no more.
"""

import os
import re
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

from effreason.leasing.folder import leases_folder

EXAMPLE, SETTINGS = Path(".env.example"), Path(".env")
SETTING = re.compile(r"^([A-Z][A-Z0-9_]*)=(.*)$")
SECRETS = re.compile(r"_(PASSWORD|SECRET)$")
KEYS = re.compile(r"^S3_.*KEY$")


def main() -> int:
    there = _settings(SETTINGS.read_text(encoding="utf-8")) if SETTINGS.exists() else {}
    lines = (_filled(line, there) for line in EXAMPLE.read_text(encoding="utf-8").splitlines())
    partial = SETTINGS.with_suffix(".partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
        known = _settings(EXAMPLE.read_text(encoding="utf-8"))
        file.writelines(f"{name}={value}\n" for name, value in there.items() if name not in known)
    os.replace(partial, SETTINGS)
    return 0


def _settings(text: str) -> dict[str, str]:
    found = (SETTING.match(line) for line in text.splitlines())
    return {match[1]: match[2] for match in found if match}


def _filled(line: str, there: Mapping[str, str]) -> str:
    match = SETTING.match(line)
    if match is None:
        return line
    name, default = match.groups()
    return f"{name}={there.get(name) or default or _made(name)}"


def _made(name: str) -> str:
    if SECRETS.search(name):
        return secrets.token_hex(20)
    if KEYS.match(name):
        return secrets.token_hex(8)
    match name:
        case "DOCKER_GROUP":
            return str(_group_of_socket())
        case "LOCKS":
            return str(leases_folder().resolve().parent)
        case "LEASES":
            return leases_folder().resolve().name
        case _:
            return ""


def _group_of_socket() -> int:
    """Return the group ID of the Docker socket; that of root if there is no socket."""
    socket = Path(os.environ.get("DOCKER_SOCKET", "/var/run/docker.sock"))
    return socket.stat().st_gid if socket.exists() else 0


if __name__ == "__main__":
    sys.exit(main())
