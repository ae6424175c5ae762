"""`make deploy`: bring a Prefect server to what prefect.yaml says, as often as one likes."""

import sys

from effreason.errors import EffreasonError
from infra.connection import connect


def main() -> int:
    try:
        ui = connect()
        from infra.registration import register  # brings Prefect, which reads its settings when it is imported

        for line in register():
            print(line)
    except EffreasonError as error:
        print(f"deploy: {error}", file=sys.stderr)
        return error.exit_code
    print(f"Prefect UI: {ui}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
