"""Node beside the tests: packages as locked, and programs that print what they saw."""

import asyncio
import hashlib
import json
import shutil
import subprocess
from pathlib import Path

import pytest

NODE, NPM = shutil.which("node"), shutil.which("npm")
INSTALL_TIMEOUT_S = 300
# What npm says when nobody answers; anything else is a fault of ours.
NO_REGISTRY = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH")


def installed(directory: Path) -> Path:
    """Installs a package's dependencies beside it, unless they are there; returns its directory."""
    if NODE is None or NPM is None:
        pytest.skip("no node and npm here")
    lock = hashlib.sha256((directory / "package-lock.json").read_bytes()).hexdigest()
    stamp = directory / "node_modules" / ".stamp"
    if stamp.exists() and stamp.read_text() == lock:
        return directory
    done = subprocess.run(
        [NPM, "ci", "--no-audit", "--no-fund"],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=INSTALL_TIMEOUT_S,
    )
    if done.returncode and any(word in done.stderr for word in NO_REGISTRY):
        pytest.skip("the npm registry cannot be reached")
    assert done.returncode == 0, done.stderr
    stamp.write_text(lock)
    return directory


async def run_node(program: Path, *arguments: str, timeout_s: float = 120) -> dict:
    """Runs a program; returns the JSON that it prints."""
    process = await asyncio.create_subprocess_exec(
        NODE, program, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(timeout_s):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        out, err = await process.communicate()
        raise AssertionError(f"{program.name} did not end:\n{err.decode()}") from None
    assert process.returncode == 0, err.decode()
    return json.loads(out)
