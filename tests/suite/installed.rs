//! Installed: what the README's install commands make of a machine, and what the commands then see
//! of the service. The machine is a folder into which the commands install, and the program runs
//! with that folder as its root.

use crate::sandbox::table;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const ORDERS: &str = "Market 1 Orders.csv";

/// Units of systemd that the service is ordered by; without them there is nothing to check it
/// against.
const TARGETS: [&str; 7] =
    ["sysinit", "basic", "shutdown", "multi-user", "network-online", "network", "network-pre"];

/// Has the README's commands work on the folder `$ROOT`, as if it were the machine.
const REDIRECTIONS: &str = r#"
set -euo pipefail
install() {
    local arguments=("$@") last=$(($# - 1))
    arguments=("${arguments[@]/#target\/release\/tidegate/$PROGRAM}")
    arguments[last]="$ROOT${arguments[last]}"
    command install "${arguments[@]}"
}
systemd-sysusers() { command systemd-sysusers --root="$ROOT" "$@"; }
systemd-tmpfiles() { command systemd-tmpfiles --root="$ROOT" "$@"; }
systemctl() {
    case "$*" in
        daemon-reload) ;;
        "enable --now tidegate") command systemctl --root="$ROOT" enable tidegate ;;
        *) return 1 ;;
    esac
}
"#;

/// The block of shell commands below a paragraph of a Markdown file.
fn commands_below(text: &str, paragraph: &str) -> String {
    let (_, below) = text.split_once(paragraph).unwrap_or_else(|| panic!("{paragraph} is gone"));
    let (_, block) = below.split_once("```sh\n").expect("a block of commands");
    block.split_once("```").expect("the block has an end").0.to_owned()
}

