//! The programs: how PostgreSQL and MariaDB are installed, run, asked and ended.

use super::folder::process_folder;
use super::process::missing;
use std::env;
use std::ffi::OsString;
use std::fs::{self, DirEntry};
use std::os::unix::fs::MetadataExt as _;

/// Everything in which the two programs differ. The commands are words; `Server::command` fills in
/// `$folder` and `$port`. Those that end by themselves run under `timeout`, far above their need.
/// In its foreground it ends them without their children, so that what an installer runs reads the
/// end of its input and leaves in order; killed, it would leave shared memory behind.
#[derive(Debug)]
pub struct Program {
    pub name: &'static str,
    /// Whom to run as instead of root, which PostgreSQL refuses: the Debian package's account.
    pub account: &'static str,
    /// A file that its commands read, and the text in it.
    pub file: (&'static str, &'static str),
    /// Writes the data folder.
    pub install: &'static str,
    /// Runs the server, without waiting for the disk: a killed one loses nothing that it wrote to
    /// its files, and if the machine stops, nobody uses them. What some versions lack is `loose`.
    pub serve: &'static str,
    /// Runs the SQL that follows, as administrator on the server's socket.
    pub client: &'static str,
    pub create_user: &'static str,
    pub create_database: &'static str,
    /// Removes it, whoever is still connected.
    pub drop_database: &'static str,
    pub url_scheme: &'static str,
    /// Ends the server at once, flushing nothing.
    pub stop_signal: libc::c_int,
}

pub static POSTGRES: Program = Program {
    name: "postgres",
    account: "postgres",
    file: ("password", "pw"),
    install: "timeout --foreground 60 initdb --pgdata=$folder/data
        --username=admin --pwfile=$folder/password --auth=scram-sha-256 --encoding=UTF8
        --locale=C.UTF-8 --no-sync",
    serve: "postgres -D $folder/data -k $folder --port=$port --listen-addresses=127.0.0.1
        --timezone=UTC --max-connections=200 --shared-buffers=32MB --fsync=off",
    client: "timeout --foreground 60 psql -XqAt -U admin -d postgres -h $folder -p $port -c",
    create_user: "CREATE ROLE tidegate LOGIN PASSWORD 'pw'",
    create_database: "CREATE DATABASE $name OWNER tidegate",
    drop_database: "DROP DATABASE IF EXISTS $name WITH (FORCE)",
    url_scheme: "postgres",
    // Its "immediate shutdown" takes the processes of its connections along. Killed outright, it
    // would leave them behind, and no successor starts beside them.
    stop_signal: libc::SIGQUIT,
};

pub static MARIADB: Program = Program {
    name: "mariadb",
    account: "mysql",
    // The server runs it at each start, before it answers.
    file: (
        "administrator.sql",
        "CREATE USER IF NOT EXISTS admin@localhost IDENTIFIED BY 'pw';
         GRANT ALL ON *.* TO admin@localhost WITH GRANT OPTION;",
    ),
    install: "timeout --foreground 60 mariadb-install-db --no-defaults --datadir=$folder/data
        --skip-test-db --innodb-log-file-size=16M --innodb-flush-log-at-trx-commit=0",
    serve: "mariadbd --no-defaults --datadir=$folder/data --socket=$folder/server.sock
        --port=$port --bind-address=127.0.0.1 --init-file=$folder/administrator.sql
        --default-time-zone=+00:00 --character-set-server=utf8mb4 --local-infile=1
        --skip-name-resolve --skip-log-bin --max-connections=200
        --innodb-buffer-pool-size=32M --innodb-log-file-size=16M
        --loose-debug-no-sync --loose-innodb-flush-method=nosync",
    client: "timeout --foreground 60 mariadb --no-defaults --batch --skip-column-names --user=admin
        --socket=$folder/server.sock -e",
    create_user: "CREATE USER tidegate IDENTIFIED BY 'pw'",
    create_database: "CREATE DATABASE $name; GRANT ALL ON $name.* TO tidegate",
    drop_database: "DROP DATABASE IF EXISTS $name",
    url_scheme: "mysql",
    stop_signal: libc::SIGKILL,
};

/// The account of a program when we are root: user and group.
pub fn account(program: &Program) -> Option<(u32, u32)> {
    let process_folder = fs::metadata(process_folder()).expect("it is there until exit");
    if process_folder.uid() != 0 {
        return None;
    }
    let accounts = fs::read_to_string("/etc/passwd").expect("every Linux has this file");
    let account = accounts.lines().find_map(|line| {
        let fields: Vec<&str> = line.split(':').collect();
        let ours = fields[0] == program.account;
        ours.then(|| Some((fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?)))?
    });
    account.or_else(|| missing(&format!("the account `{}`", program.account)))
}

/// Where programs are: Debian's newest PostgreSQL, `PATH`, and the folder of servers, which an
/// ordinary user's `PATH` leaves out.
pub fn program_path() -> OsString {
    let version = |entry: &DirEntry| entry.file_name().to_str()?.parse::<u32>().ok();
    let has_server = |entry: &DirEntry| entry.path().join("bin/initdb").exists();
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let newest = versions.flatten().filter(has_server).max_by_key(version);
    let newest = newest.map(|entry| entry.path().join("bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    let others = env::split_paths(&path).chain(["/usr/sbin".into()]);
    env::join_paths(newest.into_iter().chain(others)).expect("these came from paths")
}
