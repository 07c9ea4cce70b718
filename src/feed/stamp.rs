//! Stamp: the properties of a file that reveal a change of it.

use rustix::fs::Stat;
use serde::{Deserialize, Serialize};

/// Distinguishes one version of a file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// Size in bytes.
    pub size_bytes: u64,
    /// Modification time, nanoseconds since 1970.
    pub modified_ns: i64,
    /// Inode.
    pub inode: u64,
    /// Change time of the inode, nanoseconds since 1970: nobody can set it back.
    pub changed_ns: i64,
}

impl Stamp {
    /// The stamp from the file's metadata.
    pub fn of(stat: &Stat) -> Self {
        let nanoseconds = |seconds: i64, rest: u64| {
            seconds.saturating_mul(1_000_000_000).saturating_add(i64::try_from(rest).unwrap_or(0))
        };
        Self {
            size_bytes: u64::try_from(stat.st_size).unwrap_or(0),
            modified_ns: nanoseconds(stat.st_mtime, stat.st_mtime_nsec),
            inode: stat.st_ino,
            changed_ns: nanoseconds(stat.st_ctime, stat.st_ctime_nsec),
        }
    }
}

impl Stamp {
    /// As the ledger has it. Databases have no unsigned integers: the bits of an inode are kept.
    pub fn of_ledger(size_bytes: i64, modified_ns: i64, inode: i64, changed_ns: i64) -> Self {
        let size_bytes = u64::try_from(size_bytes).unwrap_or(0);
        Self { size_bytes, modified_ns, inode: inode.cast_unsigned(), changed_ns }
    }

    /// Size as the ledger has it.
    pub fn ledger_size(self) -> i64 {
        i64::try_from(self.size_bytes).unwrap_or(i64::MAX)
    }

    /// Inode as the ledger has it.
    pub const fn ledger_inode(self) -> i64 {
        self.inode.cast_signed()
    }
}