fn readme_commands() -> String {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"))
        .expect("part of the project");
    commands_below(&readme, "**Install**")
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A folder as the machine that tidegate was installed on.
struct Machine {
    root: tempfile::TempDir,
}

impl Machine {
    /// As Debian 12 is before: `/etc` is there, and nothing of what packages may have in it.
    fn new() -> Self {
        let root = tempfile::tempdir().expect("a temporary directory");
        // Users other than root are to get in.
        fs::set_permissions(root.path(), Permissions::from_mode(0o755))
            .expect("a folder of our own");
        fs::create_dir(root.path().join("etc")).expect("a writable directory");
        let machine = Self { root };
        machine.bring(
            "systemd's targets",
            TARGETS.map(|name| format!("/usr/lib/systemd/system/{name}.target")),
        );
        machine
    }

    fn installed() -> Self {
        let machine = Self::new();
        machine.install(&readme_commands());
        machine.bring_libraries();
        machine
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path.trim_start_matches('/'))
    }

    fn install(&self, commands: &str) {
        let output = Command::new("bash")
            .args(["-c", &format!("{REDIRECTIONS}{commands}")])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("ROOT", self.root.path())
            .env("PROGRAM", env!("CARGO_BIN_EXE_tidegate"))
            .output()
            .expect("bash starts");
        assert!(output.status.success(), "{commands}\n{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Copies files of this machine to the same place.
    fn bring(&self, what: &str, paths: impl IntoIterator<Item = String>) {
        for path in paths {
            let target = self.path(&path);
            fs::create_dir_all(target.parent().expect("below the root"))
                .expect("a writable directory");
            fs::copy(&path, target).unwrap_or_else(|error| panic!("{what}: {path}: {error}"));
        }
    }

    /// What the program is linked to, and the one that starts it.
    fn bring_libraries(&self) {
        let output =
            Command::new("ldd").arg(env!("CARGO_BIN_EXE_tidegate")).output().expect("ldd starts");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let paths = said.split_whitespace().filter(|word| word.starts_with('/')).map(str::to_owned);
        self.bring("libraries", paths.chain(["/usr/bin/env".to_owned()]));
    }

    /// `tidegate ARGUMENTS` on the machine, as root, in an empty folder of its own.
    fn run(&self, arguments: &[&str]) -> Output {
        fs::create_dir_all(self.path("/root")).expect("a writable directory");
        self.enter("0:0", &["--chdir=/root"], arguments)
    }

    /// As systemd would start the service, but once: what lies in the inbox is synced as the
    /// service's user.
    fn sync_as_service(&self) -> Output {
        let (uid, gid) = self.service_user();
        let environment =
            ["STATE_DIRECTORY=/var/lib/tidegate", "CONFIGURATION_DIRECTORY=/etc/tidegate"];
        self.enter(&format!("{uid}:{gid}"), &environment, &["sync", "/var/lib/tidegate/inbox"])
    }

    /// `tidegate ARGUMENTS` as a user, with the machine's folder as its root, and without this
    /// process's environment.
    fn enter(&self, user: &str, environment: &[&str], arguments: &[&str]) -> Output {
        let mut command = Command::new("chroot");
        command
            .arg(format!("--userspec={user}"))
            .arg(self.root.path())
            .args(["/usr/bin/env", "-i"]);
        command.args(environment).arg("/usr/bin/tidegate").args(arguments);
        command.output().expect("chroot starts")
    }

    fn service_user(&self) -> (u32, u32) {
        let metadata = fs::metadata(self.path("/var/lib/tidegate")).expect("it is installed");
        (metadata.uid(), metadata.gid())
    }

    fn drop_file(&self, content: &str) {
        let path = self.path("/var/lib/tidegate/inbox").join(ORDERS);
        fs::write(&path, content).expect("a writable inbox");
        let (uid, gid) = self.service_user();
        chown(&path, Some(uid), Some(gid)).expect("root may give files away");
    }

    /// Owner, mode, times and content of everything below the state directory.
    fn tree(&self) -> BTreeMap<PathBuf, String> {
        tree(&self.path("/var/lib/tidegate"))
    }
}

/// Owner, mode and content of everything below a folder; of a SQLite database's shared memory,
/// which is no more than locks of those who look, only whether it is there.
pub fn tree(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let Ok(entries) = fs::read_dir(folder) else { return found };
    for entry in entries {
        let path = entry.expect("a readable folder").path();
        let metadata = fs::symlink_metadata(&path).expect("it is still there");
        let content = match metadata.is_file()
            && path.extension().is_none_or(|end| end != "db-shm" && end != "sqlite-shm")
        {
            true => format!("{:?}", fs::read(&path).expect("a readable file")),
            false => String::new(),
        };
        found.insert(
            path.clone(),
            format!("{}:{} {:o} {content}", metadata.uid(), metadata.gid(), metadata.mode()),
        );
        found.extend(tree(&path));
    }
    found
}

fn orders(ids: &[u32]) -> String {
    let rows: Vec<String> = ids.iter().map(|id| format!("{id},COMPLETED,30.5,KSh,7")).collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    table(&[&["Order ID,Order Status,Order Total,Currency Symbol,Customer ID"], &rows[..]].concat())
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", text(output)))
}

#[test]
fn the_readmes_commands_install_the_service_on_a_bare_machine() {
    if !is_root() {
        return eprintln!("not shown: only root may give folders to the service's user");
    }
    let machine = Machine::installed();
    let program =
        fs::metadata(machine.path("/usr/bin/tidegate")).expect("the program is installed");
    assert_eq!(program.mode() & 0o777, 0o755);
    let wanted = machine.path("/etc/systemd/system/multi-user.target.wants/tidegate.service");
    assert!(fs::symlink_metadata(wanted).is_ok(), "the service is enabled");
    let passwd = fs::read_to_string(machine.path("/etc/passwd")).expect("systemd-sysusers made it");
    assert!(passwd.lines().any(|line| line.starts_with("tidegate:")), "{passwd}");
    let (uid, _) = machine.service_user();
    assert_ne!(uid, 0);
    let inbox =
        fs::metadata(machine.path("/var/lib/tidegate/inbox")).expect("systemd-tmpfiles made it");
    assert_eq!(inbox.uid(), uid);
    // Group and group bit; the sticky bit: nobody deletes another's file.
    assert_eq!(inbox.mode() & 0o7777, 0o3770);

    let verified = Command::new("systemd-analyze")
        .args([
            "verify",
            "--man=no",
            &format!("--root={}", machine.root.path().display()),
            "tidegate.service",
        ])
        .output()
        .expect("systemd-analyze starts");
    assert!(verified.status.success(), "{}", text(&verified));
    assert!(!text(&verified).contains("tidegate"), "{}", text(&verified));
}

#[test]
fn the_unit_tells_the_same_commands_as_the_readme() {
    let unit = include_str!("../../systemd/tidegate.service");
    let of_unit: Vec<&str> = unit.lines().filter_map(|line| line.strip_prefix("#     ")).collect();
    for command in readme_commands().lines() {
        assert!(of_unit.contains(&command), "the unit's comment lacks {command}");
    }
    assert!(unit.contains("`archive_dir`"), "an archive elsewhere must be let in too");
}

#[test]
fn root_sees_the_services_database_and_leaves_nothing_that_blocks_it() {
    if !is_root() {
        return eprintln!("not shown: only root sees with the service's eyes");
    }
    let machine = Machine::installed();
    let before = machine.tree();
    let checked = machine.run(&["check"]);
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked));
    for said in [
        "ok     service        installed: embedded defaults, state /var/lib/tidegate",
        "its user tidegate",
        "ok     inbox",
    ] {
        assert!(text(&checked).contains(said), "{said}: {}", text(&checked));
    }
    assert!(text(&checked).contains("tidegate.db: it is not there yet"), "{}", text(&checked));
    for command in ["status", "verify", "rejects", "alarms"] {
        let looked = machine.run(&[command]);
        assert_eq!(looked.status.code(), Some(3), "{command}: {}", text(&looked));
        assert!(
            text(&looked).contains("there is no database at /var/lib/tidegate/tidegate.db"),
            "{}",
            text(&looked)
        );
    }
    assert_eq!(machine.run(&["approve", ORDERS]).status.code(), Some(3));
    assert_eq!(machine.tree(), before, "something was made");

    machine.drop_file(&orders(&[1, 2]));
    assert!(machine.sync_as_service().status.success());
    let before = machine.tree();
    for command in ["check", "status", "verify", "rejects", "alarms"] {
        let looked = machine.run(&[command]);
        assert_eq!(looked.status.code(), Some(0), "{command}: {}", text(&looked));
        assert!(text(&looked).contains("state /var/lib/tidegate"), "{command}: {}", text(&looked));
        let looked = json(&machine.run(&["--json", command]));
        assert_eq!(looked["service"]["state_dir"], "/var/lib/tidegate", "{command}: {looked}");
    }
    assert_eq!(json(&machine.run(&["--json", "status"]))["files"]["synced"], 1);
    let planned = json(&machine.run(&["--json", "plan", "/var/lib/tidegate/inbox"]));
    assert_eq!(planned["files"][0]["outcome"], "unchanged", "{planned}");
    assert_eq!(machine.tree(), before, "something was made or changed");
}

