"""What each stage costs, and how busy the cores are meanwhile.

Two views. `pipeline --stages` runs everything before the database on one thread and gives nanoseconds a row of each stage. A
first load of the larger market into SQLite, alone, is sampled while it runs: its debug log says when each phase began and
ended, and /proc how much processor time passed in it.
"""

import os
import shutil
import subprocess
import threading
import time
from datetime import datetime

from process import Failed, spawn, tail
from tidegate import environment, log_lines, without_settings

SAMPLE_SECONDS = 0.02
MARKET = "Market 1 Orders.csv"


def run_stages(programs, exports, work):
    """Returns lines of text: the stages, then the phases."""
    exports.drop("first")
    file = exports.inbox / MARKET
    lines = ["", "Stages before the database, one thread, orders of the larger market:", "", "```"]
    lines += subprocess.run([programs.pipeline, "--stages", str(file)], capture_output=True, text=True, check=True,
                            env=without_settings()).stdout.splitlines()
    return [*lines, "```", *phases(programs, file, work)]


def phases(programs, file, work):
    """A first load of one file, phase by phase."""
    folder = work / "stages"
    folder.mkdir()
    try:
        log = folder / "log"
        samples, started = load(programs, file, folder, log)
        return table(log_lines(log), samples, started)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def load(programs, file, folder, log):
    """Syncs the file and samples its processor time; returns the samples, and when it started."""
    command = [programs.tidegate, "--state-dir", str(folder / "state"), "sync", str(file)]
    samples = [(time.time(), 0.0)]
    with open(log, "wb") as output:
        child = spawn(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL,
                      env=environment(f"sqlite://{folder}/stages.db", "debug"))
        done = threading.Event()
        sampler = threading.Thread(target=sample, args=(child.pid, samples, done))
        sampler.start()
        # The child stays a zombie, with its times, until the sampler has ended.
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        done.set()
        sampler.join()
    if child.wait() != 0:
        raise Failed(f"the load ended with {child.returncode}:\n{tail(log)}")
    return samples, samples[0][0]


def sample(pid, samples, done):
    """Notes the processor time of a process until it ends."""
    ticks = os.sysconf("SC_CLK_TCK")
    while not done.wait(SAMPLE_SECONDS):
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            fields = file.read().rpartition(")")[2].split()
        samples.append((time.time(), (int(fields[11]) + int(fields[12])) / ticks))


def table(lines, samples, started):
    """The phases as a markdown table."""
    looked = one(lines, "file looked at")
    indexed = one(lines, "indexes are there")
    synced = one(lines, "file synced")
    chunks = [line for line in lines if line.get("message") == "chunk committed"]
    marts = [line for line in lines if line.get("message") in ("mart computed ahead", "mart refreshed")]
    rows = chunks[-1]["rows"]
    ends = [
        ("start, hash the file", moment(looked) - looked["looked_ms"] / 1000),
        ("look at it", moment(looked)),
        ("read, clean and write rows", moment(indexed) - indexed["elapsed_ms"] / 1000),
        ("make indexes", moment(indexed)),
        ("refresh marts, two at a time", max(moment(mart) for mart in marts)),
        ("finish", max(moment(synced), samples[-1][0])),
    ]
    text = ["", f"A first load of that file alone, {rows:,} rows, phase by phase:", "",
            "| phase | seconds | ns a row | cores busy |", "|---|--:|--:|--:|"]
    begin = started
    for phase, end in ends:
        seconds = max(end - begin, 1e-9)
        busy = (processor_time(samples, end) - processor_time(samples, begin)) / seconds
        text.append(f"| {phase} | {seconds:.2f} | {seconds / rows * 1e9:,.0f} | {busy:.2f} |")
        begin = end
    compare, commit = (sum(chunk[field] for chunk in chunks) for field in ("compare_ms", "commit_ms"))
    text.append("")
    text.append(f"Of writing rows, {compare / 1000:.2f} s went into comparing and {commit / 1000:.2f} s into {len(chunks)} commits.")
    seconds = {}
    for mart in marts:
        seconds[mart["mart"]] = seconds.get(mart["mart"], 0) + mart["elapsed_ms"] / 1000
    text.append("Of refreshing, " + ", ".join(f"{mart} took {taken:.2f} s" for mart, taken in sorted(seconds.items())) + ".")
    return text


def one(lines, message):
    """The only line with a message."""
    (line,) = [line for line in lines if line.get("message") == message]
    return line


def moment(line):
    """When a line was logged."""
    return datetime.fromisoformat(line["timestamp"]).timestamp()


def processor_time(samples, when):
    """Processor seconds used until a moment, between the two nearest samples."""
    earlier = max((sample for sample in samples if sample[0] <= when), default=samples[0])
    later = min((sample for sample in samples if sample[0] >= when), default=samples[-1])
    if later[0] == earlier[0]:
        return earlier[1]
    return earlier[1] + (later[1] - earlier[1]) * (when - earlier[0]) / (later[0] - earlier[0])
