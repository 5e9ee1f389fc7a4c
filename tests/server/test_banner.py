"""What `serve` says when it is up: nothing in it may need a guess."""

import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from server.banner import PROGRAM, banner, own_command
from server.settings import load_settings


def said(address="127.0.0.1:8000", **settings):
    """The banner of a server at this address."""
    return banner(
        SimpleNamespace(
            address=address,
            url=f"ws://{address}/v1/realtime",
            ready=SimpleNamespace(model_id="omni-mini"),
            gateway=SimpleNamespace(settings=load_settings(**settings)),
        )
    )


def program(folder: Path) -> Path:
    """A file that could be run under our name."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / PROGRAM
    file.write_text("#!/bin/sh\n")
    file.chmod(0o755)
    return file


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """Where somebody stands who has just cloned the repository and made its environment."""
    monkeypatch.setenv("PATH", os.defpath)
    program(tmp_path / ".venv" / "bin")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_page_is_named():
    assert "http://127.0.0.1:8000/\n" in said()


def test_the_usual_address_needs_no_option():
    assert "--url" not in said()


@pytest.mark.parametrize("address", ["127.0.0.1:8001", "192.168.1.5:8000", "[::1]:8000"])
def test_any_other_address_is_in_the_commands(address):
    assert said(address).count(f"--out answer.wav --url ws://{address}/v1/realtime\n") == 2


@pytest.mark.parametrize(
    ("bound", "here"), [("0.0.0.0:8001", "127.0.0.1:8001"), ("[::]:8000", "[::1]:8000")]
)
def test_all_addresses_are_shown_as_the_one_that_has_a_microphone(bound, here):
    told = said(bound)
    assert bound not in told
    assert f"http://{here}/\n" in told
    assert f'base_url="http://{here}/v1"' in told
    assert told.count(f"--out answer.wav --url ws://{here}/v1/realtime\n") == 2


def test_all_addresses_at_the_usual_port_need_no_option():
    assert "--url" not in said("0.0.0.0:8000")


def test_an_open_server_takes_any_key():
    told = said()
    assert 'api_key="none"' in told
    assert "--key" not in told


def test_where_a_key_is_needed_its_place_is_shown_and_it_is_not():
    told = said(api_keys="kkkkkkkkkkkk")
    assert 'api_key="YOUR_KEY"' in told
    assert told.count(" --key YOUR_KEY\n") == 2
    assert "kkkkkkkkkkkk" not in told


@pytest.mark.parametrize("typed", [".venv/bin/omnilive", "{clone}/.venv/bin/omnilive"])
def test_a_command_that_is_not_on_the_path_is_given_as_one_from_here(clone, monkeypatch, typed):
    monkeypatch.setattr(sys, "argv", [typed.format(clone=clone), "serve"])
    assert own_command() == ".venv/bin/omnilive"
    assert "  .venv/bin/omnilive talk QUESTION.wav" in said()


def test_from_within_its_folder_it_is_still_a_path(clone, monkeypatch):
    monkeypatch.chdir(clone / ".venv" / "bin")
    monkeypatch.setattr(sys, "argv", ["./omnilive", "serve"])
    assert own_command() == "./omnilive"


def test_from_elsewhere_it_is_the_whole_path(clone, monkeypatch, tmp_path_factory):
    monkeypatch.setattr(sys, "argv", [str(clone / ".venv/bin/omnilive"), "serve"])
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert own_command() == str(clone / ".venv" / "bin" / "omnilive")


def test_a_folder_with_a_space_is_quoted(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", os.defpath)
    monkeypatch.chdir(tmp_path)
    script = program(tmp_path / "my clone" / "bin")
    monkeypatch.setattr(sys, "argv", [str(script), "serve"])
    assert "  'my clone/bin/omnilive' talk" in said()


def test_one_that_is_on_the_path_is_called_by_its_name(clone, monkeypatch):
    folder = clone / ".venv" / "bin"
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.defpath}")
    monkeypatch.setattr(sys, "argv", [shutil.which(PROGRAM), "serve"])
    assert own_command() == PROGRAM


def test_another_of_that_name_on_the_path_is_not_meant(clone, monkeypatch):
    other = program(clone / "other")
    monkeypatch.setenv("PATH", str(other.parent))
    monkeypatch.setattr(sys, "argv", [".venv/bin/omnilive", "serve"])
    assert own_command() == ".venv/bin/omnilive"


@pytest.mark.parametrize("typed", ["-c", "/somewhere/server/cli.py"])
def test_run_as_a_module_it_is_the_script_of_this_environment(clone, monkeypatch, typed):
    monkeypatch.setattr(sys, "argv", [typed, "serve"])
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(clone / ".venv" / "bin"))
    assert own_command() == ".venv/bin/omnilive"


def test_without_any_script_its_name_is_all_there_is(clone, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["-c", "serve"])
    monkeypatch.setattr("sysconfig.get_path", lambda name: str(clone / "nothing"))
    assert own_command() == PROGRAM
