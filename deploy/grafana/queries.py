"""How panels are written down: queries of omnilive's metrics, and what is drawn of them.

Knows PromQL and names. Does not know Grafana's format (`build.py`).
"""

from dataclasses import dataclass

OURS = 'model=~"$model",instance=~"$instance"'
PROCESS = 'job="omnilive",instance=~"$instance"'
WINDOW = "[$__rate_interval]"


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One panel.

    Attributes:
        queries: By legend.
        width: Of 24 columns.
        bounds: Values at which it is worth a look, and at which something is wrong; falling ones
            where less is worse.
        help: What stands behind the title.
    """

    title: str
    queries: dict[str, str]
    unit: str = "s"
    kind: str = "timeseries"
    width: int = 8
    stacked: bool = False
    bounds: tuple[float, float] | None = None
    help: str = ""


def chosen(**labels: str) -> str:
    """Selects the series of the servers that are looked at."""
    return "{" + ",".join([OURS, *(f'{name}="{value}"' for name, value in labels.items())]) + "}"


def total(inner: str, by: str = "") -> str:
    """A sum, for each value of the labels `by`."""
    return f"sum by ({by}) ({inner})" if by else f"sum({inner})"


def gauge(metric: str, by: str = "") -> str:
    """A gauge of all servers together."""
    return total(f"omnilive_{metric}{chosen()}", by)


def rate(metric: str, by: str = "", **labels: str) -> str:
    """How much a counter grows in a second."""
    return total(f"rate(omnilive_{metric}{chosen(**labels)}{WINDOW})", by)


def a_minute(metric: str, by: str = "") -> str:
    """How much a counter grows in a minute."""
    return f"60 * {rate(metric, by)}"


def quantile(share: float, metric: str, by: str = "") -> str:
    """A quantile of a histogram, where something was observed."""
    buckets = rate(f"{metric}_bucket", f"{by}, le" if by else "le")
    return f"histogram_quantile({share:g}, {buckets}) >= 0"


def quantiles(metric: str, *percents: int, by: str = "") -> dict[str, str]:
    """Several of them, by legend."""
    of = ", ".join(f"{{{{{label}}}}}" for label in by.split(", ") if label)
    return {f"{of} p{each}".strip(): quantile(each / 100, metric, by) for each in percents}


def mean(metric: str, by: str = "") -> str:
    """The mean of a histogram, where something was observed."""
    return f"{rate(f'{metric}_sum', by)} / ({rate(f'{metric}_count', by)} > 0)"


def more_than(le: str, metric: str, by: str = "") -> str:
    """The share of a histogram's observations that lie above one of its buckets."""
    return f"1 - {rate(f'{metric}_bucket', by, le=le)} / ({rate(f'{metric}_count', by)} > 0)"


def recorded(name: str) -> str:
    """What a recording rule keeps for each model."""
    return f'{name}{{model=~"$model"}}'
