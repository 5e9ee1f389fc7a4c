"""The panels of the dashboard of the machine: engine, line, video and process, row by row.

What each metric means is in docs/metrics.md, what to do about it in docs/operations.md.
"""

from queries import (
    PROCESS,
    WINDOW,
    Panel,
    a_minute,
    chosen,
    gauge,
    mean,
    quantiles,
    rate,
    total,
)

# Those that came are without the lost ones, those that we send are with them.
SENT_PACKETS = (
    f"rate(omnilive_rtc_packets_total{chosen()}{WINDOW})"
    f" + rate(omnilive_rtc_packets_lost_total{chosen(direction='in')}{WINDOW})"
    f" or rate(omnilive_rtc_packets_total{chosen()}{WINDOW})"
)

MACHINE = {
    "Engine": (
        Panel(
            title="Engines that take conversations",
            unit="short",
            queries={"up": gauge("engine_up"), "deaths": gauge("engine_deaths_total")},
        ),
        Panel(
            title="Since the engine said anything",
            bounds=(5, 10),
            queries={"longest": f"max(omnilive_engine_silence_seconds{chosen()})"},
            help="It is asked every 2 s.",
        ),
        Panel(
            title="Replies under way",
            unit="short",
            stacked=True,
            queries={
                "running": gauge("num_requests_running"),
                "waiting": gauge("num_requests_waiting"),
            },
        ),
        Panel(
            title="Waiting for the first pass",
            queries=quantiles("request_queue_wait_seconds", 50, 95, 99),
        ),
        Panel(
            title="Time in each stage, of the engine's one loop",
            unit="percentunit",
            stacked=True,
            queries={"{{stage}}": rate("stage_busy_seconds_total", "stage")},
        ),
        Panel(
            title="Conversations in one pass (mean)",
            unit="short",
            queries={"{{stage}}": mean("stage_batch_size", "stage")},
        ),
        Panel(
            title="Conversations with a step waiting",
            unit="short",
            queries={"{{stage}}": gauge("stage_waiting", "stage")},
        ),
        Panel(
            title="Tokens a second",
            unit="short",
            queries={
                "read": rate("prompt_tokens_total"),
                "found in the cache": rate("prompt_tokens_cached_total"),
                "drawn by the {{stage}}": rate("generation_tokens_total", "stage"),
            },
        ),
        Panel(
            title="KV cache",
            unit="percentunit",
            bounds=(0.8, 0.95),
            queries={
                "{{stage}}": f"avg by (stage) (omnilive_kv_cache_usage_ratio{chosen()})",
                "fullest conversation": f"max(omnilive_context_fullest_ratio{chosen()})",
            },
        ),
        Panel(
            title="Put aside or thrown away, a minute",
            unit="short",
            stacked=True,
            queries={"{{reason}}": a_minute("preemptions_total", "reason")},
            help="Transcripts that waited for replies, ends of turns read too soon, full contexts.",
        ),
        Panel(
            title="Memory of engine and GPU",
            unit="bytes",
            queries={
                "{{__name__}}": total(
                    '{__name__=~"omnilive_engine_resident_memory_bytes'
                    '|omnilive_gpu_memory_(allocated|used|total)_bytes",' + chosen()[1:],
                    "__name__",
                )
            },
        ),
    ),
    "Media and line": (
        Panel(title="Round trip", queries=quantiles("rtc_rtt_seconds", 50, 95)),
        Panel(
            title="Jitter",
            queries=quantiles("rtc_jitter_seconds", 95, by="direction"),
        ),
        Panel(
            title="Packets lost",
            unit="percentunit",
            bounds=(0.02, 0.05),
            queries={
                "{{direction}}": rate("rtc_packets_lost_total", "direction")
                + f" / ({total(SENT_PACKETS, 'direction')} > 0)"
            },
        ),
        Panel(
            title="Held back by the jitter buffer (mean)",
            queries={
                "delay": rate("jitter_buffer_delay_seconds_total")
                + f" / ({rate('jitter_buffer_packets_total')} > 0)"
            },
        ),
        Panel(
            title="Packets too late, a minute",
            unit="short",
            queries={"packets": a_minute("rtc_packets_late_total")},
        ),
        Panel(title="Offer to connected", queries=quantiles("call_connect_seconds", 50, 95)),
    ),
    "Video": (
        Panel(
            title="Pictures a second",
            unit="short",
            width=12,
            queries={
                "received": rate("video_frames_received_total"),
                "kept": rate("video_frames_sampled_total"),
            },
        ),
        Panel(
            title="Kept pictures thrown away, a minute",
            unit="short",
            width=12,
            queries={"{{reason}}": a_minute("video_frames_dropped_total", "reason")},
        ),
    ),
    "Process": (
        Panel(
            title="How late the event loop turns",
            bounds=(0.05, 0.1),
            queries=quantiles("event_loop_lag_seconds", 50, 99),
        ),
        Panel(
            title="Cores in use",
            unit="short",
            queries={
                "gateway": f"sum(rate(process_cpu_seconds_total{{{PROCESS}}}{WINDOW}))",
                "engine": rate("engine_cpu_seconds_total"),
            },
        ),
        Panel(
            title="Memory",
            unit="bytes",
            queries={
                "gateway": f"sum(process_resident_memory_bytes{{{PROCESS}}})",
                "engine": gauge("engine_resident_memory_bytes"),
            },
        ),
        Panel(
            title="Open files of the gateway",
            unit="percentunit",
            width=12,
            bounds=(0.7, 0.9),
            queries={
                "of those it may have": f"max(process_open_fds{{{PROCESS}}}"
                f" / process_max_fds{{{PROCESS}}})"
            },
        ),
        Panel(
            title="Since its start",
            width=12,
            queries={
                "{{instance}}": "time() - max by (instance) "
                f"(process_start_time_seconds{{{PROCESS}}})"
            },
        ),
    ),
}
