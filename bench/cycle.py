"""One cycle on one database: first load, its floor, dropped again unchanged, its floor, dropped again changed."""

import shutil
from dataclasses import dataclass

from databases import TABLES
from process import Taken, measure
from tidegate import Synced, sync, without_settings


@dataclass(frozen=True)
class Cycle:
    """What one cycle took. A floor is None where it was not asked for, or cannot be measured."""

    load: Synced
    load_floor: Taken | None
    redrop: Synced
    redrop_floor: Taken | None
    changed: Synced
    rows_written: bool  # by the drop in which nothing had changed
    orders: int  # stored in the end


def run_cycle(programs, database, exports, work, with_floors=True):
    """Runs one cycle in a fresh database."""
    state_dir = work / "state"
    log = work / "tidegate.log"
    shutil.rmtree(state_dir, ignore_errors=True)
    database.fresh()
    step = lambda: sync(programs.tidegate, exports.inbox, database.url(), state_dir, log)

    exports.drop("first")
    load = step()
    load_floor = database.floor() if with_floors else None
    before = fingerprint(database)
    exports.touch()
    redrop_floor = None
    if with_floors and programs.pipeline is not None:
        redrop_floor = measure([programs.pipeline, *map(str, exports.files())], work / "pipeline.log",
                               env=without_settings())
    redrop = step()
    rows_written = fingerprint(database) != before
    exports.drop("second")
    changed = step()
    return Cycle(load, load_floor, redrop, redrop_floor, changed, rows_written, count_orders(database))


def count_orders(database):
    """Orders in the current database."""
    return int(database.query("SELECT count(*) FROM orders"))


def fingerprint(database):
    """Changes with every row that is written: each writing puts another `_file_id` into the row.

    PostgreSQL also says which transaction wrote a row, so there the marts are looked at too.
    """
    questions = [f"SELECT count(*), max(_file_id), sum(_file_id) FROM {table}" for table in TABLES]
    if database.name == "postgres":
        marts = ["customer_metrics", "product_metrics", "merchant_metrics", "agent_metrics", "daily_metrics"]
        questions += [f"SELECT count(*), sum(xmin::text::bigint) FROM {table}" for table in [*TABLES, *marts]]
    return [database.query(question) for question in questions]
