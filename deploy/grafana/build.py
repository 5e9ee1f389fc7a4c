"""Makes the dashboards: `python deploy/grafana/build.py` writes `dashboards/*.json`.

Knows Grafana's format, in which each line of `calls.py` and `machine.py` is forty. A test holds the
files against what this makes, and asks a real Prometheus every query.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from calls import CALLS
from machine import MACHINE
from queries import Panel

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS = 24
HEIGHTS = {"stat": 5, "timeseries": 8, "heatmap": 8}
GREEN, YELLOW, RED = "green", "yellow", "red"


def dashboard(uid: str, title: str, rows: dict[str, tuple[Panel, ...]]) -> dict[str, Any]:
    """Returns a whole dashboard."""
    return {
        "uid": uid,
        "title": title,
        "tags": ["omnilive"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "links": [
            {"type": "dashboards", "title": "omnilive", "tags": ["omnilive"], "keepTime": True}
        ],
        "templating": {"list": list(_variables())},
        "panels": list(_laid_out(rows)),
    }


def _variables() -> Iterator[dict[str, Any]]:
    yield {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
    }
    for name in ("model", "instance"):
        yield {
            "name": name,
            "label": name.capitalize(),
            "type": "query",
            "datasource": DATASOURCE,
            "query": f"label_values(omnilive_engine_up, {name})",
            "refresh": 2,
            "includeAll": True,
            "multi": True,
            "allValue": ".*",
            "current": {"text": "All", "value": "$__all"},
        }


def _laid_out(rows: dict[str, tuple[Panel, ...]]) -> Iterator[dict[str, Any]]:
    """Panels from left to right and from top to bottom, each row under its title."""
    number, y = 0, 0
    for title, panels in rows.items():
        number += 1
        place = {"x": 0, "y": y, "w": COLUMNS, "h": 1}
        yield {"id": number, "type": "row", "title": title, "gridPos": place, "panels": []}
        x, y, height = 0, y + 1, 0
        for panel in panels:
            if x + panel.width > COLUMNS:
                x, y = 0, y + height
            number, height = number + 1, HEIGHTS[panel.kind]
            place = {"x": x, "y": y, "w": panel.width, "h": height}
            yield {"id": number, "gridPos": place, **_panel(panel)}
            x += panel.width
        y += height


def _panel(panel: Panel) -> dict[str, Any]:
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.help,
        "datasource": DATASOURCE,
        "targets": list(_targets(panel)),
        "fieldConfig": {"defaults": _field(panel), "overrides": []},
        "options": _options(panel),
    }


def _targets(panel: Panel) -> Iterator[dict[str, Any]]:
    for place, (legend, query) in enumerate(panel.queries.items()):
        yield {
            "refId": chr(ord("A") + place),
            "datasource": DATASOURCE,
            "expr": query,
            "legendFormat": legend,
            "instant": panel.kind == "stat",
            "range": panel.kind != "stat",
            "exemplar": panel.kind == "timeseries",
            "format": "heatmap" if panel.kind == "heatmap" else "time_series",
        }


def _field(panel: Panel) -> dict[str, Any]:
    field: dict[str, Any] = {"unit": panel.unit, "min": 0, "color": {"mode": "palette-classic"}}
    if panel.bounds is not None:
        field["thresholds"] = {"mode": "absolute", "steps": _steps(*panel.bounds)}
    if panel.kind == "stat":
        field["color"] = {"mode": "thresholds"}
    if panel.kind == "timeseries":
        field["custom"] = {
            "lineWidth": 1,
            "fillOpacity": 30 if panel.stacked else 5,
            "showPoints": "never",
            "stacking": {"mode": "normal" if panel.stacked else "none"},
            "thresholdsStyle": {"mode": "dashed" if panel.bounds else "off"},
        }
    return field


def _steps(notable: float, wrong: float) -> list[dict[str, Any]]:
    if notable < wrong:
        colours = (GREEN, YELLOW, RED)
        values = (None, notable, wrong)
    else:
        colours = (RED, YELLOW, GREEN)
        values = (None, wrong, notable)
    return [{"color": colour, "value": at} for colour, at in zip(colours, values, strict=True)]


def _options(panel: Panel) -> dict[str, Any]:
    if panel.kind == "stat":
        return {
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "colorMode": "value" if panel.bounds else "none",
            "graphMode": "none",
            "textMode": "auto",
        }
    if panel.kind == "heatmap":
        return {
            "calculate": False,
            "yAxis": {"unit": panel.unit},
            "color": {"mode": "scheme", "scheme": "Blues", "steps": 64},
            "tooltip": {"mode": "single"},
            "legend": {"show": False},
        }
    return {
        "legend": {"displayMode": "list", "placement": "bottom"},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }


def main() -> None:
    """Writes them to the directory that is named, or to where Grafana looks for them."""
    given = sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent / "dashboards"
    boards = {
        "omnilive": dashboard("omnilive-calls", "omnilive: calls", CALLS),
        "omnilive-machine": dashboard("omnilive-machine", "omnilive: machine", MACHINE),
    }
    for name, board in boards.items():
        text = json.dumps(board, indent=1, ensure_ascii=False)
        (Path(given) / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
