"""A headless Chromium with a fake microphone, driven over its own debugging protocol."""

import asyncio
import itertools
import json
import re
import shutil
from contextlib import asynccontextmanager
from pathlib import Path

from websockets.asyncio.client import connect

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
    "--remote-debugging-port=0",
)


class Tab:
    """One page."""

    def __init__(self, socket):
        self._socket = socket
        self._numbers = itertools.count(1)
        self._waiting = {}
        self.complaints = []
        self._reading = asyncio.create_task(self._read())

    async def command(self, method, **params):
        number = next(self._numbers)
        self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        async with asyncio.timeout(30):
            return await self._waiting[number]

    async def run(self, script):
        """The value of an expression in the page."""
        options = {"returnByValue": True, "awaitPromise": True, "userGesture": True}
        reply = await self.command("Runtime.evaluate", expression=script, **options)
        assert "exceptionDetails" not in reply, reply
        return reply["result"].get("value")

    async def until(self, script, timeout_s=30):
        """Waits until an expression is true; its value."""
        try:
            async with asyncio.timeout(timeout_s):
                while not (value := await self.run(script)):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
        except TimeoutError:
            text = await self.run("document.body.innerText")
            raise AssertionError(f"never: {script}\n{text}\n{self.complaints}") from None
        return value

    async def close(self):
        self._reading.cancel()

    async def _read(self):
        async for frame in self._socket:
            message = json.loads(frame)
            if "id" in message:
                self._waiting.pop(message["id"]).set_result(message.get("result", message))
            elif message["method"] == "Runtime.exceptionThrown":
                self.complaints.append(message["params"]["exceptionDetails"])


OWN_PAGE = "document.getElementById('model')?.length > 0"  # its script has begun


@asynccontextmanager
async def browsing(
    url, directory: Path, *, microphone: Path | None, width=1100, ready=OWN_PAGE, flags=()
):
    """A page at `url`, once `ready` is true; without a microphone file the page is refused one."""
    flags = [*FLAGS, *flags, f"--user-data-dir={directory}", f"--window-size={width},900"]
    if microphone is None:
        flags.append("--deny-permission-prompts")
    else:
        flags += [
            "--use-fake-ui-for-media-stream",
            f"--use-file-for-fake-audio-capture={microphone}",
        ]
    process = await asyncio.create_subprocess_exec(
        CHROMIUM, *flags, url, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(60):
            while not (found := re.search(rb"ws://([^/]+)/", await process.stderr.readline())):
                pass
        draining = asyncio.create_task(process.stderr.read())
        async with connect(await _page_socket(found[1].decode()), max_size=None) as socket:
            tab = Tab(socket)
            await tab.command("Runtime.enable")
            await tab.until(ready)
            yield tab
            assert not tab.complaints
            await tab.close()
        draining.cancel()
    finally:
        process.kill()
        await process.wait()


async def _page_socket(address):
    """Where the first page listens, as the browser's own list of pages says."""
    import httpx

    async with httpx.AsyncClient() as http:
        for _ in range(100):
            for target in (await http.get(f"http://{address}/json")).json():
                if target["type"] == "page" and target["url"].startswith("http"):
                    return target["webSocketDebuggerUrl"]
            await asyncio.sleep(0.1)
    raise AssertionError("the page did not open")
