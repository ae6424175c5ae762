"""An artifact in the Prefect UI that is changed in place.

With Prefect's own functions every change of a dashboard would create another version of it, and an event with its whole
text.
"""

from typing import Any, NamedTuple
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import ArtifactCreate


class Shown(NamedTuple):
    """The content of an artifact."""

    data: Any
    description: str


class Pinned:
    """One artifact of a flow run: `show` sets its content, and `send` sends it to the server."""

    def __init__(self, kind: str, key: str, flow_run: UUID, task_run: UUID | None, shown: Shown) -> None:
        """Prepare an artifact of Prefect's type `kind`, `progress` or `markdown`, shown with `task_run` if given."""
        self._kind, self._key = kind, key
        self._flow_run, self._task_run = flow_run, task_run
        self._wanted = shown
        self._sent: Shown | None = None
        self._artifact: UUID | None = None

    def show(self, shown: Shown) -> None:
        self._wanted = shown

    def describe(self, description: str) -> None:
        """Change the description and keep the data."""
        self._wanted = self._wanted._replace(description=description)

    def send(self, client: SyncPrefectClient) -> None:
        """Create the artifact, or update it if it has changed. Raises `httpx.HTTPError`; may be tried again."""
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
