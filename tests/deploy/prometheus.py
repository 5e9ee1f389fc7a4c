"""A real Prometheus that watches one server by our own configuration and rules."""

import asyncio
import contextlib
import math
import re
import shutil

import httpx
import yaml

from tests.deploy.places import PROMETHEUS, read_yaml

PROGRAM = shutil.which("prometheus")
START_TIMEOUT_S = 60
STEP_S = 0.1


class Prometheus:
    def __init__(self, address):
        self._http = httpx.AsyncClient(base_url=f"http://{address}/api/v1")

    async def get(self, path, **params):
        answer = (await self._http.get(path, params=params)).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    async def values(self, query):
        """What a query gives now: a finite number for each series that has one."""
        result = (await self.get("/query", query=query))["result"]
        numbers = [float(series["value"][1]) for series in result]
        return [number for number in numbers if math.isfinite(number)]

    async def until(self, query):
        """Waits until a query gives anything."""
        async with asyncio.timeout(START_TIMEOUT_S):
            while not await self.values(query):  # noqa: ASYNC110
                await asyncio.sleep(STEP_S)

    async def close(self):
        await self._http.aclose()


@contextlib.asynccontextmanager
async def watching(target, directory):
    """Prometheus as deploy/compose has it, but every second, and for this server."""
    config = read_yaml(PROMETHEUS / "prometheus.yml")
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(PROMETHEUS / rules) for rules in config["rule_files"]]
    (job,) = [job for job in config["scrape_configs"] if job["job_name"] == "omnilive"]
    job["static_configs"] = [{"targets": [target]}]
    config["scrape_configs"] = [job]
    path = directory / "prometheus.yml"
    path.write_text(yaml.safe_dump(config))
    process = await asyncio.create_subprocess_exec(
        PROGRAM,
        f"--config.file={path}",
        f"--storage.tsdb.path={directory / 'data'}",
        "--web.listen-address=127.0.0.1:0",
        "--enable-feature=exemplar-storage",
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            prometheus = Prometheus(await _address(process.stderr))
        rest = asyncio.create_task(process.stderr.read())  # a full pipe would stop it
        try:
            yield prometheus
        finally:
            rest.cancel()
            await prometheus.close()
    finally:
        process.terminate()
        await process.wait()


async def _address(log):
    while line := (await log.readline()).decode():
        if found := re.search(r'"Listening on" address=(\S+)', line):
            return found[1]
    raise AssertionError("prometheus ended")
