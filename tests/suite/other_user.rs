//! Another user: tests often run as root, whom no permission stops. This one owns the sandbox, and
//! runs the program.

use crate::sandbox::{Daemon, Sandbox, free_port};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The user `nobody` of every system.
const NOBODY: u32 = 65534;

/// Whoever runs the tests, or `nobody` where that is root.
#[derive(Debug)]
pub struct OtherUser<'a> {
    sandbox: &'a Sandbox,
    /// Where the built program lies may be closed to others.
    program: PathBuf,
    id: Option<u32>,
}

impl<'a> OtherUser<'a> {
    /// Hands all that is in the sandbox over to the user.
    pub fn of(sandbox: &'a Sandbox) -> Self {
        let program = sandbox.path("tidegate");
        fs::copy(env!("CARGO_BIN_EXE_tidegate"), &program)
            .expect("space in the temporary directory");
        fs::set_permissions(&program, Permissions::from_mode(0o755)).expect("our own file");
        let is_root = fs::metadata(&program).expect("it is there").uid() == 0;
        let user = Self { sandbox, program, id: is_root.then_some(NOBODY) };
        user.take(&sandbox.path(""));
        user
    }

    fn take(&self, path: &Path) {
        let Some(id) = self.id else { return };
        chown(path, Some(id), Some(id)).expect("root may");
        if path.is_dir() {
            for entry in fs::read_dir(path).expect("root may") {
                self.take(&entry.expect("root may").path());
            }
        }
    }

    /// As [`Sandbox::drop_file`], by the user.
    pub fn drop_file(&self, name: &str, content: &str) {
        self.sandbox.drop_file(name, content);
        self.take(&self.sandbox.inbox());
    }

    /// As [`Sandbox::command`], by the user.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let own = self.sandbox.command(arguments);
        let mut command = Command::new(&self.program);
        command
            .args(own.get_args())
            .current_dir(self.sandbox.path(""))
            .stdin(std::process::Stdio::null());
        for (name, value) in own.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if let Some(id) = self.id {
            command.uid(id).gid(id);
        }
        command
    }

    /// What a command prints.
    pub fn output(&self, arguments: &[&str]) -> String {
        let inbox = self.sandbox.inbox();
        let output = self
            .command(arguments)
            .env("TIDEGATE_INBOX", inbox)
            .output()
            .expect("the built program starts");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// As [`Sandbox::start_daemon`], by the user.
    pub fn start_daemon(&self, environment: &[(&str, &str)]) -> Daemon {
        let address = format!("127.0.0.1:{}", free_port());
        let command =
            self.command(&["run", &self.sandbox.inbox().to_string_lossy(), "--listen", &address]);
        self.sandbox.start(command, &address, environment)
    }
}
