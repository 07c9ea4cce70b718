//! Passing: the one table of database errors that may be gone at the next attempt. It has the codes
//! that each database documents for its own state. Errors about a statement, a value or a right are
//! permanent, and are not in it.
//!
//! A passing error is waited out, and the log says `why`. docs/outages.md has the same table for
//! operators.

/// An error code, with the database that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coded<'a> {
    /// The error number of MySQL or MariaDB.
    Mysql(u16),
    /// SQLSTATE of PostgreSQL.
    Postgres(&'a str),
    /// The extended result code of SQLite.
    Sqlite(u32),
}

/// Codes of MySQL, MariaDB and Galera (mariadb.com/kb/en/mariadb-error-codes,
/// dev.mysql.com/doc/mysql-errors).
pub const MYSQL: [(u16, &str); 43] = [
    (3, "the server cannot write a temporary file"),
    (1020, "another transaction changed the row first"),
    (1021, "the server's disk is full"),
    (1026, "the server cannot write a file"),
    (1030, "the server's storage engine fails, as on a full disk"),
    (1037, "the server is out of memory"),
    (1038, "the server is out of memory for sorting"),
    (1040, "the server has too many connections"),
    (1041, "the server's machine is out of memory"),
    (1047, "the Galera node is not ready"),
    (1053, "the server is shutting down"),
    (1079, "the server is shutting down"),
    (1114, "the server's disk or tablespace is full"),
    (1135, "the server cannot start another thread"),
    (1152, "the connection was cut off"),
    (1156, "the connection was damaged"),
    (1158, "the connection failed"),
    (1159, "the connection was silent for too long"),
    (1160, "the connection failed"),
    (1161, "the connection was silent for too long"),
    (1180, "the cluster did not take the commit"),
    (1181, "the server failed while it rolled back"),
    (1184, "the connection was cut off"),
    (1203, "the user has too many connections"),
    (1205, "a lock was waited for longer than lock_wait_ms"),
    (1206, "the server has too many locks"),
    (1213, "a deadlock, or a conflict between nodes of a cluster"),
    (1226, "the user has too many connections, or has used up another quota"),
    (1290, "the server takes no writes, as during a failover"),
    (1317, "the statement was cancelled"),
    (1412, "a table was changed since the transaction began"),
    (1461, "the server has too many prepared statements"),
    (1637, "the server has too many transactions"),
    (1792, "the server takes no writes, as during a failover"),
    (1836, "the server takes no writes, as during a failover"),
    (1927, "the connection was killed"),
    (1969, "the statement took longer than statement_max_ms"),
    (3024, "the statement took longer than statement_max_ms"),
    (3100, "the cluster did not take the commit"),
    (3101, "the cluster rolled the transaction back"),
    (3168, "the server is not available"),
    (3169, "the connection was killed"),
    (4031, "the server closed a connection that was silent for too long"),
];

/// Codes and class prefixes of PostgreSQL (postgresql.org/docs/current/errcodes-appendix.html).
pub const POSTGRES: [(&str, &str); 16] = [
    ("08", "the connection failed"),
    ("25006", "the server takes no writes, as a standby or during a failover"),
    ("25P03", "the server ended a transaction in which nothing happened for too long"),
    ("25P04", "the server ended a transaction that took too long"),
    ("40", "a deadlock, or a conflict with another transaction"),
    ("53100", "the server's disk is full"),
    ("53200", "the server is out of memory"),
    ("53300", "the server has too many connections"),
    ("53", "the server is short of something"),
    ("55006", "something else is using the object"),
    ("55P03", "a lock was waited for longer than lock_wait_ms"),
    ("57014", "the statement was cancelled, or took longer than statement_max_ms"),
    ("57P03", "the server is starting, recovering or shutting down"),
    ("57P", "the server ended the connection: it is shutting down, or has crashed"),
    ("58", "the server's machine fails, as on a disk that cannot be read"),
    ("72000", "the snapshot is too old"),
];

/// Primary codes of SQLite; each covers its extended codes (sqlite.org/rescode.html).
pub const SQLITE: [(u32, &str); 9] = [
    (5, "another process has locked the database"),
    (6, "another connection has locked a table"),
    (7, "there is not enough memory"),
    (8, "the database cannot be written"),
    (10, "the disk fails or is full"),
    (13, "the disk is full"),
    (14, "the database cannot be opened"),
    (15, "other processes open the database at the same time"),
    (17, "the tables were changed meanwhile"),
];

