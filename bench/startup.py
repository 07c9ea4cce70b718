"""How soon the daemon is ready over a large ledger and a large inbox in which nothing has changed.

A few files are synced; the ledger's lines for all others are copies of theirs, with the path, size, times and inode of each file, as
if each had been synced. None of them may be read again.
"""

import hashlib
import os
import shutil
import signal
import sqlite3
import subprocess
import time
import urllib.request

from process import Failed, spawn, tail
from servers import free_port
from tidegate import environment, sync

READY_SECONDS_MAX = 60
IDLE_SECONDS = 2


def run_startup(programs, work, files, starts):
    """Returns the seconds until `/readyz` said yes, one entry a start."""
    folder = work / "startup"
    folder.mkdir()
    try:
        inbox = folder / "inbox"
        database = folder / "startup.db"
        fill_inbox(inbox, files)
        first = sorted(inbox.iterdir())[0]
        url = f"sqlite://{database}"
        for name in (first.name, sorted(inbox.iterdir())[1].name):
            sync(programs.tidegate, inbox / name, url, folder / "state", folder / "sync.log")
        fill_ledger(database, inbox)
        return [start(programs, folder, inbox, database, url) for _ in range(starts)]
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def fill_inbox(inbox, files):
    """Makes small exports of a thousand markets, a file for each of some days."""
    inbox.mkdir()
    for number in range(files):
        market, day = number % 1000, number // 1000
        name = f"market-{market}-orders-{2000 + day // 336}-{day // 28 % 12 + 1:02}-{day % 28 + 1:02}.csv"
        (inbox / name).write_text(f"Order ID,SKU,Quantity,Order Total\n{number},A,1,{number}\n", encoding="utf-8")


def fill_ledger(database, inbox):
    """Gives each file that has none a line in the ledger, a copy of a synced one's."""
    connection = sqlite3.connect(database)
    names = [row[1] for row in connection.execute("PRAGMA table_info(tidegate_files)") if row[1] != "id"]
    known = {row[0] for row in connection.execute("SELECT path FROM tidegate_files")}
    synced = dict(zip(names, connection.execute(f"SELECT {', '.join(names)} FROM tidegate_files").fetchone()))
    if hashlib.sha256(synced["path"].encode()).hexdigest() != synced["path_key"]:
        raise Failed("path_key is not what this script thinks it is")
    insert = f"INSERT INTO tidegate_files ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})"
    for entry in os.scandir(inbox.resolve()):
        if entry.path in known:
            continue
        stat = entry.stat()
        own = {"path": entry.path, "path_key": hashlib.sha256(entry.path.encode()).hexdigest(), "size_bytes": stat.st_size,
               "modified_ns": stat.st_mtime_ns, "changed_ns": stat.st_ctime_ns, "inode": stat.st_ino,
               "market": entry.name.split("-")[1], "sha256": hashlib.sha256(entry.name.encode()).hexdigest()}
        connection.execute(insert, [own.get(name, synced[name]) for name in names])
    connection.commit()
    connection.close()


def start(programs, folder, inbox, database, url):
    """Starts the daemon once; seconds until it is ready."""
    log = folder / "daemon.log"
    address = f"127.0.0.1:{free_port()}"
    command = [programs.tidegate, "--state-dir", str(folder / "state"), "run", str(inbox), "--listen", address]
    lines = count_lines(database)
    started = time.monotonic()
    with open(log, "wb") as output:
        daemon = spawn(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL, env=environment(url))
    try:
        while not is_ready(address):
            if daemon.poll() is not None or time.monotonic() - started > READY_SECONDS_MAX:
                raise Failed(f"the daemon does not get ready:\n{tail(log)}")
            time.sleep(0.005)
        ready = time.monotonic() - started
        time.sleep(IDLE_SECONDS)
        if count_lines(database) != lines:
            raise Failed("files that had not changed got lines in the ledger")
        return ready
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait()


def is_ready(address):
    """Whether `/readyz` says yes."""
    try:
        with urllib.request.urlopen(f"http://{address}/readyz", timeout=1):
            return True
    except OSError:  # not listening yet, or 503
        return False


def count_lines(database):
    """Lines of the ledger, and the last one that began."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        return connection.execute("SELECT count(*), max(started_at) FROM tidegate_files").fetchone()
    finally:
        connection.close()
