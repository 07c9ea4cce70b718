//! Checkpoint: a local file for each file at work. After a restart it saves a second survey.
//!
//! | ledger says | checkpoint says | what happens |
//! |---|---|---|
//! | syncing, at P | same file, at P or before | survey taken from it, reading resumes at P |
//! | syncing, at P | other version, missing, unreadable | hash and survey again, read on from P |
//! | anything else | anything | the checkpoint is removed |
//!
//! The ledger's position always wins. The checkpoint is written after the commit, so it may be one
//! chunk behind. It is ahead only after the database was restored from a backup, and then it is not
//! used.
//!
//! A checkpoint is a cache: if it cannot be written (full disk, missing directory, no file
//! descriptor), the work continues without it, and the log says so.

use crate::chunk::Position;
use crate::error::SyncError;
use crate::feed::stamp::Stamp;
use crate::process::modes::{make_folders, make_own_folder};
use crate::source::survey::Survey;
use crate::source::unchanged::episode::Episode;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::HashSet;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// With more scattered records than this, writing the survey after every chunk costs more than
/// repeating it.
const SCATTERED_MAX: usize = 10_000;

/// What a restart needs in addition to the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The ledger's file.
    pub file_id: i64,
    /// Stamp of the file, to recognise a changed one.
    pub stamp: Stamp,
    /// Digests of the blocks of its text, to notice changed content.
    pub digests: Vec<u64>,
    /// The survey, which would otherwise be repeated.
    pub survey: Survey,
    /// Position up to which everything was committed.
    pub position: Position,
}

/// A checkpoint's file. When its meaning changes, another version takes the place of this one, and
/// files of the old one are not read.
#[derive(Serialize, Deserialize)]
enum Versioned<'a> {
    #[serde(rename = "version 6")]
    V6(Cow<'a, Checkpoint>),
}

/// The directory of checkpoints.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    directory: PathBuf,
    episode: Episode,
}

impl Checkpoint {
    /// The checkpoint of a file that was just surveyed or resumed.
    pub const fn new(
        file_id: i64,
        stamp: Stamp,
        digests: Vec<u64>,
        survey: Survey,
        position: Position,
    ) -> Self {
        Self { file_id, stamp, digests, survey, position }
    }
}

impl Checkpoints {
    /// Opens the checkpoints of a state directory, and creates it if it is missing.
    ///
    /// # Errors
    ///
    /// When the state directory cannot exist: that is a mistake in the configuration, unlike a disk
    /// that is full for a while.
    pub fn open(state_dir: &Path) -> Result<Self, SyncError> {
        make_folders(state_dir).map_err(|error| SyncError::state(state_dir, error))?;
        let checkpoints =
            Self { directory: state_dir.join("checkpoints"), episode: Episode::of("checkpoints") };
        let directory = &checkpoints.directory;
        checkpoints.episode.forgive(
            make_own_folder(directory).map_err(|error| SyncError::state(directory, error)),
        );
        Ok(checkpoints)
    }

    /// The checkpoint of a file, if there is a usable one.
    pub fn load(&self, file_id: i64, committed: Option<Position>) -> Option<Checkpoint> {
        let bytes = std::fs::read(self.path(file_id)).ok()?;
        let Versioned::V6(checkpoint) = serde_json::from_slice(&bytes).ok()?;
        let checkpoint = checkpoint.into_owned();
        let leads = committed.is_none_or(|committed| checkpoint.position.is_after(committed));
        let is_believed =
            checkpoint.file_id == file_id && (!leads || checkpoint.position == Position::START);
        is_believed.then_some(checkpoint)
    }

    /// Replaces a file's checkpoint atomically: a crash leaves the old or the new one.
    pub fn advance(&self, checkpoint: &Checkpoint) {
        if checkpoint
            .survey
            .scattered
            .as_ref()
            .is_none_or(|scattered| scattered.len() > SCATTERED_MAX)
        {
            return;
        }
        let path = self.path(checkpoint.file_id);
        let replaced =
            self.replace(&path, checkpoint).map_err(|error| SyncError::state(&path, error));
        if self.episode.forgive(replaced).is_some() {
            self.episode.end();
        }
    }

    /// Removes a file's checkpoint. If that fails, the next start removes it; no other file gets
    /// the same id.
    pub fn remove(&self, file_id: i64) {
        let path = self.path(file_id);
        self.episode.forgive(remove(&path));
    }

    /// Removes what a crash left: checkpoints of finished files, and incomplete new ones.
    pub fn retain(&self, unfinished: &HashSet<i64>) {
        let kept: HashSet<PathBuf> = unfinished.iter().map(|&file_id| self.path(file_id)).collect();
        let entries = match std::fs::read_dir(&self.directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => return,
            entries => entries.map_err(|error| SyncError::state(&self.directory, error)),
        };
        for entry in self.episode.forgive(entries).into_iter().flatten().flatten() {
            let path = entry.path();
            if !kept.contains(&path) {
                self.episode.forgive(remove(&path));
            }
        }
    }

