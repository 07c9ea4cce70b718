//! Descriptors: the limit on open files and connections of the process.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The default limit of the kernel, used if the real one is unlimited.
const USUAL: usize = 1024;

/// Raises the soft limit to the hard limit, and returns it. The usual soft limit of 1,024 protects
/// programs that use `select`, which cannot handle more. A watched tree, two lanes and a database
/// may need more at times.
pub(super) fn raised_limit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    // If this fails, the present limit must be enough.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    let current = getrlimit(Resource::Nofile).current;
    current.map_or(USUAL, |current| usize::try_from(current).unwrap_or(usize::MAX))
}
