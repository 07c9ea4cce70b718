//! Checkpoint: a local file a synced file that saves looking at everything again after a restart.
//!
//! | ledger says | checkpoint says | what happens |
//! |---|---|---|
//! | syncing, at P | the same file, at P or before | the survey is taken from it, reading goes on at P |
//! | syncing, at P | another version, or none, or unreadable | the file is hashed and surveyed again, reading goes on at P |
//! | anything else | anything | the checkpoint is removed |
//!
//! The position of the ledger always wins. The checkpoint is written after the commit, so it may lag by
//! a chunk; it leads only after the database was restored from a backup, and then it is not believed.

use crate::chunk::Position;
use crate::error::SyncError;
use crate::modes::make_own_folder;
use crate::source::content::Stamp;
use crate::source::survey::Survey;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Grows when the file's meaning changes; an older file is not read.
const FORMAT_VERSION: u32 = 3;

/// A survey with more scattered records than this costs more to write after every chunk than to repeat.
const SCATTERED_MAX: usize = 10_000;

/// What a restart needs beside the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    format_version: u32,
    /// The ledger's file.
    pub file_id: i64,
    /// What the file looked like.
    pub stamp: Stamp,
    /// Digests of the blocks of its text.
    pub digests: Vec<u64>,
    /// What the first look found.
    pub survey: Survey,
    /// Everything before it was committed.
    pub position: Position,
}

/// The directory of checkpoints.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    directory: PathBuf,
}

impl Checkpoint {
    /// The state of a file that was just surveyed or resumed.
    pub const fn new(file_id: i64, stamp: Stamp, digests: Vec<u64>, survey: Survey, position: Position) -> Self {
        Self { format_version: FORMAT_VERSION, file_id, stamp, digests, survey, position }
    }
}

impl Checkpoints {
    /// The checkpoints of a state directory, which is made if it is missing.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub fn open(state_dir: &Path) -> Result<Self, SyncError> {
        let directory = state_dir.join("checkpoints");
        make_own_folder(&directory).map_err(|error| SyncError::state(&directory, error))?;
        Ok(Self { directory })
    }

    /// The checkpoint of a file, if there is one that can be believed.
    pub fn load(&self, file_id: i64, committed: Option<Position>) -> Option<Checkpoint> {
        let bytes = std::fs::read(self.path(file_id)).ok()?;
        let checkpoint: Checkpoint = serde_json::from_slice(&bytes).ok()?;
        let leads = committed.is_none_or(|committed| checkpoint.position.is_after(committed));
        let is_believed = checkpoint.format_version == FORMAT_VERSION
            && checkpoint.file_id == file_id
            && (!leads || checkpoint.position == Position::default());
        is_believed.then_some(checkpoint)
    }

    /// Replaces a file's checkpoint; a crash leaves the old one or the new one, never a part.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn advance(&self, checkpoint: &Checkpoint) -> Result<(), SyncError> {
        if checkpoint.survey.scattered.as_ref().is_none_or(|scattered| scattered.len() > SCATTERED_MAX) {
            return Ok(());
        }
        let path = self.path(checkpoint.file_id);
        self.replace(&path, checkpoint).map_err(|error| SyncError::state(&path, error))
    }

    /// Removes a file's checkpoint.
    ///
    /// # Errors
    ///
    /// When it is there and cannot be removed.
    pub fn remove(&self, file_id: i64) -> Result<(), SyncError> {
        let path = self.path(file_id);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(SyncError::state(&path, error)),
            _ => Ok(()),
        }
    }

    /// Removes what a crash left behind: resume files of files that are finished, and parts of a new one.
    ///
    /// # Errors
    ///
    /// When something is there and cannot be removed.
    pub fn retain(&self, unfinished: &HashSet<i64>) -> Result<(), SyncError> {
        let failed = |error| SyncError::state(&self.directory, error);
        let kept: HashSet<PathBuf> = unfinished.iter().map(|&file_id| self.path(file_id)).collect();
        for entry in std::fs::read_dir(&self.directory).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if !kept.contains(&path) {
                std::fs::remove_file(&path).map_err(|error| SyncError::state(&path, error))?;
            }
        }
        Ok(())
    }

    fn replace(&self, path: &Path, checkpoint: &Checkpoint) -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.directory)?;
        file.write_all(&serde_json::to_vec(checkpoint)?)?;
        // Without this the rename could reach the disk before the bytes do.
        file.as_file().sync_data()?;
        file.persist(path)?;
        File::open(&self.directory)?.sync_all()
    }

    fn path(&self, file_id: i64) -> PathBuf {
        self.directory.join(format!("{file_id}.json"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Encoding;
    use crate::source::cells::Dialect;
    use crate::source::compression::Compression;
    use crate::source::format::{Format, RowFormat};

    fn checkpoint(position: Position) -> Checkpoint {
        let dialect = Dialect { delimiter: b';', quote: b'"', row_bytes_max: 100 };
        let rows = RowFormat::Csv(dialect);
        let format = Format { compression: Compression::Gzip, encoding: Encoding::Windows1252, rows };
        let survey = Survey {
            format,
            header: vec!["Order ID".to_owned()],
            rows_read: 3,
            rows_rejected: 0,
            rows_of_unknown_records: 2,
            first_faults: Vec::new(),
            scattered: Some(vec![7]),
            gather_passes: 1,
        };
        let stamp = Stamp { size_bytes: 10, modified_ns: 20, inode: 30, changed_ns: 40 };
        Checkpoint::new(4, stamp, vec![5], survey, position)
    }

    #[test]
    fn a_checkpoint_that_leads_the_ledger_is_not_believed() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let checkpoints = Checkpoints::open(directory.path()).expect("it can be written");
        let position = Position { offset: 100, row: 3, ..Position::default() };
        checkpoints.advance(&checkpoint(position)).expect("it can be written");
        let later = Position { offset: 200, row: 5, ..Position::default() };
        assert_eq!(checkpoints.load(4, Some(position)), Some(checkpoint(position)));
        assert_eq!(checkpoints.load(4, Some(later)), Some(checkpoint(position)));
        assert_eq!(checkpoints.load(4, Some(Position::default())), None);
        assert_eq!(checkpoints.load(4, None), None);
        assert_eq!(checkpoints.load(5, Some(position)), None);
    }

    #[test]
    fn a_checkpoint_is_these_literal_bytes() {
        let json = r#"{"format_version":3,"file_id":4,"stamp":{"size_bytes":10,"modified_ns":20,"inode":30,"changed_ns":40},"digests":[5],"survey":{"format":{"compression":"gzip","encoding":"windows-1252","rows":{"csv":{"delimiter":59,"quote":34,"row_bytes_max":100}}},"header":["Order ID"],"rows_read":3,"rows_rejected":0,"rows_of_unknown_records":2,"scattered":[7],"gather_passes":1},"position":{"pass":0,"offset":9,"row":1,"records":0,"passes":0,"done":false}}"#;
        let position = Position { offset: 9, row: 1, ..Position::default() };
        assert_eq!(serde_json::to_string(&checkpoint(position)).expect("plain data"), json);
    }
}
