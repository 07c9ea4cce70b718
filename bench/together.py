"""A first load of customers, orders and deliveries at once, beside the same files one after the other."""

import shutil

from exports import Exports
from process import Taken, measure
from tidegate import environment, sync

ORDERS = 40_000
LINES_PER_ORDER = 3.4  # of the generator
RATIO_MAX = 1.2


def exports_of(programs, work):
    """The files: customers, orders and deliveries of about `ORDERS` orders."""
    return Exports(programs.generate, work, int(ORDERS * LINES_PER_ORDER))


def run_together(programs, database, exports, work):
    """Returns what all files took at once, and one after the other. Both databases are verified."""
    exports.drop("first")
    ends = [load(programs, database, work, paths) for paths in ([exports.inbox], exports.files())]
    return ends[0], ends[1]


def load(programs, database, work, paths):
    """Syncs each of the paths into a fresh database; returns what all of that took."""
    state_dir, log = work / "state", work / "together.log"
    shutil.rmtree(state_dir, ignore_errors=True)
    database.fresh()
    taken = [sync(programs.tidegate, path, database.url(), state_dir, log).taken for path in paths]
    measure([programs.tidegate, "--state-dir", str(state_dir), "verify"], log, env=environment(database.url()))
    return Taken(
        sum(one.seconds for one in taken), sum(one.cpu_seconds for one in taken), max(one.peak_mb for one in taken),
    )
