//! Known files: the little of the ledger that a look at an inbox needs. Of 100,000 files it is read at every start.

use super::Sink;
use super::ledger::{FileRecord, FileState};
use crate::error::SyncError;
use entity::files;
use sea_orm::{EntityTrait, QueryOrder, QuerySelect};

/// A version of a file as it was last seen on disk.
#[derive(Clone, Debug)]
pub struct KnownFile {
    /// Absolute path.
    pub path: String,
    /// Where it stands.
    pub state: FileState,
    /// Size of the content.
    pub size_bytes: i64,
    /// Modification time of the path.
    pub modified_ns: i64,
    /// Inode of the path.
    pub inode: i64,
    /// Change time of the inode.
    pub changed_ns: i64,
    /// Rules it was read under.
    pub transform: String,
}

impl From<&FileRecord> for KnownFile {
    fn from(file: &FileRecord) -> Self {
        Self {
            path: file.path.clone(),
            state: file.state,
            size_bytes: file.size_bytes,
            modified_ns: file.modified_ns,
            inode: file.inode,
            changed_ns: file.changed_ns,
            transform: file.transform.clone(),
        }
    }
}

impl Sink {
    /// Every version of every file, the newest one of a path after the others.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub async fn known_files(&self) -> Result<Vec<KnownFile>, SyncError> {
        use files::Column as C;
        let rows: Vec<(String, String, i64, i64, i64, i64, String)> = files::Entity::find()
            .select_only()
            .columns([C::Path, C::State, C::SizeBytes, C::ModifiedNs, C::Inode, C::ChangedNs, C::Transform])
            .order_by_asc(C::Id)
            .into_tuple()
            .all(&self.connection)
            .await?;
        let known =
            |(path, state, size_bytes, modified_ns, inode, changed_ns, transform): (String, String, _, _, _, _, _)| {
                let state = FileState::of_ledger(&state);
                KnownFile { path, state, size_bytes, modified_ns, inode, changed_ns, transform }
            };
        Ok(rows.into_iter().map(known).collect())
    }
}
