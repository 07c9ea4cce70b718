"""What a user would write instead: polars reads and splits, ADBC ingests into staging tables, SQL merges by key.

    polars_adbc.py SQLITE_FILE|postgresql://… FILE…

Looser than tidegate on purpose, as such scripts are: what is no number becomes NULL, shifted rows are not repaired,
nothing is kept of what was refused, lines that a newer export no longer has stay, a crash starts again from nothing,
money is a binary float, and the only metric is a total per customer, computed anew each time.
"""

import re
import sys

import polars as pl

LINE_COLUMNS = {
    "orders": [
        "category_name", "sku", "customization_group", "customization_option", "quantity", "unit_price", "cost_price",
        "total_cost_price", "total_price",
    ],
    "deliveries": ["task_details_qty", "task_details_amount"],
}
LINE_TABLES = {"orders": "order_items", "deliveries": "delivery_items"}
NUMBERS = [
    "quantity", "unit_price", "cost_price", "total_cost_price", "total_price", "order_total", "sub_total", "tax",
    "delivery_charge", "tip", "discount", "remaining_balance", "additional_charge", "taxable_amount", "distance_in_km",
    "ratings", "merchant_earning", "commission_amount", "order_preparation_time", "debt_amount",
    "redeemed_loyalty_points", "consumed_loyalty_points", "flat_discount", "outstanding_amount", "loyalty_points",
    "distance_m", "total_time_taken_min", "rating", "task_details_qty", "task_details_amount", "delivery_charges",
    "subtotal", "earning", "pricing",
]
TIMES = ["order_time", "pickup_time", "delivery_time", "created_at"]
IDS = {"customers": "customer_id", "orders": "order_id", "deliveries": "task_id"}
KEYS = {
    **{table: ["market", id] for table, id in IDS.items()},
    **{lines: ["market", IDS[table], "line_no"] for table, lines in LINE_TABLES.items()},
}
NULLS = ["", "-", "null", "NULL", "N/A", "n/a", "NaN", "None"]
TOTALS = """INSERT INTO customer_totals SELECT market, customer_id, currency_symbol, count(*), sum(order_total)
    FROM orders WHERE order_status <> 'CANCELLED' GROUP BY market, customer_id, currency_symbol"""


def read(table, path):
    """One export, all text, then numbers and times as they parse."""
    if path.endswith(".json"):
        frame = pl.read_json(path, infer_schema_length=None).cast(pl.String)
    else:
        frame = pl.read_csv(path, infer_schema=False, null_values=NULLS, truncate_ragged_lines=True, encoding="utf8-lossy")
    names = {name: re.sub("[^a-z0-9]+", "_", name.lower()).strip("_") for name in frame.columns}
    frame = frame.select(name for name in frame.columns if not name.startswith("_duplicated_") and names[name]).rename(
        {name: new for name, new in names.items() if new}, strict=False)
    market = re.search(r"(?i)market[ _-]*(\w+)", path)[1]
    number = lambda name: pl.col(name).str.replace_all(r"[^0-9.\-]", "").cast(pl.Float64, strict=False)
    return frame.with_columns(
        pl.lit(market).alias("market"),
        *[number(name) for name in NUMBERS if name in frame.columns],
        *[pl.col(name).str.to_datetime("%+", time_unit="ms", time_zone="UTC", strict=False) for name in TIMES
          if name in frame.columns],
    ).filter(pl.col(IDS[table]).is_not_null())


def split(table, frame):
    """Records (their first row each), and their rows, numbered: of orders the distinct ones."""
    key = KEYS[table]
    if table not in LINE_TABLES:
        return {table: frame.unique(key, keep="last", maintain_order=True)}
    rows = frame.unique(maintain_order=True) if table == "orders" else frame
    records = rows.drop(LINE_COLUMNS[table]).unique(key, keep="first", maintain_order=True)
    line_no = pl.int_range(1, pl.len() + 1, dtype=pl.Int64).over(key).alias("line_no")
    return {table: records, LINE_TABLES[table]: rows.select(*key, line_no, *LINE_COLUMNS[table])}


def connect(address):
    """A connection, with the durability that tidegate has there."""
    if address.startswith("postgresql:"):
        import adbc_driver_postgresql.dbapi as driver

        return driver.connect(address)
    import adbc_driver_sqlite.dbapi as driver

    connection = driver.connect(address, autocommit=True)
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.fetchall()
        cursor.execute("PRAGMA synchronous = NORMAL")
    connection.adbc_connection.set_autocommit(False)
    return connection


def sql_type(dtype, is_postgres):
    """The column type of a polars type."""
    if dtype == pl.Float64:
        return "double precision" if is_postgres else "real"
    if dtype == pl.Int64:
        return "bigint" if is_postgres else "integer"
    return "timestamptz" if isinstance(dtype, pl.Datetime) and is_postgres else "text"


def merge(cursor, table, frame, is_postgres):
    """Ingests a frame into a staging table and merges it by key."""
    key, columns = ", ".join(KEYS[table]), ", ".join(frame.columns)
    types = ", ".join(f"{name} {sql_type(dtype, is_postgres)}" for name, dtype in frame.schema.items())
    cursor.execute(f"CREATE TABLE IF NOT EXISTS {table} ({types}, PRIMARY KEY ({key}))")
    cursor.adbc_ingest(f"staging_{table}", frame.to_arrow(), mode="create")
    sets = ", ".join(f"{name} = excluded.{name}" for name in frame.columns if name not in KEYS[table])
    cursor.execute(
        f"INSERT INTO {table} ({columns}) SELECT {columns} FROM staging_{table} WHERE true "
        f"ON CONFLICT ({key}) DO UPDATE SET {sets}"
    )
    cursor.execute(f"DROP TABLE staging_{table}")


def main(address, *paths):
    """Loads the files."""
    files = {table: [path for path in paths if table in path.rpartition("/")[2].lower()] for table in IDS}
    is_postgres = address.startswith("postgresql:")
    with connect(address) as connection:
        with connection.cursor() as cursor:
            for table in files:
                frame = pl.concat([read(table, path) for path in files[table]], how="diagonal")
                for name, rows in split(table, frame).items():
                    merge(cursor, name, rows, is_postgres)
            cursor.execute(
                "CREATE TABLE IF NOT EXISTS customer_totals "
                f"(market text, customer_id text, currency_symbol text, orders_count bigint, total_amount {sql_type(pl.Float64, is_postgres)})"
            )
            cursor.execute("DELETE FROM customer_totals")
            cursor.execute(TOTALS)
        connection.adbc_connection.commit()  # not `connection.commit()`: that does nothing after autocommit=True


if __name__ == "__main__":
    main(*sys.argv[1:])
