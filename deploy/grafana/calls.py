"""The panels of the dashboard of calls: what callers feel, row by row.

What each metric means is in docs/metrics.md, what to do about it in docs/operations.md.
"""

from queries import (
    WINDOW,
    Panel,
    a_minute,
    chosen,
    gauge,
    mean,
    more_than,
    quantiles,
    rate,
    recorded,
    total,
)

# The target that the share of quick turns is counted against: a bucket of omnilive_ttfa_seconds.
TARGET_S = 0.8

CALLS = {
    "Service level": (
        Panel(
            title="Open sessions",
            kind="stat",
            unit="short",
            width=4,
            queries={"{{transport}}": gauge("sessions_active", "transport")},
        ),
        Panel(
            title="First sound, last 5 minutes",
            kind="stat",
            width=4,
            bounds=(TARGET_S, 1.5),
            queries={
                "p50": recorded("model:omnilive_ttfa_seconds:p50_5m"),
                "p95": recorded("model:omnilive_ttfa_seconds:p95_5m"),
            },
            help="End of speech to the first audible sample.",
        ),
        Panel(
            title=f"Turns answered within {TARGET_S} s",
            kind="stat",
            unit="percentunit",
            width=4,
            bounds=(0.95, 0.8),
            queries={"turns": recorded("model:omnilive_ttfa_within_target:ratio_5m")},
        ),
        Panel(
            title="Replies that failed",
            kind="stat",
            unit="percentunit",
            width=4,
            bounds=(0.001, 0.01),
            queries={"replies": recorded("model:omnilive_responses_failed:ratio_5m")},
        ),
        Panel(
            title="Seats taken",
            kind="stat",
            unit="percentunit",
            width=4,
            bounds=(0.7, 0.9),
            queries={"seats": f"{gauge('sessions_active')} / {gauge('max_conversations')}"},
        ),
        Panel(
            title="Alerts",
            kind="stat",
            unit="short",
            width=4,
            bounds=(1, 2),
            queries={
                "firing": 'count(ALERTS{alertname=~"Omnilive.*",alertstate="firing"}) or vector(0)'
            },
        ),
    ),
    "What the caller feels": (
        Panel(
            title="End of speech to the first audible sample",
            bounds=(TARGET_S, 1.5),
            queries=quantiles("ttfa_seconds", 50, 90, 95, 99),
            width=12,
        ),
        Panel(
            title="The same by stage (mean)",
            queries={"{{stage}}": mean("ttfa_stage_seconds", "stage")},
            stacked=True,
            width=12,
            help="The stages of a turn add up to its time to the first audible sample.",
        ),
        Panel(
            title="The same, every turn",
            kind="heatmap",
            queries={
                "{{le}}": total(f"increase(omnilive_ttfa_seconds_bucket{chosen()}{WINDOW})", "le")
            },
        ),
        Panel(
            title="By turn detection and transport (p95)",
            queries=quantiles("ttfa_seconds", 95, by="turn_detection, transport"),
        ),
        Panel(
            title="By stage (p95)",
            queries=quantiles("ttfa_stage_seconds", 95, by="stage"),
        ),
        Panel(
            title="Asked for a reply to its first text",
            queries=quantiles("time_to_first_token_seconds", 50, 95),
        ),
        Panel(
            title="One text of a reply to the next",
            queries=quantiles("inter_token_latency_seconds", 50, 95),
        ),
        Panel(
            title="Asked for a reply to its first sound",
            queries=quantiles("audio_ttfp_seconds", 50, 95),
        ),
        Panel(
            title="Asked for a reply to its end",
            queries=quantiles("e2e_request_latency_seconds", 50, 95),
        ),
    ),
    "Turn taking": (
        Panel(
            title="End of speech to the end of the turn",
            queries=quantiles("vad_endpoint_delay_seconds", 50, 95, by="turn_detection"),
        ),
        Panel(
            title="Turns a minute",
            unit="short",
            stacked=True,
            queries={"{{turn_detection}}": a_minute("turns_total", "turn_detection")},
        ),
        Panel(
            title="Replies a minute, by their end",
            unit="short",
            stacked=True,
            queries={"{{status}}": a_minute("responses_total", "status")},
        ),
        Panel(
            title="Speech into a reply to its last sound",
            bounds=(0.3, 0.5),
            queries=quantiles("barge_in_seconds", 50, 95, by="transport"),
        ),
        Panel(
            title="Interruptions a minute",
            unit="short",
            queries={
                "all": a_minute("barge_ins_total"),
                "false: {{reason}}": a_minute("false_interruptions_total", "reason"),
            },
        ),
        Panel(
            title="Told to stop to the engine's last word",
            queries=quantiles("cancel_seconds", 50, 95),
        ),
    ),
    "Audio health": (
        Panel(
            title="Time the engine took, for each second of speech",
            unit="short",
            bounds=(0.9, 1.0),
            queries=quantiles("audio_rtf", 50, 95, 99),
        ),
        Panel(
            title="Spoken replies that ran dry",
            unit="percentunit",
            queries={
                "at all": more_than("0.0", "audio_underrun_seconds"),
                "for more than 0.1 s": more_than("0.1", "audio_underrun_seconds"),
            },
        ),
        Panel(
            title="Silence in a reply (mean)",
            queries={"{{transport}}": mean("audio_underrun_seconds", "transport")},
        ),
        Panel(
            title="How late our packets were made",
            queries=quantiles("pacing_lateness_seconds", 50, 99),
        ),
        Panel(
            title="Frames left out after a stall, a minute",
            unit="short",
            queries={"frames": a_minute("pacing_skipped_frames_total")},
        ),
        Panel(
            title="Seconds of speech made in a second",
            unit="short",
            queries={"speech": rate("speech_generated_seconds_total")},
        ),
    ),
    "Sessions": (
        Panel(
            title="Open sessions",
            unit="short",
            stacked=True,
            queries={"{{transport}}": gauge("sessions_active", "transport")},
        ),
        Panel(
            title="Sessions that ended, a minute",
            unit="short",
            stacked=True,
            queries={"{{reason}}": a_minute("sessions_ended_total", "reason")},
        ),
        Panel(
            title="Refused, a minute",
            unit="short",
            stacked=True,
            queries={"{{reason}}": a_minute("refusals_total", "reason")},
        ),
        Panel(
            title="Events that wait for their readers",
            unit="short",
            queries={
                "{{transport}}": gauge("send_queue_events", "transport"),
                "longest queue": f"max(omnilive_send_queue_longest_events{chosen()})",
            },
        ),
        Panel(
            title="Came back to a conversation, a minute",
            unit="short",
            stacked=True,
            queries={"{{outcome}}": a_minute("resumes_total", "outcome")},
        ),
        Panel(
            title="Length of a session",
            queries=quantiles("session_duration_seconds", 50, 95),
        ),
        Panel(
            title="Speech of a reply",
            queries=quantiles("audio_duration_seconds", 50, 95),
        ),
        Panel(
            title="Sessions begun, a minute",
            unit="short",
            stacked=True,
            queries={"{{transport}}": a_minute("sessions_total", "transport")},
        ),
    ),
}
