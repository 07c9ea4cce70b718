//! No secret is told: not in what a command prints or logs, not over HTTP, not in the ledger,
//! whatever form of URL it stands in and however wrong that is.

use crate::sandbox::{Engine, Sandbox, free_port, table, wait_for};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

/// Part of every secret here, which cannot be in an output by chance, plain and as it may be
/// written in a URL.
const TOLD: [&str; 3] = ["hunter", "h%75nter", "h\\u0075nter"];

/// Everything that a command prints.
fn printed(command: &mut Command) -> String {
    let output = command.output().expect("the built program starts");
    format!(
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn assert_untold(what: &str, said: &str) {
    let told = said.lines().find(|line| TOLD.iter().any(|part| line.to_lowercase().contains(part)));
    assert_eq!(told, None, "{what}");
}

/// URLs of databases that are not there, with a secret in each.
fn urls() -> Vec<String> {
    let port = free_port();
    let mut urls = Vec::new();
    for scheme in ["postgres", "postgresql", "mysql", "mariadb"] {
        for password in [
            "hunter2",
            "h%75nter2",
            "hunter%40%2F2",
            "hunter@2",
            "2@hunter",
            "hunter/2",
            "2/hunter",
            "hunter?2",
            "2?hunter",
            "hunter#2",
            "2#hunter",
            "hunter:2",
            "hunter%2",
            "hunter 2",
            "hunter\"2",
            "hunter'2",
            "hunter\\2",
            "hunter2&x=y",
        ] {
            urls.push(format!("{scheme}://u:{password}@127.0.0.1:{port}/x"));
        }
        for parameter in ["password", "sslpassword", "sslkey", "anything", "PASSWORD"] {
            urls.push(format!("{scheme}://u@127.0.0.1:{port}/x?{parameter}=hunter2"));
            urls.push(format!("{scheme}://u@127.0.0.1:{port}/x?a=b&{parameter}=h%75nter+2&c=d"));
        }
        urls.push(format!("{scheme}://u@127.0.0.1:{port}/x?hunter2"));
        urls.push(format!("{scheme}://u:hunter2@127.0.0.1:{port},127.0.0.1:1/x"));
        urls.push(format!("{scheme}://u:hunter2@127.0.0.1:port/x"));
        urls.push(format!("{scheme}://u:hunter2@[127.0.0.1/x"));
        urls.push(format!("{scheme}://u:hunter2@%2Fnowhere/x"));
        urls.push(format!("{scheme}:///x?host=/nowhere&socket=/nowhere&user=u&password=hunter2"));
        urls.push(format!("{scheme}:u:hunter2@x"));
    }
    urls.extend(
        ["sqlite:///nowhere/x.db?key=hunter2", "sqlite:///nowhere/x.db?hunter2"].map(str::to_owned),
    );
    urls.extend(["ftp://u:hunter2@x/y", "u:hunter2@x/y", "hunter2"].map(str::to_owned));
    urls
}

#[test]
fn no_form_of_url_is_told_by_a_command() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let formats = ["human", "json"].iter().cycle();
    for (url, format) in urls().iter().zip(formats) {
        let mut command = sandbox.command(&["check"]);
        command
            .env("TIDEGATE_DATABASE_WAIT_MS", "1")
            .env("TIDEGATE_LOG_LEVEL", "trace,tidegate=trace");
        command.env("TIDEGATE_LOG_FORMAT", format).env("RUST_BACKTRACE", "1");
        let said = printed(command.env("TIDEGATE_DATABASE_URL", url));
        assert!(said.contains("database"), "{url}: {said}");
        assert_untold(url, &said);
    }
}

#[test]
fn every_way_in_which_a_url_is_given_keeps_it() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let port = free_port();
    for url in [
        format!("postgres://u:hunter2@127.0.0.1:{port}/x?sslpassword=hunter2"),
        "mysql://u:2?hunter@x/y".to_owned(),
    ] {
        let file = sandbox.path("url");
        fs::write(&file, format!("{url}\n")).expect("a writable directory");
        let folder = sandbox.path("credentials");
        fs::create_dir_all(&folder).expect("a writable directory");
        fs::write(folder.join("database-url"), &url).expect("a writable directory");
        let config = sandbox.path("own.toml");
        fs::write(&config, format!("database_url = \"{url}\"\n")).expect("a writable directory");
        for format in ["human", "json"] {
            let bare = |arguments: &[&str]| {
                let mut command = sandbox.command(arguments);
                command.env_remove("TIDEGATE_DATABASE_URL").env("TIDEGATE_DATABASE_WAIT_MS", "1");
                command.env("TIDEGATE_LOG_FORMAT", format).env("TIDEGATE_LOG_LEVEL", "trace");
                command
            };
            for arguments in [
                &["check"][..],
                &["--json", "check"],
                &["sync", "inbox"],
                &["status"],
                &["plan", "inbox"],
            ] {
                assert_untold(
                    "a file",
                    &printed(bare(arguments).env("TIDEGATE_DATABASE_URL_FILE", &file)),
                );
                assert_untold(
                    "a credential",
                    &printed(bare(arguments).env("CREDENTIALS_DIRECTORY", &folder)),
                );
                assert_untold(
                    "a configuration",
                    &printed(bare(arguments).env("TIDEGATE_CONFIG", &config)),
                );
                assert_untold(
                    "an argument",
                    &printed(&mut bare(&[arguments, &["--database", &url]].concat())),
                );
            }
        }
    }
}

