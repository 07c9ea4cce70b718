//! Failover: a server that answers and does no work makes the daemon not ready, is waited for, and
//! is said to be so.

use crate::exports::{Market, SMALL_CHUNKS, Version, assert_same, everything};
use crate::sandbox::{Daemon, Engine, Report, Sandbox, wait_for};
use crate::servers::Server;

const SETTLED_SOON: (&str, &str) = ("TIDEGATE_SETTLE_SCAN_MS", "100");

fn database_of(sandbox: &Sandbox) -> &str {
    sandbox.url.rsplit('/').next().expect("a split has a last part")
}

/// Ends every session of the tests' user, as a failover does.
fn end_sessions(sandbox: &Sandbox, server: &Server) {
    if sandbox.engine == Engine::Postgres {
        server.administer("SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'tidegate'");
    }
}

fn set_read_only(sandbox: &Sandbox, server: &Server, is_read_only: bool) {
    match sandbox.engine {
        Engine::Postgres => {
            let value = if is_read_only { "on" } else { "off" };
            let database = database_of(sandbox);
            server.administer(&format!(
                "ALTER DATABASE {database} SET default_transaction_read_only = {value}"
            ));
        }
        _ => {
            server.administer(&format!("SET GLOBAL read_only = {}", u8::from(is_read_only)));
        }
    }
    end_sessions(sandbox, server);
}

fn wait_until_not_ready(daemon: &Daemon, reason: &str) {
    wait_for(reason, || {
        daemon
            .get("/readyz")
            .is_some_and(|(status, body)| status == 503 && body.to_lowercase().contains(reason))
    });
}

fn check(sandbox: &Sandbox) -> (i32, String) {
    let output = sandbox.command(&["check"]).env("TIDEGATE_DATABASE_WAIT_MS", "500").output();
    let output = output.expect("the built program starts");
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&output.stdout).into_owned())
}

server_scenario!(a_server_that_takes_no_writes_is_not_ready_and_is_waited_for);
fn a_server_that_takes_no_writes_is_not_ready_and_is_waited_for(
    server: &Server,
    sandbox: &Sandbox,
) {
    let market = Market::new("1");
    let daemon = sandbox.start_daemon(&[SMALL_CHUNKS, SETTLED_SOON]);
    daemon.wait_until_ready();
    assert_eq!(check(sandbox).0, 0, "{}", check(sandbox).1);
    set_read_only(sandbox, server, true);
    wait_until_not_ready(&daemon, "read");
    market.drop_version(sandbox, Version::First);
    let why = "the server takes no writes, as";
    wait_for(why, || {
        daemon.log().contains("waiting for the database") && daemon.log().contains(why)
    });
    let (exit, said) = check(sandbox);
    assert!(exit == 3 && said.contains("fault  database"), "{exit} {said}");
    set_read_only(sandbox, server, false);
    daemon.wait_until_ready();
    let synced = "SELECT id FROM tidegate_files WHERE state = 'synced'";
    wait_for("every file to be synced", || {
        sandbox.try_rows(synced).is_ok_and(|files| files.len() == 3)
    });
    let clean = sandbox.sibling();
    market.drop_version(&clean, Version::First);
    assert_eq!(market.sync(&clean, "").exit, 0);
    assert_same(&everything(sandbox), &everything(&clean), "after a failover");
}

server_scenario!(a_right_that_was_taken_away_makes_the_daemon_not_ready);
fn a_right_that_was_taken_away_makes_the_daemon_not_ready(server: &Server, sandbox: &Sandbox) {
    let daemon = sandbox.start_daemon(&[SETTLED_SOON]);
    daemon.wait_until_ready();
    let database = database_of(sandbox);
    let (take, give) = match sandbox.engine {
        Engine::Postgres => {
            let tables = "ALL ON tidegate_files, tidegate_lease";
            (format!("REVOKE {tables} FROM tidegate"), format!("GRANT {tables} TO tidegate"))
        }
        // Rights on a database are looked up when a session begins.
        _ => (
            format!("REVOKE UPDATE ON {database}.* FROM tidegate"),
            format!("GRANT UPDATE ON {database}.* TO tidegate"),
        ),
    };
    let change = |sql: &str| match sandbox.engine {
        Engine::Postgres => sandbox.execute(sql),
        _ => {
            server.administer(sql);
        }
    };
    change(&take);
    if sandbox.engine == Engine::Postgres {
        wait_until_not_ready(&daemon, "permission denied");
    }
    let (exit, said) = check(sandbox);
    assert!(
        exit == 2 && said.contains("fault  database") && said.contains("denied"),
        "{exit} {said}"
    );
    change(&give);
    daemon.wait_until_ready();
    assert_eq!(check(sandbox).0, 0, "{}", check(sandbox).1);
}

server_scenario!(a_server_with_too_many_connections_is_waited_for);
fn a_server_with_too_many_connections_is_waited_for(server: &Server, sandbox: &Sandbox) {
    let market = Market::new("1");
    market.drop_version(sandbox, Version::First);
    let (take, give) = match sandbox.engine {
        Engine::Postgres => {
            ("ALTER ROLE tidegate CONNECTION LIMIT 0", "ALTER ROLE tidegate CONNECTION LIMIT -1")
        }
        _ => (
            "ALTER USER tidegate WITH MAX_USER_CONNECTIONS 1",
            "ALTER USER tidegate WITH MAX_USER_CONNECTIONS 0",
        ),
    };
    let lock =
        (sandbox.engine == Engine::Mariadb).then(|| sandbox.lock("CREATE TABLE held (id int)"));
    server.administer(take);
    let impatient =
        sandbox.sync_with(&[("TIDEGATE_DATABASE_WAIT_MS", "500"), ("TIDEGATE_LOG_LEVEL", "warn")]);
    server.administer(give);
    assert_eq!(impatient.exit, 3, "{}", impatient.stderr);
    assert!(impatient.stderr.contains("too many connections"), "{}", impatient.stderr);
    drop(lock);
    let report: Report = market.sync(sandbox, "");
    assert_eq!(report.exit, 0, "{}", report.stderr);
}
