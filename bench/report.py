"""Medians, ratios, and the table in the end."""

import math
import os
import platform
import statistics
import subprocess
import time

HEADER = ["database", "step", "seconds", "floor or peer", "ratio", "CPU seconds", "peak MB", "remarks"]


class Report:
    """Rows of the table, in the order in which they come; `below` holds lines of text under it."""

    def __init__(self, heading):
        self.heading = heading
        self.rows = []
        self.below = []
        self.load_at_start = os.getloadavg()[0]

    def add(self, database, step, runs, against=None, remarks="", ratio_to=None):
        """A step. `runs` and `against` are `Taken`s or plain seconds, or None where nothing could be measured.

        The ratio is that of the two medians, to `against` or else to the runs `ratio_to`.
        """
        ratio = ""
        other = against if against is not None else ratio_to
        if runs and other:
            ratio = f"{median(runs) / median(other):.2f}"
        elif runs and against is not None:
            ratio = "n/a"
        whole = runs and hasattr(runs[0], "cpu_seconds")
        self.rows.append([
            database, step,
            spread(runs) if runs else "n/a",
            "" if against is None else spread(against) if against else "n/a",
            ratio,
            f"{statistics.median(run.cpu_seconds for run in runs):.2f}" if whole else "",
            f"{statistics.median(run.peak_mb for run in runs):.0f}" if whole else "",
            remarks,
        ])
        print("  " + " | ".join(self.rows[-1]), flush=True)

    def line(self, database, step, seconds, remarks="", **cells):
        """A row whose cells are text."""
        row = [database, step, seconds, cells.get("floor", ""), cells.get("ratio", ""), "", cells.get("peak", ""), remarks]
        self.rows.append(row)
        print("  " + " | ".join(row), flush=True)

    def markdown(self):
        """The report as markdown."""
        lines = [*self.heading, "", f"Load average {self.load_at_start:.2f} at the start, {os.getloadavg()[0]:.2f} at the end.", ""]
        lines += ["| " + " | ".join(HEADER) + " |", "|---|---|--:|--:|--:|--:|--:|---|"]
        lines += ["| " + " | ".join(row) + " |" for row in self.rows]
        lines += self.below
        return "\n".join(lines) + "\n"


def seconds_of(run):
    """The seconds of a `Taken`, or seconds."""
    return getattr(run, "seconds", run)


def median(runs):
    """The median of the runs' seconds."""
    return statistics.median(map(seconds_of, runs))


def spread(runs):
    """The median, and with several runs the fastest and the slowest."""
    seconds = sorted(map(seconds_of, runs))
    text = f"{statistics.median(seconds):.2f}"
    return text if len(seconds) == 1 else f"{text} ({seconds[0]:.2f}–{seconds[-1]:.2f})"


def percentile(values, percent):
    """The nearest-rank percentile."""
    values = sorted(values)
    return values[max(0, math.ceil(len(values) * percent / 100) - 1)]


def file_system(folder):
    """The type of the file system that holds a folder: on tmpfs, durability costs nothing."""
    done = subprocess.run(["stat", "--file-system", "--format=%T", str(folder)], capture_output=True, text=True)
    return done.stdout.strip() or "an unknown file system"


def machine():
    """When, on what, and at which commit."""
    model = "unknown processor"
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    with open("/proc/meminfo", encoding="utf-8") as file:
        memory = int(file.readline().split()[1]) / 2**20
    here = os.path.dirname(os.path.abspath(__file__))
    commit = subprocess.run(["git", "-C", here, "describe", "--always", "--dirty"], capture_output=True, text=True)
    when = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
    return (f"{when} UTC, {len(os.sched_getaffinity(0))} cores ({model}), {memory:.0f} GiB, Linux {platform.release()}, "
            f"commit {commit.stdout.strip() or 'unknown'}")