/// Why an error is passing; `None` for a permanent one.
pub fn why(error: Coded<'_>) -> Option<&'static str> {
    match error {
        Coded::Mysql(number) => {
            MYSQL.iter().find(|(known, _)| *known == number).map(|(_, why)| *why)
        }
        Coded::Postgres(code) => {
            POSTGRES.iter().find(|(known, _)| code.starts_with(known)).map(|(_, why)| *why)
        }
        // The primary code is the low byte.
        Coded::Sqlite(code) => {
            SQLITE.iter().find(|(known, _)| *known == code & 0xff).map(|(_, why)| *why)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_passes_and_says_why() {
        for (number, why_mysql) in MYSQL {
            assert_eq!(why(Coded::Mysql(number)), Some(why_mysql));
        }
        for (code, _) in POSTGRES {
            let whole = format!("{code:0<5}");
            assert!(why(Coded::Postgres(&whole)).is_some_and(|why| !why.is_empty()), "{code}");
        }
        for (code, why_sqlite) in SQLITE {
            assert_eq!(why(Coded::Sqlite(code)), Some(why_sqlite));
        }
    }

    #[test]
    fn the_documentation_has_every_entry() {
        let text = include_str!("../../../docs/outages.md");
        let mysql = MYSQL.map(|(number, why)| (number.to_string(), why));
        let postgres = POSTGRES.map(|(code, why)| (code.to_owned(), why));
        let sqlite = SQLITE.map(|(code, why)| (code.to_string(), why));
        for (code, why) in mysql.into_iter().chain(postgres).chain(sqlite) {
            assert!(text.contains(&format!("| `{code}` | {why} |")), "{code} {why}");
        }
    }

    #[test]
    fn what_a_server_says_of_its_own_state_passes() {
        // A Galera node that is not ready, a deadlock, a lock, a failover, a shutdown, a kill.
        for number in [1047, 1213, 1205, 1290, 1836, 1053, 1927, 1040, 1180, 1969] {
            assert!(why(Coded::Mysql(number)).is_some(), "{number}");
        }
        let states = [
            "57P01", "57P02", "57P03", "57P05", "25006", "08006", "08P01", "40001", "40P01",
            "55P03", "53300",
        ];
        for code in states.into_iter().chain(["53100", "53400", "57014", "25P03", "58030"]) {
            assert!(why(Coded::Postgres(code)).is_some(), "{code}");
        }
        // SQLITE_BUSY_SNAPSHOT, SQLITE_LOCKED_SHAREDCACHE, SQLITE_READONLY_DIRECTORY,
        // SQLITE_READONLY_DBMOVED, SQLITE_IOERR_WRITE, SQLITE_IOERR_SHMSIZE, SQLITE_CANTOPEN_ISDIR.
        for code in [5, 517, 6, 262, 8, 1544, 1032, 10, 778, 4874, 13, 14, 526, 15] {
            assert!(why(Coded::Sqlite(code)).is_some(), "{code}");
        }
    }

    #[test]
    fn what_a_database_says_of_a_statement_a_value_or_a_right_stays() {
        // Access denied, no such table, no right, syntax, duplicate key, data too long, row too
        // large.
        for number in [1044, 1045, 1049, 1062, 1064, 1118, 1142, 1146, 1227, 1264, 1406] {
            assert_eq!(why(Coded::Mysql(number)), None, "{number}");
        }
        for code in [
            "22003", "23505", "28P01", "3D000", "42501", "42601", "42P01", "0A000", "XX001",
            "25001", "54000",
        ] {
            assert_eq!(why(Coded::Postgres(code)), None, "{code}");
        }
        // SQLITE_ERROR, SQLITE_PERM, SQLITE_CORRUPT, SQLITE_TOOBIG, SQLITE_CONSTRAINT_UNIQUE,
        // SQLITE_NOTADB.
        for code in [1, 3, 11, 18, 2067, 26] {
            assert_eq!(why(Coded::Sqlite(code)), None, "{code}");
        }
    }
}
