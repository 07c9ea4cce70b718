"""Private PostgreSQL and MariaDB servers: own folder, free loopback port, the programs' own defaults.

As in tests/suite/servers.rs, but with the default buffers and log sizes, because here they are measured. PostgreSQL
keeps fsync=on and MariaDB innodb_flush_log_at_trx_commit=1, which are their defaults; only the installation of the
data folder does without flushing.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from process import Failed, spawn, tail

READY_SECONDS_MAX = 30
STOP_SECONDS_MAX = 15
PASSWORD = "pw"
INSTALL = "apt-get install --no-install-recommends mariadb-server mariadb-client postgresql sqlite3"


class Missing(Exception):
    """A program or an account that this machine lacks."""


class Server:
    """One server. As a context manager, it is stopped and its folder removed at the end."""

    account = None
    stop_signal = signal.SIGTERM

    def __init__(self, folder):
        self.folder = Path(folder)
        self.port = free_port()
        self.child = None
        self.owner = {}
        if os.geteuid() == 0:
            try:
                account = pwd.getpwnam(self.account)
            except KeyError:
                raise Missing(f"the account `{self.account}` is missing. Install: {INSTALL}") from None
            self.owner = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}

    def __enter__(self):
        self.folder.mkdir(mode=0o700)
        if self.owner:
            os.chown(self.folder, self.owner["user"], self.owner["group"])
        try:
            self.install()
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self.child is not None:
            self.child.send_signal(self.stop_signal)
            try:
                self.child.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
            self.child = None
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self):
        """Starts the server and waits until it answers on its own socket."""
        log = self.folder / "server.log"
        with open(log, "wb") as output:
            self.child = spawn(
                self.serve(), self.stop_signal, stdout=output, stderr=output, stdin=subprocess.DEVNULL,
                start_new_session=True, **self.surroundings(),
            )
        deadline = time.monotonic() + READY_SECONDS_MAX
        while True:
            if self.child.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"{self.serve()[0]} does not answer:\n{tail(log)}")
            try:
                self.query("SELECT 1")
                return
            except Failed:
                time.sleep(0.05)

    def query(self, sql, database=None):
        """Runs SQL as administrator; returns what the client prints: a row a line, tabs between values."""
        done = subprocess.run(
            self.client(database), input=sql, capture_output=True, text=True, env=self.environment(),
        )
        if done.returncode != 0:
            raise Failed(f"{sql}: {done.stdout}{done.stderr}")
        return done.stdout.rstrip("\n")

    def run(self, command):
        """Runs a command of the installation as the server's account."""
        done = subprocess.run(command, capture_output=True, text=True, **self.surroundings())
        if done.returncode != 0:
            raise Failed(f"{command[0]}: {done.stdout}{done.stderr}")

    def surroundings(self):
        """Whom, where and in which environment the server's own programs run."""
        return {"cwd": self.folder, "env": self.environment(), **self.owner}

    def environment(self):
        """None of this machine's settings (`PGHOST`, a language)."""
        return {
            "PATH": program_path(), "LC_ALL": "C.UTF-8", "TMPDIR": str(self.folder),
            "PGPASSWORD": PASSWORD, "MYSQL_PWD": PASSWORD,
        }


class Postgres(Server):
    """A private PostgreSQL."""

    account = "postgres"
    stop_signal = signal.SIGQUIT  # its "immediate shutdown", which takes its connections' processes along

    def install(self):
        """Writes the data folder."""
        password = self.folder / "password"
        password.write_text(PASSWORD)
        if self.owner:
            os.chown(password, self.owner["user"], self.owner["group"])
        self.run([
            find("initdb"), f"--pgdata={self.folder}/data", "--username=admin", f"--pwfile={password}",
            "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync",
        ])

    def serve(self):
        """The command that runs the server."""
        return [
            find("postgres"), "-D", f"{self.folder}/data", "-k", str(self.folder), f"--port={self.port}",
            "--listen-addresses=127.0.0.1", "--timezone=UTC",
        ]

    def client(self, database=None):
        """The command of the client, as administrator."""
        return [
            find("psql"), "-XqAt", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-U", "admin",
            "-d", database or "postgres", "-h", str(self.folder), "-p", str(self.port),
        ]


class Mariadb(Server):
    """A private MariaDB."""

    account = "mysql"
    stop_signal = signal.SIGKILL

    def install(self):
        """Writes the data folder, and what the server runs at its start."""
        administrator = self.folder / "administrator.sql"
        administrator.write_text(
            f"CREATE USER IF NOT EXISTS admin@localhost IDENTIFIED BY '{PASSWORD}';\n"
            "GRANT ALL ON *.* TO admin@localhost WITH GRANT OPTION;\n"
        )
        self.run([
            find("mariadb-install-db"), "--no-defaults", f"--datadir={self.folder}/data", "--skip-test-db",
            "--innodb-flush-log-at-trx-commit=0",
        ])

    def serve(self):
        """The command that runs the server."""
        return [
            find("mariadbd"), "--no-defaults", f"--datadir={self.folder}/data", f"--socket={self.folder}/server.sock",
            f"--port={self.port}", "--bind-address=127.0.0.1", f"--init-file={self.folder}/administrator.sql",
            "--default-time-zone=+00:00", "--character-set-server=utf8mb4", "--local-infile=1", "--skip-name-resolve",
        ]

    def client(self, database=None):
        """The command of the client, as administrator."""
        return [
            find("mariadb"), "--no-defaults", "--batch", "--skip-column-names", "--local-infile=1", "--user=admin",
            "--default-character-set=utf8mb4", f"--socket={self.folder}/server.sock", *([database] if database else []),
        ]


def free_port():
    """A loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def find(program):
    """The path of a program."""
    found = shutil.which(program, path=program_path())
    if found is None:
        raise Missing(f"`{program}` is missing. Install: {INSTALL}")
    return found


def program_path():
    """`PATH`, Debian's newest PostgreSQL, and the folder of servers, which an ordinary user's `PATH` leaves out."""
    versions = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "initdb").exists()]
    newest = sorted(versions, key=lambda path: int(path.parent.name))[-1:]
    return os.pathsep.join([*map(str, newest), os.environ.get("PATH", ""), "/usr/sbin"])
