"""The artifact browser shows what is sealed, as it was sealed, to this machine, and nothing else."""

import http.client
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_artifacts_command import PREPARE, PROVENANCE, REPORT, fill

from effreason.artifacts import Report
from effreason.browsing import ArtifactServer
from effreason.store.folder import FolderStore

PAGE = "<!doctype html><p>The report</p><script>1</script>"
SECRET = "the key of the kingdom"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one artifact of each kind, and beside them things that are not for anybody's eyes."""
    folder = tmp_path_factory.mktemp("browsed")
    output = folder / "report"
    output.mkdir()
    (output / "report.html").write_text(PAGE)
    (output / "a b&c.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    store = FolderStore(folder / "store")
    store.seal(REPORT, Report(address=REPORT.address, recommended={}), output, PROVENANCE)
    fill(store, folder / "output")
    (folder / "secret.txt").write_text(SECRET)
    (folder / "store" / REPORT.address / "beside.txt").write_text(SECRET)
    unsealed = folder / "store" / "train" / ("0" * 24)
    unsealed.mkdir(parents=True)
    (unsealed / "secret.txt").write_text(SECRET)
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[ArtifactServer]:
    with ArtifactServer(FolderStore(folder / "store"), "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def get(server: ArtifactServer, path: str, host: str | None = None, method: str = "GET"):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    connection.request(method, path, headers={"Host": host} if host else {})
    answer = connection.getresponse()
    return answer, answer.read().decode(errors="replace")


def test_a_sealed_report_opens_as_it_was_sealed_in_a_sandbox_that_cannot_talk(server):
    answer, text = get(server, f"/{REPORT.address}/report.html")
    assert (answer.status, text) == (200, PAGE)
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "sandbox allow-scripts" in policy and "allow-same-origin" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_only_a_report_may_run_scripts(server):
    answer, _ = get(server, f"/{REPORT.address}/{quote('a b&c.svg')}")
    assert answer.headers["Content-Type"] == "image/svg+xml"
    assert "script" not in answer.headers["Content-Security-Policy"]
    answer, _ = get(server, f"/{PREPARE.address}/large.bin")
    assert answer.headers["Content-Disposition"] == "attachment"


def test_every_artifact_and_every_file_can_be_reached_from_the_first_page(server):
    _, first = get(server, "/")
    assert f'href="/{REPORT.address}/report.html"' in first and "tiny, 1 cells" in first
    _, files = get(server, f"/{REPORT.address}/")
    assert 'href="a%20b%26c.svg"' in files and "a b&amp;c.svg" in files


@pytest.mark.parametrize(
    "path",
    [
        "/../secret.txt",
        "/%2e%2e/secret.txt",
        f"/{REPORT.address}/../../../secret.txt",
        f"/{REPORT.address}/..%2f..%2f..%2fsecret.txt",
        f"/{REPORT.address}//etc/passwd",
        f"/{REPORT.address}/beside.txt",
        f"/{REPORT.address}/manifest.json",
        f"/train/{'0' * 24}/secret.txt",
        f"/train/{'0' * 24}/",
        f"/working/{REPORT.address}/x",
        f"/{REPORT.address}",
    ],
)
def test_what_is_not_sealed_is_not_there(server, path):
    answer, text = get(server, path)
    assert answer.status == 404 and SECRET not in text and "root:" not in text


@given(path=st.text(alphabet="/.%2e\\ao\0é", max_size=30))
def test_no_path_leads_out_of_the_store(server, path):
    answer, text = get(server, f"/{REPORT.address}/{quote(path, safe='/.%')}")
    assert answer.status == (200 if not path else 404) and SECRET not in text


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "[::2]", ""])
def test_a_name_that_somebody_made_point_here_gets_no_answer(server, host):
    answer, text = get(server, "/", host=host or " ")
    assert answer.status == 403 and "report" not in text
    assert get(server, "/", host="localhost:8080")[0].status == 200


def test_it_can_be_read_and_nothing_else(server):
    answer, text = get(server, f"/{REPORT.address}/report.html", method="HEAD")
    assert (answer.status, text) == (200, "") and int(answer.headers["Content-Length"]) == len(PAGE)
    for method in ("PUT", "POST", "DELETE"):
        assert get(server, f"/{REPORT.address}/report.html", method=method)[0].status == 501


def test_a_file_that_was_changed_afterwards_is_refused_with_the_remedy(server, folder):
    (large,) = (folder / "store" / PREPARE.address).glob("*/large.bin")
    whole = large.read_bytes()
    large.write_bytes(b"1" + whole[1:])
    answer, text = get(server, f"/{PREPARE.address}/large.bin")
    large.write_bytes(whole)
    assert answer.status == 502 and "differs from its SHA-256" in text and "effreason artifacts verify" in text


def test_the_command_says_where_it_listens_and_ends_at_sigterm(folder):
    command = [sys.executable, "-m", "effreason", "browse", "--store", str(folder / "store"), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline().startswith("http://127.0.0.1:")
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
