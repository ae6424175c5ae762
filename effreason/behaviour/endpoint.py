"""One question, one reply, from a server that speaks as OpenAI's `/v1/chat/completions` does.

The key comes from the environment (EFFREASON_JUDGE_KEY), goes into one header, and is in no message, file or `repr`.
Redirects are not followed, because that header would go along.
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage
from typing import IO, Any, NamedTuple
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from effreason.errors import StepFailure, UserError

KEY_VARIABLE = "EFFREASON_JUDGE_KEY"
LATER = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
"""HTTP statuses after which the same request may succeed."""
LONGEST_WAIT_SECONDS = 60.0
REPLY_TOKENS = 1024
"""The token limit of a reply, with room for a judge that thinks before it counts."""
REPLY_BYTES = 1 << 20


class Reply(NamedTuple):
    text: str
    tokens: int
    """Tokens of the prompt and the reply, as the server reports them; 0 where it does not."""


class _Stay(HTTPRedirectHandler):
    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        return None


_opener = build_opener(_Stay)


@dataclass(frozen=True)
class Endpoint:
    """The address and the name of a judge model. Made by `effreason judge`; read by `Judge`."""

    url: str
    """The base URL up to and with `/v1`, such as http://127.0.0.1:8000/v1."""
    model: str
    timeout_seconds: float = 60.0
    attempts: int = 4
    wait_seconds: float = 1.0
    """The wait before the second attempt; doubled before each further one, unless the server says how long."""

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UserError(f"{self.url} is not a valid judge URL.", "Write it like http://127.0.0.1:8000/v1.")

    def ask(self, prompt: str, may_ask: Callable[[], bool]) -> Reply | None:
        """Return the reply to one prompt, asking again while the server is busy or silent and `may_ask` allows.

        None where no attempt brought a reply that follows the protocol. `may_ask` is called before every request.

        Raises:
            UserError: the server refuses the request, the key or the model.
            StepFailure: there is no server.
        """
        pause = 0.0
        for attempt in range(self.attempts):
            if not may_ask():
                return None
            time.sleep(pause)
            try:
                return self._sent(prompt)
            except HTTPError as error:
                pause = self._pause(attempt, error)
            except (TimeoutError, HTTPException, ConnectionResetError):
                pause = self._pause(attempt)
            except URLError as error:
                if not isinstance(error.reason, TimeoutError):
                    raise StepFailure(
                        f"No judge answers at {self.url}: {error.reason}.", "Start the server, or correct --judge."
                    ) from error
                pause = self._pause(attempt)
        return None

    def _pause(self, attempt: int, error: HTTPError | None = None) -> float:
        """Return the seconds until the next attempt."""
        usual: float = self.wait_seconds * 2**attempt
        if error is None:
            return min(usual, LONGEST_WAIT_SECONDS)
        error.close()
        if error.code not in LATER:
            raise UserError(
                f"The judge at {self.url} refused the request with status {error.code}.",
                f"Check the address, the model {self.model} and the key in {KEY_VARIABLE}.",
            ) from error
        stated = str(error.headers.get("Retry-After", ""))
        return min(float(stated) if stated.isdecimal() else usual, LONGEST_WAIT_SECONDS)

    def _sent(self, prompt: str) -> Reply | None:
        asked = {
            "model": self.model,
            "messages": [{"role": "user", "content": prompt}],
            "temperature": 0,
            "max_tokens": REPLY_TOKENS,
        }
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get(KEY_VARIABLE):
            headers["Authorization"] = f"Bearer {key}"
        request = Request(f"{self.url.rstrip('/')}/chat/completions", json.dumps(asked).encode(), headers)  # noqa: S310
        with _opener.open(request, timeout=self.timeout_seconds) as response:
            return _read(response.read(REPLY_BYTES))


def _read(body: bytes) -> Reply | None:
    """Parse the body of a response; None where it does not follow the protocol."""
    try:
        told: Any = json.loads(body)
        text = told["choices"][0]["message"]["content"]
        tokens = (told.get("usage") or {}).get("total_tokens") or 0
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return None
    return Reply(text, int(tokens)) if isinstance(text, str) and isinstance(tokens, int) else None
