"""What `omnilive serve` says when it is up: where everything is, and commands that work as told.

Knows the terminal it was typed in. Does not know how a server is run.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import sysconfig
from pathlib import Path

from clients.python.client import DEFAULT_URL
from server.running import Running

PROGRAM = "omnilive"
# Where this machine finds what listens on all of its addresses: those name no place to go to, and
# a page of theirs gets no microphone.
WILDCARDS = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}
BANNER = """
omnilive serves {model} on {device}

  page           http://{address}/
  Realtime API   {url}
  health         http://{address}/healthz  /readyz  /v1/models

Talk to it in a browser, or from another terminal:
  {command} talk QUESTION.wav --out answer.wav{options}
  {command} talk --text "What is the capital of France?" --out answer.wav{options}
or with the openai SDK:
  AsyncOpenAI(base_url="http://{address}/v1", api_key="{key}").realtime.connect(model="{model}")

Ctrl-C ends it; SIGTERM first lets open conversations finish.
"""


def banner(running: Running) -> str:
    """Returns where to go and how to talk to it."""
    settings = running.gateway.settings
    has_keys = bool(settings.api_keys)
    address = _from_here(running.address)
    url = running.url.replace(running.address, address, 1)
    options = "" if url == DEFAULT_URL else f" --url {url}"
    return BANNER.format(
        model=running.ready.model_id,
        device=settings.device,
        url=url,
        address=address,
        command=shlex.quote(own_command()),
        options=options + (" --key YOUR_KEY" if has_keys else ""),
        key="YOUR_KEY" if has_keys else "none",
    )


def _from_here(address: str) -> str:
    host, _, port = address.rpartition(":")
    return f"{WILDCARDS.get(host, host)}:{port}"


def own_command() -> str:
    """Returns what leads to this program from here: its name if that is enough, or a path."""
    script = Path(sys.argv[0]).absolute()
    if script.name != PROGRAM or not script.is_file():  # run as a module: the script beside Python
        script = Path(sysconfig.get_path("scripts"), PROGRAM)
    found = shutil.which(PROGRAM)
    if not script.is_file() or (found is not None and script.samefile(found)):
        return PROGRAM
    if not script.is_relative_to(Path.cwd()):
        return str(script)
    near = script.relative_to(Path.cwd())
    return str(near) if os.sep in str(near) else f".{os.sep}{near}"
