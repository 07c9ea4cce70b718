//! Limits on sizes: those that the configuration says, the shares of the memory, and where there is
//! room beyond it.

use crate::config::{ConfigurationError, Settings};
use std::path::{Path, PathBuf};

/// Limits on sizes, all derived from the configuration.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Memory of the whole process. The limits of its parts are shares of it.
    pub memory_bytes_max: u64,
    /// A file up to this size is kept in memory during its sync.
    pub content_bytes_max: u64,
    /// Most text of one chunk.
    pub chunk_bytes_max: usize,
    /// Most text of the scattered records that one gathering pass holds in memory.
    pub gather_bytes_max: u64,
    /// Paths of the inbox whose ledger line is kept in memory, so that a scan need not ask again.
    pub known_files_max: usize,
    /// Largest file; a larger one is quarantined without being read.
    pub file_bytes_max: u64,
    /// Largest size of an unpacked compressed file; a larger one is quarantined.
    pub decompressed_bytes_max: u64,
    /// Longest row; a longer one is a reject.
    pub row_bytes_max: usize,
    /// Longest value; a row with a longer one is a reject.
    pub field_bytes_max: usize,
    /// Most rows of a record; a file with a larger record is quarantined.
    pub record_rows_max: usize,
    /// Longest text of a record; a file with a longer record is quarantined. A record is in memory
    /// as a whole.
    pub record_bytes_max: u64,
    /// Most columns of a file.
    pub columns_max: usize,
    /// Most columns of a table; a file that would add more is quarantined.
    pub table_columns_max: usize,
    /// Most members of a .zip archive.
    pub zip_members_max: usize,
    /// Most bytes that a .zip archive unpacks to, for each of its own.
    pub zip_ratio_max: u64,
    /// Directory of what memory has no room for: files without a name, of which a crash leaves
    /// nothing.
    pub spool_dir: PathBuf,
    /// A full export of at least this size leaves a record index for the next one.
    pub record_index_bytes_min: u64,
}

impl Limits {
    /// The text of a record is at most one in this many parts of the memory. Each of two lanes may
    /// hold four records at a time, and a record in memory takes about ten times its text, like a
    /// chunk.
    const RECORDS_IN_MEMORY: u64 = 64;

    /// Smallest `memory_max_mb` for which the shares below are large enough.
    const MEMORY_MB_MIN: u64 = 64;

    pub(super) fn new(
        settings: &Settings,
        is_on_server: bool,
        spool_dir: &Path,
    ) -> Result<Self, ConfigurationError> {
        if settings.memory_max_mb < Self::MEMORY_MB_MIN {
            return Err(ConfigurationError::Invalid(format!(
                "memory_max_mb must be at least {}",
                Self::MEMORY_MB_MIN
            )));
        }
        let record_bytes_max = usize::try_from(settings.record_bytes_max).unwrap_or(usize::MAX);
        for (key, value) in [
            ("record_bytes_max", record_bytes_max),
            ("row_bytes_max", settings.row_bytes_max),
            ("field_bytes_max", settings.field_bytes_max),
            ("record_rows_max", settings.record_rows_max),
            ("columns_max", settings.columns_max),
            ("table_columns_max", settings.table_columns_max),
            ("zip_members_max", settings.zip_members_max),
            ("zip_ratio_max", usize::try_from(settings.zip_ratio_max).unwrap_or(usize::MAX)),
        ] {
            if value == 0 {
                return Err(ConfigurationError::Invalid(format!("{key} must be at least 1")));
            }
        }
        let memory_bytes = settings.memory_max_mb << 20;
        Ok(Self {
            memory_bytes_max: memory_bytes,
            content_bytes_max: memory_bytes / 8,
            chunk_bytes_max: chunk_bytes_max(memory_bytes, is_on_server),
            gather_bytes_max: memory_bytes / 16,
            // An entry takes 48 bytes, and the hash table may be half empty: at most a fifth of the
            // memory.
            known_files_max: usize::try_from(memory_bytes / 512).unwrap_or(usize::MAX),
            file_bytes_max: settings.file_bytes_max,
            decompressed_bytes_max: settings.decompressed_bytes_max,
            row_bytes_max: settings.row_bytes_max,
            field_bytes_max: settings.field_bytes_max,
            record_rows_max: settings.record_rows_max,
            record_bytes_max: settings.record_bytes_max.min(memory_bytes / Self::RECORDS_IN_MEMORY),
            columns_max: settings.columns_max,
            table_columns_max: settings.table_columns_max,
            zip_members_max: settings.zip_members_max,
            zip_ratio_max: settings.zip_ratio_max,
            spool_dir: spool_dir.to_owned(),
            record_index_bytes_min: settings.record_index_bytes_min,
        })
    }
}

/// Most text of one chunk. A chunk takes about ten times its text on its way through arrow arrays
/// into statements, and each of two lanes holds four chunks. With a 256th of the memory per chunk,
/// they take about a third of it. A database server has its own memory, so chunks can be twice as
/// large there, and fewer commits wait for its disk. With little memory they cannot, because the
/// program itself needs most of it.
pub(super) fn chunk_bytes_max(memory_bytes: u64, is_on_server: bool) -> usize {
    const PLENTY_BYTES: u64 = 256 << 20;
    let share = if is_on_server && memory_bytes >= PLENTY_BYTES { 128 } else { 256 };
    usize::try_from((memory_bytes / share).min(4 << 20)).expect("at most 4 MiB")
}