#[test]
fn an_approval_by_root_is_made_as_the_services_user() {
    if !is_root() {
        return eprintln!("not shown: only root sees with the service's eyes");
    }
    let machine = Machine::installed();
    fs::create_dir(machine.path("/etc/tidegate")).expect("a writable directory");
    let configuration = "[datasets.orders]\ndeletes = 'remove'\n";
    fs::write(machine.path("/etc/tidegate/tidegate.toml"), configuration)
        .expect("a writable directory");
    machine.drop_file(&orders(&[1, 2]));
    assert!(machine.sync_as_service().status.success());
    machine.drop_file(&orders(&[1]));
    let (uid, _) = machine.service_user();
    let held = machine.sync_as_service();
    assert_eq!(held.status.code(), Some(1), "{}", text(&held));
    let approved = machine.run(&["approve", ORDERS]);
    assert_eq!(approved.status.code(), Some(0), "{}", text(&approved));
    let said = "of the installed service: configuration /etc/tidegate/tidegate.toml, state /var/lib/tidegate";
    assert!(text(&approved).contains(said), "{}", text(&approved));
    let of_root = machine.tree().into_iter().filter(|(_, of)| !of.starts_with(&format!("{uid}:")));
    assert_eq!(of_root.collect::<Vec<_>>(), []);
}

#[test]
fn another_database_that_is_named_or_lies_here_wins_over_the_services() {
    if !is_root() {
        return eprintln!("not shown: only root may change the root directory");
    }
    let machine = Machine::installed();
    machine.drop_file(&orders(&[1]));
    assert!(machine.sync_as_service().status.success());
    for other in [["--state-dir", "/elsewhere"], ["--database", "sqlite:///elsewhere/x.db"]] {
        let looked = machine.run(&[&other[..], &["status"]].concat());
        assert_eq!(looked.status.code(), Some(3), "{other:?}: {}", text(&looked));
        assert!(text(&looked).contains("/elsewhere/"), "{other:?}: {}", text(&looked));
    }
    fs::create_dir_all(machine.path("/root/tidegate-state")).expect("a writable directory");
    let looked = machine.run(&["status"]);
    assert!(text(&looked).contains("/root/tidegate-state/tidegate.db"), "{}", text(&looked));
    // To name the service's own configuration is not to name another one.
    fs::create_dir(machine.path("/etc/tidegate")).expect("a writable directory");
    fs::write(machine.path("/etc/tidegate/tidegate.toml"), "").expect("a writable directory");
    let looked = machine.run(&["--config", "/etc/tidegate/tidegate.toml", "status"]);
    assert_eq!(looked.status.code(), Some(0), "{}", text(&looked));
}
