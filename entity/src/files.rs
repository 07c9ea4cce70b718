//! `tidegate_files`: the ledger, one row per path and content, never reused.

use sea_orm::entity::prelude::*;

/// A row of `tidegate_files`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "tidegate_files")]
pub struct Model {
    /// Id of this version of the file.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// Absolute path.
    #[sea_orm(column_type = "Text")]
    pub path: String,
    /// SHA-256 of the path, hex; the index uses it because some databases cannot index paths of any
    /// length.
    pub path_key: String,
    /// The feed it belongs to; NULL when unmatched.
    pub dataset: Option<String>,
    /// The market it belongs to; NULL when unmatched.
    pub market: Option<String>,
    /// SHA-256 of the content, lower-case hex.
    pub sha256: String,
    /// Size of the content.
    pub size_bytes: i64,
    /// Version, which orders the files of one dataset and market.
    pub version: DateTimeUtc,
    /// `pending`, `syncing`, `synced`, `unmatched`, `quarantined`, `held`, `failed`, `undone` or
    /// `dismissed`.
    pub state: String,
    /// Rows of the file after the header.
    pub rows_read: i64,
    /// Rows that reached the tables.
    pub rows_accepted: i64,
    /// Rows that repeat another row, or lost to a later one of the same key.
    pub rows_duplicate: i64,
    /// Rows kept in `tidegate_rejects`.
    pub rows_rejected: i64,
    /// Rows that are no data, such as the header once more.
    pub rows_skipped: i64,
    /// Rows with shifted cells that were repaired.
    pub rows_repaired: i64,
    /// Rows with a value that does not fit its column, which is kept in `_rescued`.
    pub rows_rescued: i64,
    /// Table rows inserted.
    pub rows_new: i64,
    /// Table rows changed.
    pub rows_modified: i64,
    /// Table rows that were already up to date.
    pub rows_unchanged: i64,
    /// Table rows that were not written, because a newer file had written them.
    pub rows_stale: i64,
    /// Table rows removed.
    pub rows_deleted: i64,
    /// When this content was first read.
    pub started_at: DateTimeUtc,
    /// When it reached a final state.
    pub finished_at: Option<DateTimeUtc>,
    /// Why it is not `synced`, and what to do.
    #[sea_orm(column_type = "Text", nullable)]
    pub error: Option<String>,
    /// Modification time of the path when it was read, nanoseconds since 1970.
    pub modified_ns: i64,
    /// Inode of the path when it was read.
    pub inode: i64,
    /// Change time of the inode when it was read, nanoseconds since 1970.
    pub changed_ns: i64,
    /// Digest of the dataset's rules and the transform version that it was read with; for a
    /// quarantined file, also of the limits. Empty after an operator asked for another try.
    pub transform: String,
    /// JSON of its columns and delimiter, if it has rejects: their export is written in the same
    /// form.
    #[sea_orm(column_type = "Text", nullable)]
    pub header: Option<String>,
    /// For a corrected copy: name without extensions of the file that it corrects.
    #[sea_orm(column_type = "Text", nullable)]
    pub corrects: Option<String>,
    /// When an operator approved the deletion that was held.
    pub approved_at: Option<DateTimeUtc>,
    /// When a check found it gone from its path; checked only for stopped files and those with open
    /// rejects.
    pub vanished_at: Option<DateTimeUtc>,
    /// Position to resume at, as JSON, written in the same transaction as the rows before it.
    #[sea_orm(column_type = "Text", nullable)]
    pub position: Option<String>,
    /// JSON: how many processes took it up since its last commit; NULL while nobody works on it.
    #[sea_orm(column_type = "Text", nullable)]
    pub attempts: Option<String>,
    /// 1 if `tidegate_history` has every version that it ended, so that it can be taken back.
    pub history: Option<i64>,
    /// The newer export for whose sake its held deletion was given up.
    pub superseded_by: Option<i64>,
    /// Why its deletion was held until then.
    #[sea_orm(column_type = "Text", nullable)]
    pub held_error: Option<String>,
}

/// No relations: the sync joins by key.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
