"""`make deploy`: register what prefect.yaml describes with a Prefect server; it may be repeated at any time."""

import sys

from effreason.errors import EffreasonError
from infra.connection import connect


def main() -> int:
    try:
        ui = connect()
        from infra.registration import register  # imports Prefect, which reads its settings when imported

        for line in register():
            print(line)
    except EffreasonError as error:
        print(f"deploy: {error}", file=sys.stderr)
        return error.exit_code
    print(f"Prefect UI: {ui}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
