"""A Docker engine for the tests: whether there is one, and images whose step is a script of the test's."""

import io
import json

from effreason.errors import UserError
from tasks.running import engine

IMAGES = "effreason-tests"


def no_engine() -> bool:
    try:
        with engine.engine():
            return False
    except UserError:
        return True


def said_in(image: str, script: str) -> str:
    """What a script of Python says in the image."""
    with engine.engine() as client:
        said: bytes = client.containers.run(
            image, ["-c", script], entrypoint="python", network_mode="none", read_only=True, remove=True
        )
    return said.decode().strip()


def play(mood: str, script: str) -> str:
    """Make an image with the tag `mood` whose step is `script`; return what its name begins with."""
    dockerfile = f"FROM effreason/light:local\nENTRYPOINT {json.dumps(['python', '-uc', script])}\n"
    with engine.engine() as client:
        client.images.build(fileobj=io.BytesIO(dockerfile.encode()), tag=f"{IMAGES}/light:{mood}", rm=True)
    return IMAGES
