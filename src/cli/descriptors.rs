//! Descriptors: how many files and connections the process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What a process may have open unless somebody says otherwise, as the kernel has it.
const USUAL: usize = 1024;

/// Raises the limit as far as it may be raised, and says what it is then. The usual soft limit of 1,024 is for programs that
/// `select` would break; a watched tree, two lanes and a database need more of them on a bad day.
pub(super) fn raised_limit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    // If it is refused, what is there must do.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    let current = getrlimit(Resource::Nofile).current;
    current.map_or(USUAL, |current| usize::try_from(current).unwrap_or(usize::MAX))
}
