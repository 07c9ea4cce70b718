"""The peer, polars + ADBC, in a virtual environment under the work folder."""

import subprocess
import sys
from pathlib import Path

from cycle import count_orders
from process import Failed, measure

PACKAGES = ["polars", "pyarrow", "adbc-driver-sqlite", "adbc-driver-postgresql"]
SCRIPT = Path(__file__).parent / "peers" / "polars_adbc.py"
DATABASES = ("sqlite", "postgres")
ORDERS_TOLERANCE = 0.01  # it has its own mind about dirty keys


class Peer:
    """The peer's Python."""

    def __init__(self, work, python=None):
        self.work = Path(work)
        self.python = python or self.install()

    def install(self):
        """Makes the environment; returns its Python."""
        folder = self.work / "venv"
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(folder / "bin/python"), "-m", "pip", "install", "--quiet",
                        "--disable-pip-version-check", *PACKAGES], check=True)
        return str(folder / "bin/python")

    def versions(self):
        """The versions of its packages."""
        code = "from importlib.metadata import version; import sys; print(', '.join(f'{p} {version(p)}' for p in sys.argv[1:]))"
        return subprocess.run([self.python, "-c", code, *PACKAGES], capture_output=True, text=True).stdout.strip()

    def run_cycle(self, database, exports, orders):
        """First load and the drop with 1 % changed and 1 % new, in a fresh database.

        Raises `Failed` when it did not store about as many orders as tidegate did.
        """
        database.fresh()
        taken = []
        for moment in ("first", "second"):
            exports.drop(moment)
            command = [self.python, str(SCRIPT), self.url(database), *map(str, exports.files())]
            taken.append(measure(command, self.work / "peer.log"))
        stored = count_orders(database)
        if abs(stored - orders) > ORDERS_TOLERANCE * orders:
            raise Failed(f"the peer stored {stored} orders, tidegate {orders}")
        return taken

    def url(self, database):
        """The current database's address, as ADBC wants it."""
        return str(database.current) if database.name == "sqlite" else database.url().replace("postgres:", "postgresql:")
