//! `tidegate_files`: the ledger, one row per path and content, never reused.

use sea_orm::entity::prelude::*;

/// A row of `tidegate_files`.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "tidegate_files")]
pub struct Model {
    /// Identity of this version of the file.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// Absolute path.
    #[sea_orm(column_type = "Text")]
    pub path: String,
    /// SHA-256 of the path, hex: paths are too long to be indexed on every database.
    pub path_key: String,
    /// The feed it belongs to; NULL when unmatched.
    pub dataset: Option<String>,
    /// The market it belongs to; NULL when unmatched.
    pub market: Option<String>,
    /// SHA-256 of the content, lower-case hex.
    pub sha256: String,
    /// Size of the content.
    pub size_bytes: i64,
    /// Orders the files of one dataset and market.
    pub version: DateTimeUtc,
    /// `pending`, `syncing`, `synced`, `unmatched`, `quarantined`, `held` or `failed`.
    pub state: String,
    /// Rows of the file after the header.
    pub rows_read: i64,
    /// Rows that reached the tables.
    pub rows_accepted: i64,
    /// Rows that repeat another row or lost to a later one.
    pub rows_duplicate: i64,
    /// Rows kept in `tidegate_rejects`.
    pub rows_rejected: i64,
    /// Rows that are no data, such as the header once more.
    pub rows_skipped: i64,
    /// Rows whose shifted cells were put back.
    pub rows_repaired: i64,
    /// Rows with a value that does not fit its column, which is kept in `_rescued`.
    pub rows_rescued: i64,
    /// Table rows inserted.
    pub rows_new: i64,
    /// Table rows changed.
    pub rows_modified: i64,
    /// Table rows that already were so.
    pub rows_unchanged: i64,
    /// Table rows that lost to a newer file.
    pub rows_stale: i64,
    /// Table rows removed.
    pub rows_deleted: i64,
    /// When this content was first taken.
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
    /// Fingerprint of the dataset's rules and the transform version it was read under. Of a quarantined file, of the
    /// limits too; empty once an operator wants it tried again.
    pub transform: String,
    /// JSON of its columns and delimiter, where it has rejects: what a corrected copy of them is written with.
    #[sea_orm(column_type = "Text", nullable)]
    pub header: Option<String>,
    /// Name without extensions of the file whose rejects this one corrects.
    #[sea_orm(column_type = "Text", nullable)]
    pub corrects: Option<String>,
    /// When an operator approved the deletion that its state `held` held back.
    pub approved_at: Option<DateTimeUtc>,
    /// When it was found to be gone from its path, if it was stopped or has open rejects.
    pub vanished_at: Option<DateTimeUtc>,
    /// Where to go on: JSON, written in the transaction of the rows before it.
    #[sea_orm(column_type = "Text", nullable)]
    pub position: Option<String>,
    /// JSON: how many processes took it up since it last moved; NULL while nobody works on it.
    #[sea_orm(column_type = "Text", nullable)]
    pub attempts: Option<String>,
}

/// No relations: the sync joins by key.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
