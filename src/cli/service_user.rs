//! Service user: lets root run commands about the installed service as the user of the service. So
//! a command reports what the service can do, and it never leaves files, not even for a moment,
//! that belong to root and block the service.

use crate::cli::CommandError;
use crate::config::Config;
use rustix::process::geteuid;
use std::io::Error;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// A user and its group, by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct User {
    uid: u32,
    gid: u32,
}

/// Becomes the user of the installed service, if the configuration belongs to it and this process
/// runs as root. Called before any other thread runs, and after root has read the files that only
/// root may read.
pub(super) fn become_service_user(config: &Config) -> Result<(), CommandError> {
    let Some(service) = &config.service else { return Ok(()) };
    let is_other = |user: &User| geteuid().is_root() && user.uid != 0;
    let Some(user) = User::of(&service.state_dir).filter(is_other) else { return Ok(()) };
    user.become_it().map_err(|error| {
        CommandError::Usage(format!(
            "cannot act as user {}, who owns {}: {error}",
            user.name(),
            service.state_dir.display()
        ))
    })
}

/// The name of the user that this process acts as.
pub(super) fn user_name() -> String {
    User { uid: geteuid().as_raw(), gid: 0 }.name()
}

/// Whether this process acts as the service's user.
pub(super) fn is_service_user(config: &Config) -> bool {
    let user = config.service.as_ref().and_then(|service| User::of(&service.state_dir));
    user.is_some_and(|user| user.uid == geteuid().as_raw())
}

impl User {
    /// The user of the service: it owns the state directory, because systemd gives it to the user
    /// in the unit.
    fn of(state_dir: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(state_dir).ok()?;
        Some(Self { uid: metadata.uid(), gid: metadata.gid() })
    }

    /// The name in passwd(5), or the number if there is none.
    fn name(self) -> String {
        let uid = self.uid.to_string();
        let name = lines("/etc/passwd").into_iter().find_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?.to_owned();
            (fields.nth(1)? == uid).then_some(name)
        });
        name.unwrap_or(uid)
    }

    /// The user's own group, and its groups in group(5). It may need one of them to access an inbox
    /// elsewhere.
    fn groups(self) -> Vec<u32> {
        let name = self.name();
        let of_line = |line: String| {
            let fields: Vec<&str> = line.split(':').collect();
            let is_member = fields.get(3)?.split(',').any(|member| member == name);
            is_member.then(|| fields.get(2)?.parse().ok()).flatten()
        };
        std::iter::once(self.gid)
            .chain(lines("/etc/group").into_iter().filter_map(of_line))
            .collect()
    }

    #[expect(
        unsafe_code,
        reason = "no library that is linked anyway changes the user of a whole process"
    )]
    fn become_it(self) -> std::io::Result<()> {
        let groups = self.groups();
        let done = |result: i32| if result == 0 { Ok(()) } else { Err(Error::last_os_error()) };
        // SAFETY: the list outlives the call and has the given number of entries.
        done(unsafe { libc::setgroups(groups.len(), groups.as_ptr()) })?;
        // SAFETY: the arguments are plain numbers. The user is changed last, because only root may
        // change the group.
        done(unsafe { libc::setresgid(self.gid, self.gid, self.gid) })?;
        // SAFETY: as above.
        done(unsafe { libc::setresuid(self.uid, self.uid, self.uid) })
    }
}

fn lines(path: &str) -> Vec<String> {
    let text = std::fs::read(path).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().map(str::to_owned).collect()
}
