//! Known files: the part of the ledger that a scan of an inbox needs, for existing paths. It is
//! small, because every start reads it for perhaps 100,000 files.

use crate::error::SyncError;
use crate::feed::stamp::Stamp;
use crate::sink::ledger::Ledger;
use crate::sink::ledger::file_state::FileState;
use crate::sink::ledger::files::{FileRecord, PATHS_PER_QUERY};
use crate::sink::ledger::put_aside::PUT_ASIDE;
use entity::files;
use sea_orm::sea_query::Condition;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};
use sha2::{Digest, Sha256};

/// A short form of a path: the first half of the SHA-256 by which the ledger finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PathKey([u64; 2]);

impl PathKey {
    /// The digest of a path as it is stored in the ledger.
    pub fn of(path: &str) -> Self {
        let digest = Sha256::digest(path.as_bytes());
        let half =
            |at: usize| u64::from_be_bytes(digest[at..at + 8].try_into().expect("eight bytes"));
        Self([half(0), half(8)])
    }

    fn of_hex(path_key: &str) -> Self {
        let half = |at: usize| {
            path_key.get(at..at + 16).and_then(|hex| u64::from_str_radix(hex, 16).ok()).unwrap_or(0)
        };
        Self([half(0), half(16)])
    }
}

/// A version of a file as it was last seen on disk.
#[derive(Clone, Debug)]
pub struct KnownFile {
    /// Its path.
    pub key: PathKey,
    /// Its state.
    pub state: FileState,
    /// Its stamp, to recognise an unchanged file.
    pub stamp: Stamp,
    /// Digest of the rules that it was read with.
    pub rules_digest: String,
    /// Whether an operator wants it to be taken again.
    pub is_wanted: bool,
}

/// Path key, state, stamp, rules digest, and when it was approved.
type KnownColumns =
    (String, String, i64, i64, i64, i64, String, Option<chrono::DateTime<chrono::Utc>>);

impl From<&FileRecord> for KnownFile {
    fn from(file: &FileRecord) -> Self {
        Self {
            key: PathKey::of(&file.path),
            state: file.state,
            stamp: file.stamp,
            rules_digest: file.rules_digest.clone(),
            is_wanted: file.is_approved && PUT_ASIDE.contains(&file.state),
        }
    }
}

impl Ledger {
    /// The newest versions of the files at these paths.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn known_files_at(&self, paths: &[String]) -> Result<Vec<KnownFile>, SyncError> {
        use files::Column as C;
        let mut known = Vec::new();
        for paths in paths.chunks(PATHS_PER_QUERY) {
            let rows: Vec<KnownColumns> = files::Entity::find()
                .select_only()
                .columns([
                    C::PathKey,
                    C::State,
                    C::SizeBytes,
                    C::ModifiedNs,
                    C::Inode,
                    C::ChangedNs,
                    C::Transform,
                    C::ApprovedAt,
                ])
                .filter(C::Id.is_in(self.newest_ids_at(paths, Condition::all()).await?))
                .into_tuple()
                .all(&self.db.connection)
                .await?;
            known.extend(rows.into_iter().map(
                |(
                    path_key,
                    state,
                    size,
                    modified_ns,
                    inode,
                    changed_ns,
                    rules_digest,
                    approved_at,
                )| {
                    let (key, state) = (PathKey::of_hex(&path_key), FileState::of_ledger(&state));
                    let stamp = Stamp::of_ledger(size, modified_ns, inode, changed_ns);
                    let is_wanted = approved_at.is_some() && PUT_ASIDE.contains(&state);
                    KnownFile { key, state, stamp, rules_digest, is_wanted }
                },
            ));
        }
        Ok(known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::ledger::files::path_key;

    #[test]
    fn a_path_and_its_key_in_the_ledger_are_the_same() {
        for path in ["/in/a.csv", ""] {
            assert_eq!(PathKey::of(path), PathKey::of_hex(&path_key(path)));
        }
    }
}
