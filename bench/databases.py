"""The three databases: an empty one for each run, questions to it, and its own loader as the floor.

The floor loads the rows that tidegate stored, already split and clean, from CSV files into tables of just the
columns that come from the export (no `_row_hash`, `_file_id`, `_rescued`), with the same types and primary keys, no
other index, no marts, the same durability, in a fresh database. Rows come in the order in which the database hands
them out: SQLite's and PostgreSQL's is that of their insertion, MariaDB's that of the primary key.
"""

import os
import sqlite3
import subprocess
from pathlib import Path

import servers
from process import Failed, measure

TABLES = {
    "customers": "market, customer_id",
    "orders": "market, order_id",
    "order_items": "market, order_id, line_no",
    "deliveries": "market, task_id",
    "delivery_items": "market, task_id, line_no",
}


class Sqlite:
    """A file of its own for each run."""

    name = "sqlite"
    durability = "WAL, synchronous=NORMAL"

    def __init__(self, work):
        self.work = Path(work)
        self.count = 0
        self.current = None
        self.program = servers.find("sqlite3")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.discard()

    def fresh(self):
        """Makes way for a new empty database."""
        self.discard()
        self.count += 1
        self.current = self.work / f"database-{self.count}.db"

    def discard(self):
        """Removes the database of the last run."""
        if self.current is not None:
            remove_sqlite(self.current)

    def url(self):
        """The URL of the current database, for tidegate."""
        return f"sqlite://{self.current}"

    def query(self, sql):
        """Runs SQL in the current database; a row a line, tabs between values."""
        return ask_sqlite(self.current, sql)

    def version(self):
        """What the database is."""
        shell = subprocess.run([self.program, "--version"], capture_output=True, text=True).stdout.split()[0]
        return f"SQLite (its shell, the floor: {shell})"

    def floor(self):
        """What `sqlite3 .import` takes."""
        script = self.work / "floor.sql"
        target = self.work / "floor.db"
        remove_sqlite(target)
        lines = ["PRAGMA journal_mode = WAL;", "PRAGMA synchronous = NORMAL;"]
        for table, key in TABLES.items():
            rows = self.query(f"SELECT name, type FROM pragma_table_info('{table}') WHERE name NOT LIKE '\\_%' ESCAPE '\\'")
            columns = [row.split("\t") for row in rows.splitlines()]
            csv = self.work / f"floor-{table}.csv"
            names = ", ".join(f'"{name}"' for name, _ in columns)
            measure([self.program, "-csv", str(self.current), f".once {csv}", f"SELECT {names} FROM {table};"],
                    self.work / "export.log")
            lines.append(f"CREATE TABLE {table} (" + ", ".join(f'"{n}" {t}' for n, t in columns) + f", PRIMARY KEY ({key}));")
        lines += [f".import --csv {self.work}/floor-{table}.csv {table}" for table in TABLES]
        script.write_text("\n".join(lines) + "\n")
        taken = measure([self.program, "-bail", str(target), f".read {script}"], self.work / "floor.log")
        check_floor(self.query, lambda sql: ask_sqlite(target, sql))
        remove_sqlite(target)
        return taken


class OnServer:
    """What PostgreSQL and MariaDB share: a database of its own on the private server for each run."""

    def __init__(self, work):
        self.work = Path(work)
        self.server = self.server_class(self.work / self.name)
        self.count = 0
        self.current = None

    def __enter__(self):
        self.server.__enter__()
        self.server.query(self.create_user)
        return self

    def __exit__(self, *_):
        self.server.__exit__()

    def fresh(self):
        """Makes way for a new empty database."""
        self.discard()
        self.count += 1
        self.current = f"bench_{self.count}"
        self.server.query(self.create_database.format(name=self.current))

    def discard(self):
        """Drops the database of the last run."""
        if self.current is not None:
            self.server.query(f"DROP DATABASE {self.current}")
            self.current = None

    def url(self):
        """The URL of the current database, for tidegate."""
        return f"{self.scheme}://tidegate:pw@127.0.0.1:{self.server.port}/{self.current}"

    def query(self, sql):
        """Runs SQL in the current database; a row a line, tabs between values."""
        return self.server.query(sql, self.current)

    def version(self):
        """What the database is."""
        return self.title + self.server.query("SELECT version()").splitlines()[0].split(" on ")[0]

    def load(self, script):
        """Runs the client with a script in the floor's database and says what it took."""
        path = self.work / "floor.sql"
        path.write_text(script)
        try:
            with open(path, "rb") as script_file:
                taken = measure(self.server.client("floor"), self.work / "floor.log", stdin=script_file,
                                env=self.server.environment())
            check_floor(self.query, lambda sql: self.server.query(sql, "floor"))
            return taken
        finally:
            self.server.query("DROP DATABASE floor")


