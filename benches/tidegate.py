"""Runs `tidegate sync` and reads what it logs about its files."""

import json
import os
from dataclasses import dataclass

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
    """Seconds until the rows of the last file were in, its marts and all others left out.

    The files of two markets are synced side by side: what their marts cost the whole run is by how much later its
    last file ended because of them.
    """
    if not files or any("marts_ms" not in file for file in files):
        return None
    end = max(file["elapsed_ms"] for file in files)
    end_of_rows = max(file["elapsed_ms"] - file["marts_ms"] for file in files)
    return seconds - (end - end_of_rows) / 1000


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


def environment(url):
    """For tidegate on this database, with its defaults."""
    return {**without_settings(), "TIDEGATE_DATABASE_URL": url, "TIDEGATE_LOG_LEVEL": "info", "TIDEGATE_LOG_FORMAT": "json"}


def without_settings():
    """This process's environment without settings for tidegate: the defaults are measured."""
    return {name: value for name, value in os.environ.items() if not name.startswith("TIDEGATE_")}
