"""The images that steps run in: what they have, what they lack, and who they run as."""

import pytest
from engine_fixtures import no_engine, said_in

from tasks.running import engine

pytestmark = [
    pytest.mark.containers,
    pytest.mark.skipif(no_engine(), reason="no Docker engine answers; infra/start-docker.sh starts one"),
]

NAMES = ("effreason/light:local", "effreason/train:local")


@pytest.mark.parametrize("name", NAMES)
def test_an_image_says_what_it_is_and_is_nobodys(name):
    with engine.engine() as client:
        configuration = engine.image_of(client, name).attrs["Config"]
    assert configuration["User"] == "10001:10001"
    assert configuration["Labels"]["org.opencontainers.image.version"]
    assert "org.opencontainers.image.revision" in configuration["Labels"]
    assert configuration["Healthcheck"]["Test"]
    assert not [each for each in configuration["Env"] if "KEY" in each or "TOKEN" in each]


@pytest.mark.parametrize(("name", "has_torch"), list(zip(NAMES, (False, True), strict=True)))
def test_only_the_steps_that_hold_weights_have_torch(name, has_torch):
    script = (
        "import importlib.util as u; print(*[u.find_spec(each) is not None for each in ('effreason', 'torch', 'trl')])"
    )
    assert said_in(name, script).split() == ["True", str(has_torch), str(has_torch)]


@pytest.mark.parametrize("name", NAMES)
def test_the_project_is_installed_and_not_mounted(name):
    assert "site-packages" in said_in(name, "import effreason; print(effreason.__file__)")


@pytest.mark.parametrize("name", NAMES)
def test_no_compiler_stays_in_an_image(name):
    assert said_in(name, "import shutil; print(shutil.which('gcc'))") == "None"
