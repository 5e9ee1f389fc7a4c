"""The chart through Helm's own Go library (by `helm_python`), in a process of its own.

    python -m tests.deploy.chart < '{"values": {…}}'   →   {"lint": …, "manifests": …, "error": …}

A Go runtime takes signals for itself: it must not live in the process of the tests.
"""

import json
import subprocess
import sys

import yaml

from tests.deploy.places import CHART

NAMESPACE = "voice"


class RefusedError(Exception):
    pass


def helm(**job):
    ran = subprocess.run(
        [sys.executable, "-m", "tests.deploy.chart"],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    answer = json.loads(ran.stdout)
    if "error" in answer:
        raise RefusedError(answer["error"])
    return answer


def rendered(**values):
    """Every object of a release, by kind and name."""
    manifests = helm(values=values)["manifests"]
    documents = [
        document
        for path, text in manifests.items()
        if path.endswith(".yaml")
        for document in yaml.safe_load_all(text)
        if document
    ]
    return {(each["kind"], each["metadata"]["name"]): each for each in documents}


def _main():
    import helm_python

    job = json.load(sys.stdin)
    try:
        print(json.dumps(_answer(helm_python, job)))  # noqa: T201
    except helm_python.HelmError as error:
        print(json.dumps({"error": str(error)}))  # noqa: T201


def _answer(helm_python, job):
    if "package_into" in job:
        return {"archive": helm_python.package(CHART, destination=job["package_into"])}
    values = job["values"]
    with helm_python.Chart.load(CHART) as chart:
        chart.validate_schema(values)
        manifests = chart.render(values, name="demo", namespace=NAMESPACE)
    lint = helm_python.lint(CHART, values, strict=True, namespace=NAMESPACE)
    return {"manifests": manifests, "lint": lint["messages"]}


if __name__ == "__main__":
    _main()