#[test]
fn a_mistake_beside_a_url_does_not_quote_it() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let config = sandbox.path("own.toml");
    for text in [
        "settle_ms = 1\ndatabase_url = \"mysql://u:hunter2@db/x\nmore = 1",
        "database_url = mysql://u:hunter2@db/x",
        "database_url = \"mysql://u:hunter2@db/x\" more",
        "database_url = \"mysql://u:hunter2@db/x\"\ndatabase_url = \"mysql://u:hunter2@db/x\"",
        "database_url = [\"mysql://u:hunter2@db/x\"]",
        "database_url = \"mysql://u:hunter\\2@db/x\"",
        "settle_ms = \"mysql://u:hunter2@db/x\"",
        "listen = \"mysql://u:hunter2@db/x\"",
        "after_sync = \"mysql://u:hunter2@db/x\"",
        "profiles = \"mysql://u:hunter2@db/x\"",
        "[datasets.orders]\nkind = \"mysql://u:hunter2@db/x\"",
    ] {
        fs::write(&config, text).expect("a writable directory");
        let mut command = sandbox.command(&["check"]);
        let said =
            printed(command.env_remove("TIDEGATE_DATABASE_URL").env("TIDEGATE_CONFIG", &config));
        assert!(said.contains("configuration: "), "{text}: {said}");
        assert_untold(text, &said);
    }
    let mut command = sandbox.command(&["check"]);
    let said = printed(
        command.env("TIDEGATE_DATABASE_URL", OsStr::from_bytes(b"mysql://u:hunter2\xff@x/y")),
    );
    assert!(said.contains("TIDEGATE_DATABASE_URL is no UTF-8"), "{said}");
    assert_untold("bytes that are no text", &said);
    for arguments in [
        &["mysql://u:hunter2@x/y"][..],
        &["check", "mysql://u:hunter2@x/y"],
        &["check", "--databse=mysql://u:hunter2@x/y"],
        &["check", "--database", "mysql://u:hunter2@x/y", "--database", "mysql://u:hunter2@x/y"],
    ] {
        let said = printed(&mut sandbox.command(arguments));
        assert!(said.contains("error: ") && said.contains("Usage: tidegate"), "{said}");
        assert_untold(&arguments.join(" "), &said);
    }
}

scenario!(what_a_panic_quotes_is_told_without_it: postgres);
fn what_a_panic_quotes_is_told_without_it(sandbox: &Sandbox) {
    sandbox.drop_file("Market 1 Orders.csv", &table(&["Order ID,SKU", "1,A"]));
    let url = format!("{}?sslpassword=hunter2", sandbox.url);
    for format in ["human", "json"] {
        let mut command = sandbox.command(&["sync", "inbox"]);
        command
            .env("FAILPOINTS", "before_commit=panic(it was hunter2)")
            .env("TIDEGATE_LOG_FORMAT", format);
        let said =
            printed(command.env("TIDEGATE_DATABASE_URL", &url).env("TIDEGATE_LOG_LEVEL", "info"));
        assert!(said.matches("it was ***").count() >= 2, "in the log and in the report: {said}");
        assert_untold("a panic", &said);
    }
    let ledger = sandbox.rows("SELECT state, error FROM tidegate_files").join("\n");
    assert!(ledger.contains("failed|") && ledger.contains("it was ***"), "{ledger}");
    assert_untold("the ledger", &ledger);
}

scenario!(what_a_driver_warns_of_is_told_without_its_value);
fn what_a_driver_warns_of_is_told_without_its_value(sandbox: &Sandbox) {
    if sandbox.engine == Engine::Sqlite {
        return;
    }
    sandbox.drop_file("Market 1 Orders.csv", &table(&["Order ID,SKU", "1,A", "2"]));
    let separator = if sandbox.url.contains('?') { '&' } else { '?' };
    let url = format!("{}{separator}sslpassword=h%75nter2", sandbox.url);
    for format in ["human", "json"] {
        let environment = [
            ("TIDEGATE_DATABASE_URL", url.as_str()),
            ("TIDEGATE_LOG_FORMAT", format),
            ("TIDEGATE_SETTLE_SCAN_MS", "1"),
        ];
        let mut daemon = sandbox.start_daemon(&environment);
        daemon.wait_until_ready();
        wait_for("the file", || {
            sandbox.rows("SELECT COUNT(*) FROM tidegate_files WHERE finished_at IS NOT NULL")
                == ["1"]
        });
        for path in ["/healthz", "/readyz", "/metrics", "/api/status", "/"] {
            assert_untold(path, &daemon.get(path).expect("the daemon listens").1);
        }
        daemon.terminate();
        // That the driver warns shows that there was something to conceal.
        let is_warned = daemon.log().contains("ignoring unrecognized connect parameter");
        assert_eq!(is_warned, sandbox.engine == Engine::Postgres, "{}", daemon.log());
        assert_untold("the log", &daemon.log());
    }
    for ledger in ["files", "rejects", "lease", "schema_changes", "definitions"] {
        assert_untold(
            ledger,
            &sandbox.rows(&format!("SELECT * FROM tidegate_{ledger}")).join("\n"),
        );
    }
}