class Postgres(OnServer):
    """PostgreSQL."""

    name = "postgres"
    title = ""
    durability = "fsync=on, synchronous_commit=on"
    server_class = servers.Postgres
    scheme = "postgres"
    create_user = "CREATE ROLE tidegate LOGIN PASSWORD 'pw'"
    create_database = "CREATE DATABASE {name} OWNER tidegate"

    def floor(self):
        """What `\\copy` by psql takes."""
        self.server.query("CREATE DATABASE floor")
        script = ""
        for table, key in TABLES.items():
            columns = self.query(
                "SELECT quote_ident(attname), format_type(atttypid, atttypmod), "
                "CASE WHEN collname = 'default' OR collname IS NULL THEN '' ELSE 'COLLATE ' || quote_ident(collname) END "
                "FROM pg_attribute LEFT JOIN pg_collation c ON c.oid = attcollation "
                f"WHERE attrelid = '{table}'::regclass AND attnum > 0 AND NOT attisdropped AND attname NOT LIKE '\\_%' "
                "ORDER BY attnum"
            )
            columns = [row.split("\t") for row in columns.splitlines()]
            csv = self.work / f"floor-{table}.csv"
            names = ", ".join(name for name, *_ in columns)
            self.query(f"\\copy (SELECT {names} FROM {table}) TO '{csv}' CSV")
            types = ", ".join(" ".join(column) for column in columns)
            self.server.query(f"CREATE TABLE {table} ({types}, PRIMARY KEY ({key}))", "floor")
            script += f"\\copy {table} FROM '{csv}' CSV\n"
        return self.load(script)


class Mariadb(OnServer):
    """MariaDB."""

    name = "mariadb"
    title = "MariaDB "
    durability = "innodb_flush_log_at_trx_commit=1"
    server_class = servers.Mariadb
    scheme = "mysql"
    create_user = "CREATE USER tidegate IDENTIFIED BY 'pw'"
    create_database = "CREATE DATABASE {name}; GRANT ALL ON {name}.* TO tidegate"
    csv_format = "CHARACTER SET utf8mb4 FIELDS TERMINATED BY ',' OPTIONALLY ENCLOSED BY '\"'"

    def floor(self):
        """What `LOAD DATA LOCAL INFILE` by the client takes."""
        self.server.query("CREATE DATABASE floor")
        script = ""
        for table, key in TABLES.items():
            columns = self.query(
                "SELECT GROUP_CONCAT(CONCAT('`', column_name, '`') ORDER BY ordinal_position SEPARATOR ', ') "
                f"FROM information_schema.columns WHERE table_schema = '{self.current}' AND table_name = '{table}' "
                "AND column_name NOT LIKE '\\_%'"
            )
            csv = self.server.folder / f"floor-{table}.csv"
            csv.unlink(missing_ok=True)
            self.query(f"SELECT {columns} INTO OUTFILE '{csv}' {self.csv_format} FROM {table}")
            self.server.query(
                f"CREATE TABLE {table} AS SELECT {columns} FROM {self.current}.{table} LIMIT 0; "
                f"ALTER TABLE {table} ADD PRIMARY KEY ({key})", "floor"
            )
            script += f"LOAD DATA LOCAL INFILE '{csv}' INTO TABLE {table} {self.csv_format};\n"
        return self.load(script)


DATABASES = {database.name: database for database in (Sqlite, Postgres, Mariadb)}


def check_floor(query, query_floor):
    """Raises `Failed` unless the floor holds as many rows as tidegate stored: some loaders only warn."""
    for table in TABLES:
        count = f"SELECT count(*) FROM {table}"
        if query(count) != query_floor(count):
            raise Failed(f"the floor's {table} holds {query_floor(count)} rows of {query(count)}")


def ask_sqlite(path, sql):
    """Runs SQL in a SQLite database; a row a line, tabs between values."""
    connection = sqlite3.connect(path)
    try:
        return "\n".join("\t".join(map(str, row)) for row in connection.execute(sql))
    finally:
        connection.close()


def remove_sqlite(path):
    """Removes a SQLite database with what stands beside it."""
    for suffix in ("", "-wal", "-shm"):
        if os.path.exists(f"{path}{suffix}"):
            os.remove(f"{path}{suffix}")
