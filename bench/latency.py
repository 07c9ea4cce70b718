"""How soon a small drop is visible: the daemon over a loaded SQLite database, deltas of about 1,000 rows.

Every second drop holds new orders, the others change stored ones. A drop is written in place and closed; time runs
from there until a reader, asking every 2 ms, sees the drop's first and last order, and until the ledger says
`synced`, which is when the marts are exact. The settle time, which the daemon waits on purpose, is subtracted.
"""

import csv
import shutil
import signal
import sqlite3
import subprocess
import time
import urllib.request

from process import Failed, spawn, tail
from servers import free_port
from tidegate import environment, sync

DELTA_ROWS = 1000
POLL_SECONDS = 0.002
SETTLE_SECONDS = 0.2
SECONDS_MAX = 30
NEW_ID_OFFSET = 10**12


def run_latency(programs, exports, work, drops):
    """Returns two lists of seconds, one entry a drop: until rows were visible, until marts were exact."""
    folder = work / "latency"
    folder.mkdir()
    database = folder / "latency.db"
    state_dir = folder / "state"
    inbox = folder / "inbox"
    inbox.mkdir()
    config = folder / "tidegate.toml"
    config.write_text('[datasets.orders]\nkind = "delta"\n')
    url = f"sqlite://{database}"
    try:
        exports.drop("first")
        sync(programs.tidegate, exports.inbox, url, state_dir, folder / "load.log")
        header, orders = whole_orders(exports.folder / "first" / "Market 1 Orders.csv", DELTA_ROWS * drops)
        log = folder / "daemon.log"
        address = f"127.0.0.1:{free_port()}"
        command = [programs.tidegate, "--config", str(config), "--state-dir", str(state_dir), "run", str(inbox),
                   "--listen", address]
        with open(log, "wb") as output:
            daemon = spawn(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, env=environment(url))
        try:
            wait_until_ready(daemon, address, log)
            reader = sqlite3.connect(f"file:{database}?mode=ro", uri=True, isolation_level=None)
            return measure_drops(reader, inbox / "Market 1 Orders.csv", header, orders, drops, log)
        finally:
            daemon.send_signal(signal.SIGTERM)
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def measure_drops(reader, path, header, orders, drops, log):
    """Writes one drop after the other and times each."""
    visible, exact = [], []
    remaining = iter(orders.items())
    for number in range(drops):
        rows = []
        while len(rows) < DELTA_ROWS:
            order = next(remaining, None)
            if order is None:  # few lines: from the start again
                remaining = iter(orders.items())
                order = next(remaining)
            rows += order[1]
        visible_after, exact_after = drop(reader, path, header, rows, number, log)
        visible.append(max(0.0, visible_after - SETTLE_SECONDS))
        exact.append(max(0.0, exact_after - SETTLE_SECONDS))
        time.sleep(0.1 + number % 7 * 0.03)  # not in step with the daemon's own intervals
    return visible, exact


def drop(reader, path, header, rows, number, log):
    """Writes one drop; returns seconds until its rows are visible and until its file is synced."""
    marker = f"drop {number}"
    id_at, text_at = header.index("Order ID"), header.index("Description")
    offset = NEW_ID_OFFSET * (number + 1) if number % 2 else 0
    rows = [list(row) for row in rows]
    for row in rows:
        row[id_at] = str(int(row[id_at]) + offset)
        row[text_at] = marker
    ends = (rows[0][id_at], rows[-1][id_at])
    (latest,) = reader.execute("SELECT coalesce(max(id), 0) FROM tidegate_files").fetchone()
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    written = time.monotonic()
    visible = None
    while True:
        if visible is None:
            seen = reader.execute(
                "SELECT count(*) FROM orders WHERE market = '1' AND order_id IN (?, ?) AND description = ?",
                (*ends, marker),
            ).fetchone()
            if seen[0] == len(set(ends)):
                visible = time.monotonic() - written
        else:
            state = reader.execute("SELECT state FROM tidegate_files WHERE id > ? ORDER BY id DESC", (latest,)).fetchone()
            if state and state[0] == "synced":
                return visible, time.monotonic() - written
        if time.monotonic() - written > SECONDS_MAX:
            raise Failed(f"{marker} is not synced after {SECONDS_MAX} s:\n{tail(log)}")
        time.sleep(POLL_SECONDS)


def whole_orders(path, rows_max):
    """The header, and rows by order id, of orders that stand together and are free of dirt."""
    orders, count = {}, 0
    with open(path, newline="", encoding="utf-8") as file:
        reader = csv.reader(file)
        header = next(reader)
        id_at = header.index("Order ID")
        for row in reader:
            if len(row) == len(header) and row[id_at].isdigit():
                orders.setdefault(row[id_at], []).append(row)
                count += 1
                if count > rows_max:
                    break
    return header, orders


def wait_until_ready(daemon, address, log):
    """Waits until the database answers the daemon and its watcher lives."""
    deadline = time.monotonic() + SECONDS_MAX
    while daemon.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://{address}/readyz", timeout=1):
                return
        except OSError:  # not listening yet, or 503
            time.sleep(0.05)
    raise Failed(f"the daemon does not get ready:\n{tail(log)}")
