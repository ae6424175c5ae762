"""An artifact in the Prefect UI that is changed in place.

By Prefect's own functions every change of a dashboard would be another version of it, and an event with all of its
text.
"""

from typing import Any, NamedTuple
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import ArtifactCreate


class Shown(NamedTuple):
    """What an artifact says."""

    data: Any
    description: str


class Pinned:
    """One artifact of a flow run. Whoever knows more says so by `show`; the text goes out by `send`."""

    def __init__(self, kind: str, key: str, flow_run: UUID, task_run: UUID | None, shown: Shown) -> None:
        """`kind` is Prefect's type, `progress` or `markdown`; `task_run` is the task that it is shown with."""
        self._kind, self._key = kind, key
        self._flow_run, self._task_run = flow_run, task_run
        self._wanted = shown
        self._sent: Shown | None = None
        self._artifact: UUID | None = None

    def show(self, shown: Shown) -> None:
        self._wanted = shown

    def describe(self, description: str) -> None:
        """Change the words and leave the data as they are."""
        self._wanted = self._wanted._replace(description=description)

    def send(self, client: SyncPrefectClient) -> None:
        """Make the artifact, or bring it up to date where it differs. Raises `httpx.HTTPError`; may be tried again."""
        wanted = self._wanted
        if wanted == self._sent:
            return
        if self._artifact is None:
            self._artifact = client.create_artifact(self._request(wanted)).id
        else:
            client.request("PATCH", "/artifacts/{id}", json=wanted._asdict(), path_params={"id": self._artifact})
        self._sent = wanted

    def _request(self, shown: Shown) -> ArtifactCreate:
        return ArtifactCreate(
            type=self._kind,
            key=self._key,
            flow_run_id=self._flow_run,
            task_run_id=self._task_run,
            **shown._asdict(),
        )
