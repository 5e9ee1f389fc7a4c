"""The image without a container engine: linted, its steps the Makefile's, its check a real one."""

import asyncio
import fnmatch
import json
import re
import shutil
import subprocess
import sys
import tomllib
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from server.app import create_app
from server.gateway import Gateway
from server.listener import listen, uvicorn_server
from server.settings import load_settings
from tests.deploy.places import ROOT, settings_of
from tests.server.webrtc.rig import ScriptedEngine

HADOLINT = shutil.which("hadolint", path=Path(sys.executable).parent)
DOCKERFILE = (ROOT / "Dockerfile").read_text()
INSTRUCTIONS = re.findall(
    r"^([A-Z]+) +(.*)$", re.sub(r"\\\n\s*", "", re.sub(r"(?m)^#.*\n", "", DOCKERFILE)), re.M
)


def instruction(name):
    return [rest for kind, rest in INSTRUCTIONS if kind == name]


def environment(device="cpu"):
    pairs = " ".join(instruction("ENV")).replace("${DEVICE}", device).split()
    return dict(pair.split("=", 1) for pair in pairs)


@asynccontextmanager
async def listening():
    """A gateway on a real port."""
    settings = load_settings(port=0)
    gateway = Gateway(settings=settings, engine=ScriptedEngine())
    listener = listen(settings)
    server = uvicorn_server(create_app(gateway), settings)
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield gateway, str(listener.getsockname()[1])
    finally:
        server.should_exit = True
        await task


@pytest.mark.skipif(HADOLINT is None, reason="no hadolint here")
def test_the_linter_has_nothing_to_say():
    linted = subprocess.run(
        [HADOLINT, "--no-color", "--failure-threshold", "style", ROOT / "Dockerfile"],
        capture_output=True,
        text=True,
    )
    assert (linted.stdout, linted.returncode) == ("", 0)


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_the_server_takes_the_images_environment(monkeypatch, device):
    settings = settings_of(monkeypatch, environment(device))
    assert settings.device == device
    assert settings.host == "0.0.0.0"
    assert instruction("EXPOSE") == [str(settings.port)]


def test_it_is_nobody_of_importance():
    (user,) = instruction("USER")
    assert all(int(number) >= 1000 for number in user.split(":"))
    assert not re.search("(?i)key|secret|token|password", " ".join(instruction("ENV")))


def test_the_step_is_the_makefiles(tmp_path):
    (step,) = [run for run in instruction("RUN") if "make" in run and "apt-get" not in run]
    index = "https://wheels.example/cpu"
    command = (
        step.replace("${TORCH_INDEX}", index)
        .replace("${EXTRA}", "")
        .replace(".venv ", f"VENV={tmp_path}/v .venv ")
    )
    told = subprocess.run(
        f"{command.replace('.venv ', f'{tmp_path}/v/.stamp ')} --dry-run",
        shell=True,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    installs = [line for line in told.splitlines() if "pip install" in line]
    assert len(installs) == 3
    assert all(f"--extra-index-url {index}" in line for line in installs)
    assert installs[0].endswith("--editable '.'")  # nothing for tests or training


def test_what_is_built_from_is_not_left_out():
    left_out = [line.lstrip("*/") for line in (ROOT / ".dockerignore").read_text().split()]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    found = project["tool"]["setuptools"]["packages"]["find"]["include"]
    packages = [name.rstrip("*") for name in found]
    needed = [
        "pyproject.toml",
        "Makefile",
        "requirements",
        project["project"]["readme"],
        *project["project"]["license-files"],
        *packages,
    ]
    for name in needed:
        assert (ROOT / name).exists()
        assert not any(fnmatch.fnmatch(name, pattern) for pattern in left_out), name


async def test_the_health_check_tells_when_conversations_can_be_had():
    (check,) = instruction("HEALTHCHECK")
    command = json.loads(check[check.index("[") :])
    async with listening() as (gateway, port):

        async def status():
            run = await asyncio.create_subprocess_exec(
                sys.executable,
                *command[1:],
                env={"OMNILIVE_PORT": port},
                stderr=asyncio.subprocess.DEVNULL,
            )
            return await run.wait()

        assert await status() == 0
        gateway.draining.begin()
        assert await status() != 0
