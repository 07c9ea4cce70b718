"""Runs `tidegate sync` and reads what it logs about its files."""

import json
import os
from dataclasses import dataclass
from datetime import datetime

from process import Taken, measure


@dataclass(frozen=True)
class Synced:
    """One `tidegate sync`. `without_marts` is None where tidegate does not log `marts_ms`."""

    taken: Taken
    without_marts: float | None
    counts: dict


def sync(binary, inbox, url, state_dir, log):
    """Syncs an inbox; raises `Failed` when a file was not synced."""
    taken = measure([binary, "--state-dir", str(state_dir), "sync", str(inbox)], log, env=environment(url))
    files = [line for line in log_lines(log) if line.get("message") == "file synced"]
    counts = {name: sum(file.get(name, 0) for file in files) for name in ("new", "modified", "deleted", "unchanged")}
    return Synced(taken, without_marts(taken.seconds, files), counts)


def without_marts(seconds, files):
    """Seconds without those in which marts were refreshed: meanwhile no other file's rows are written.

    Files are synced side by side, and their marts may overlap.
    """
    if not files or any("marts_ms" not in file for file in files):
        return None
    spans = []
    for file in files:
        end = datetime.fromisoformat(file["timestamp"]).timestamp()
        spans.append((end - file["marts_ms"] / 1000, end))
    refreshing, last_end = 0.0, 0.0
    for start, end in sorted(spans):
        refreshing += max(0.0, end - max(start, last_end))
        last_end = max(last_end, end)
    return seconds - refreshing


def log_lines(log):
    """The JSON lines of a log, between whatever else stands there."""
    lines = []
    with open(log, encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("{"):
                try:
                    lines.append(json.loads(line))
                except ValueError:
                    pass
    return lines


def environment(url, log_level="info"):
    """For tidegate on this database, with its defaults."""
    log = {"TIDEGATE_LOG_LEVEL": log_level, "TIDEGATE_LOG_FORMAT": "json"}
    return {**without_settings(), "TIDEGATE_DATABASE_URL": url, **log}


def without_settings():
    """This process's environment without settings for tidegate: the defaults are measured."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}