    fn replace(&self, path: &Path, checkpoint: &Checkpoint) -> std::io::Result<()> {
        // The directory may have been removed.
        make_own_folder(&self.directory)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.directory)?;
        file.write_all(&serde_json::to_vec(&Versioned::V6(Cow::Borrowed(checkpoint)))?)?;
        // Without this the rename could reach the disk before the content.
        file.as_file().sync_data()?;
        file.persist(path)?;
        File::open(&self.directory)?.sync_all()
    }

    fn path(&self, file_id: i64) -> PathBuf {
        self.directory.join(format!("{file_id}.json"))
    }
}

fn remove(path: &Path) -> Result<(), SyncError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(SyncError::state(path, error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::decimals::NumberReadings;
    use crate::feed::encoding::Encoding;
    use crate::feed::row_format::RowFormat;
    use crate::feed::row_format::{CellTypes, Dialect};
    use crate::source::format::Format;
    use crate::source::rows::fits::Fits;
    use crate::source::text::compression::Compression;
    use crate::values::number::Decimals;

    fn checkpoint(position: Position) -> Checkpoint {
        let dialect = Dialect {
            delimiter: b';',
            quote: b'"',
            row_bytes_max: 100,
            padding: 0,
            types: CellTypes::None,
        };
        let rows = RowFormat::Csv(dialect);
        let format = Format {
            compression: Compression::Gzip,
            encoding: Encoding::Legacy(encoding_rs::WINDOWS_1252),
            rows,
        };
        let survey = Survey {
            format,
            header: vec!["Order ID".to_owned()],
            rows_read: 3,
            rows_rejected: 0,
            rows_of_unknown_records: 2,
            numbers: NumberReadings {
                decimals: vec![Decimals::Point],
                two_currencies: vec![3],
                is_of_file: true,
                ..NumberReadings::default()
            },
            first_faults: Vec::new(),
            has_odd_rows: false,
            are_odd_rows_open: false,
            fits: Fits::default(),
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
        let position = Position::InOrder { offset: 100, row: 3 };
        checkpoints.advance(&checkpoint(position));
        let later = Position::InOrder { offset: 200, row: 5 };
        assert_eq!(checkpoints.load(4, Some(position)), Some(checkpoint(position)));
        assert_eq!(checkpoints.load(4, Some(later)), Some(checkpoint(position)));
        assert_eq!(checkpoints.load(4, Some(Position::START)), None);
        assert_eq!(checkpoints.load(4, None), None);
        assert_eq!(checkpoints.load(5, Some(position)), None);
    }

    #[test]
    fn a_directory_that_was_removed_is_made_again_and_one_that_cannot_be_is_gone_without() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let checkpoints = Checkpoints::open(directory.path()).expect("it can be written");
        let position = Position::START;
        checkpoints.advance(&checkpoint(position));
        std::fs::remove_dir_all(directory.path().join("checkpoints")).expect("it is there");
        checkpoints.retain(&HashSet::new());
        checkpoints.advance(&checkpoint(position));
        assert_eq!(checkpoints.load(4, Some(position)), Some(checkpoint(position)));
        std::fs::remove_dir_all(directory.path()).expect("it is there");
        std::fs::write(directory.path(), "no directory").expect("it can be written");
        checkpoints.advance(&checkpoint(position));
        checkpoints.remove(4);
        checkpoints.retain(&HashSet::new());
        assert_eq!(checkpoints.load(4, Some(position)), None);
        std::fs::remove_file(directory.path()).expect("it is there");
        std::fs::create_dir(directory.path()).expect("it can be made");
        checkpoints.advance(&checkpoint(position));
        assert_eq!(checkpoints.load(4, Some(position)), Some(checkpoint(position)));
    }

    #[test]
    fn a_checkpoint_is_these_literal_bytes() {
        let json = r#"{"version 6":{"file_id":4,"stamp":{"size_bytes":10,"modified_ns":20,"inode":30,"changed_ns":40},"digests":[5],"survey":{"format":{"compression":"gzip","encoding":"windows-1252","rows":{"csv":{"delimiter":59,"quote":34,"row_bytes_max":100,"padding":0}}},"header":["Order ID"],"rows_read":3,"rows_rejected":0,"rows_of_unknown_records":2,"scattered":[7],"gather_passes":1,"numbers":{"decimals":["point"],"two_currencies":[3],"is_of_file":true}},"position":{"pass":0,"offset":9,"row":1,"records":0,"passes":0,"done":false}}}"#;
        let position = Position::InOrder { offset: 9, row: 1 };
        assert_eq!(
            serde_json::to_string(&Versioned::V6(Cow::Owned(checkpoint(position))))
                .expect("plain data"),
            json
        );
    }
}
