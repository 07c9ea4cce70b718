//! RecordIndex: the records of the last full export of a dataset and market, by digests of their
//! rows as they are in the file. If the next export has a record with the same digest, the record
//! is unchanged, and need not be parsed, cleaned, or looked up.
//!
//! It is a cache in a local file: it names the generation of the stored rows, and everything else
//! that decides how a row is stored. If any of this differs, the index is not used, and every
//! record takes the long way.
//!
//! | bytes | what |
//! |---|---|
//! | 512 | [`Origin`] under its version, as JSON, and spaces |
//! | 40 each | [`Entry`], in the order of the file: digest (16), hash of its key, bytes, rows, table rows, repaired rows with the mark of a disagreeing record as the highest bit, and rows with a rescued value (4 each, little-endian) |

use crate::chunk::{Entry, RecordDigest};
use crate::error::SyncError;
use crate::process::modes::make_own_folder;
use crate::source::unchanged::episode::Episode;
use crate::values::cell::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, ErrorKind, Write};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Bytes of the header before the entries. It is written last, when the generation is known.
const HEAD_BYTES: usize = 512;

/// Bytes of an entry.
const ENTRY_BYTES: usize = 40;

/// The bit of an entry that says that the record's rows disagree.
const DISAGREES: u32 = 1 << 31;

/// Entries that are read at once, and looked through for a record together with those of one more
/// block: exports keep the order of their records, so what is not found nearby is rarely found at
/// all.
const BLOCK_ENTRIES: u32 = 1 << 16;

/// Entries that are copied at once.
const COPIED_ENTRIES: u32 = 1 << 12;

/// Collects the digest of a record row by row.
#[derive(Clone, Debug, Default)]
pub struct RecordHasher(Sha256);

impl RecordHasher {
    /// Adds a row with its line end.
    pub fn update(&mut self, row: &[u8]) {
        self.0.update(row);
    }

    /// The digest.
    pub fn finish(self) -> RecordDigest {
        let mut digest = RecordDigest::default();
        digest.copy_from_slice(&self.0.finalize()[..size_of::<RecordDigest>()]);
        digest
    }
}

/// What decides what a row of a file becomes, and which stored rows it became.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// Dataset and transform version.
    pub rules_digest: String,
    /// Digest of the shapes of the tables, and of the file's columns and dialect.
    pub shapes: String,
    /// The stored rows.
    pub generation: String,
}

/// The head of an index. When the meaning of the file changes, another version takes the place of
/// this one, and files of the old one are not read.
#[derive(Serialize, Deserialize)]
enum Versioned<'a> {
    #[serde(rename = "version 4")]
    V4(Cow<'a, Origin>),
}

impl Origin {
    /// With the digest of the `Debug` text of the shapes, which must be complete.
    pub fn new(rules_digest: &str, shapes: &impl std::fmt::Debug, generation: &str) -> Self {
        Self {
            rules_digest: rules_digest.to_owned(),
            shapes: hex(&Sha256::digest(format!("{shapes:?}"))),
            generation: generation.to_owned(),
        }
    }
}

fn to_bytes(entry: &Entry) -> [u8; ENTRY_BYTES] {
    let mut bytes = [0; ENTRY_BYTES];
    bytes[..16].copy_from_slice(&entry.digest);
    let marked = entry.repaired | if entry.disagrees { DISAGREES } else { 0 };
    let numbers =
        [entry.key_hash, entry.bytes, entry.rows, entry.table_rows, marked, entry.rescued];
    for (at, number) in (16..).step_by(4).zip(numbers) {
        bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
    }
    bytes
}

fn from_bytes(bytes: &[u8]) -> Entry {
    let number =
        |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
    let mut digest = RecordDigest::default();
    digest.copy_from_slice(&bytes[..16]);
    let marked = number(32);
    Entry {
        digest,
        key_hash: number(16),
        bytes: number(20),
        rows: number(24),
        table_rows: number(28),
        repaired: marked & !DISAGREES,
        rescued: number(36),
        disagrees: marked & DISAGREES != 0,
    }
}

/// The directory of indexes.
#[derive(Clone, Debug)]
pub struct RecordIndexes {
    directory: PathBuf,
    episode: Episode,
}

impl RecordIndexes {
    /// The indexes of a state directory.
    pub fn of(state_dir: &Path) -> Self {
        Self {
            directory: state_dir.join("record-indexes"),
            episode: Episode::of("indexes of records"),
        }
    }

    /// The index of a table's records of a market, if there is one that was made under the same
    /// conditions.
    pub fn load(&self, table: &str, market: &str, origin: &Origin) -> Option<RecordIndex> {
        let file = File::open(self.path(table, market)).ok()?;
        let mut head = [0; HEAD_BYTES];
        file.read_exact_at(&mut head, 0).ok()?;
        let Versioned::V4(found) = serde_json::from_slice(&head).ok()?;
        let entries = (file.metadata().ok()?.len() - HEAD_BYTES as u64) / ENTRY_BYTES as u64;
        (found.as_ref() == origin)
            .then(|| RecordIndex { file, entries: u32::try_from(entries).unwrap_or(u32::MAX) })
    }

    /// Begins an index that will take the place of the one that is there; `None` where it cannot be
    /// kept.
    pub fn begin(&self, table: &str, market: &str) -> Option<RecordIndexWriter> {
        let path = self.path(table, market);
        let begin = || {
            // Somebody may have removed it.
            make_own_folder(&self.directory)?;
            let mut file = BufWriter::new(tempfile::NamedTempFile::new_in(&self.directory)?);
            file.write_all(&[b' '; HEAD_BYTES])?;
            Ok(file)
        };
        let file = self.episode.forgive(begin().map_err(|error| SyncError::state(&path, error)))?;
        Some(RecordIndexWriter { path, file, episode: self.episode.clone() })
    }

    /// Removes what a crash left behind: parts of new indexes.
    pub fn clear_up(&self) {
        let failed = |error| SyncError::state(&self.directory, error);
        let entries = match std::fs::read_dir(&self.directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => return,
            entries => entries.map_err(failed),
        };
        for entry in self.episode.forgive(entries).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_none_or(|extension| extension != "index") {
                self.episode.forgive(
                    std::fs::remove_file(&path).map_err(|error| SyncError::state(&path, error)),
                );
            }
        }
    }

    /// Markets are any text; a digest is a name on every file system.
    fn path(&self, table: &str, market: &str) -> PathBuf {
        let name = hex(&Sha256::digest(format!("{table}\n{market}"))[..16]);
        self.directory.join(format!("{name}.index"))
    }
}

/// An index that is believed.
#[derive(Debug)]
pub struct RecordIndex {
    file: File,
    entries: u32,
}

impl RecordIndex {
    /// Number of entries.
    pub const fn len(&self) -> u32 {
        self.entries
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// These entries.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn read(&self, range: Range<u32>) -> Result<Vec<Entry>, std::io::Error> {
        let mut bytes = vec![0; range.len() * ENTRY_BYTES];
        self.file.read_exact_at(
            &mut bytes,
            HEAD_BYTES as u64 + u64::from(range.start) * ENTRY_BYTES as u64,
        )?;
        Ok(bytes.chunks_exact(ENTRY_BYTES).map(from_bytes).collect())
    }
}

/// Finds records in an index, in about the order in which it has them.
#[derive(Debug)]
pub struct Lookup<'a> {
    index: &'a RecordIndex,
    /// The two blocks that are looked through: by digest, the entry's number.
    blocks: [HashMap<RecordDigest, u32>; 2],
    next_block: u32,
}

impl<'a> Lookup<'a> {
    /// From the first record on.
    pub fn new(index: &'a RecordIndex) -> Self {
        let mut lookup = Self { index, blocks: [HashMap::new(), HashMap::new()], next_block: 0 };
        lookup.go_on();
        lookup.go_on();
        lookup
    }

    /// The number of the entry of this record.
    pub fn find(&mut self, digest: &RecordDigest) -> Option<u32> {
        if let Some(&entry) = self.blocks[0].get(digest) {
            return Some(entry);
        }
        let entry = *self.blocks[1].get(digest)?;
        // Half of the later block is passed, so the next block may be needed soon.
        if entry % BLOCK_ENTRIES >= BLOCK_ENTRIES / 2
            && self.next_block * BLOCK_ENTRIES < self.index.entries
        {
            self.go_on();
        }
        Some(entry)
    }

    /// If an index cannot be read, nothing is found.
    fn go_on(&mut self) {
        let start = self.next_block.saturating_mul(BLOCK_ENTRIES).min(self.index.entries);
        let end = start.saturating_add(BLOCK_ENTRIES).min(self.index.entries);
        let entries = self.index.read(start..end).unwrap_or_default();
        self.blocks.swap(0, 1);
        self.blocks[1] = entries.iter().map(|entry| entry.digest).zip(start..).collect();
        self.next_block += 1;
    }
}

/// An index that is being made; dropped before [`RecordIndexWriter::finish`], it leaves nothing.
#[derive(Debug)]
pub struct RecordIndexWriter {
    path: PathBuf,
    file: BufWriter<tempfile::NamedTempFile>,
    episode: Episode,
}

impl RecordIndexWriter {
    /// Adds a record.
    ///
    /// # Errors
    ///
    /// When the state directory cannot be written to.
    pub fn push(&mut self, entry: Entry) -> Result<(), SyncError> {
        self.file.write_all(&to_bytes(&entry)).map_err(|error| SyncError::state(&self.path, error))
    }

    /// Adds records as another index has them.
    ///
    /// # Errors
    ///
    /// When the state directory cannot be read or written to.
    pub fn copy(&mut self, from: &RecordIndex, mut range: Range<u32>) -> Result<(), SyncError> {
        while !range.is_empty() {
            let end = range.end.min(range.start.saturating_add(COPIED_ENTRIES));
            let entries =
                from.read(range.start..end).map_err(|error| SyncError::state(&self.path, error))?;
            entries.into_iter().try_for_each(|entry| self.push(entry))?;
            range.start = end;
        }
        Ok(())
    }

    /// Puts the index in the place of the one that is there. A crash leaves the old one or the new
    /// one, never a part; so does a failure, and the old one is not believed of rows that have
    /// changed.
    pub fn finish(self, origin: &Origin) {
        let episode = self.episode.clone();
        if episode.forgive(self.try_finish(origin)).is_some() {
            episode.end();
        }
    }

    fn try_finish(self, origin: &Origin) -> Result<(), SyncError> {
        let Self { path, file, .. } = self;
        let failed = |error| SyncError::state(&path, error);
        let file = file.into_inner().map_err(|error| failed(error.into_error()))?;
        let head = serde_json::to_vec(&Versioned::V4(Cow::Borrowed(origin)))
            .expect("an origin is plain text");
        assert!(head.len() <= HEAD_BYTES, "two digests and a generation are shorter");
        file.as_file().write_all_at(&head, 0).map_err(failed)?;
        // Without this the rename could reach the disk before the bytes do.
        file.as_file().sync_data().map_err(failed)?;
        file.persist(&path).map_err(|error| failed(error.error))?;
        Ok(())
    }

    /// The writer, unless its last operation failed; then the file leaves no index.
    pub fn unless_failed(self, done: Result<(), SyncError>) -> Option<Self> {
        self.episode.forgive(done).map(|()| self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(number: u8) -> Entry {
        let number_of = u32::from(number);
        Entry {
            digest: [number; 16],
            key_hash: 5,
            bytes: 100 + number_of,
            rows: 3,
            table_rows: 4,
            repaired: 1,
            rescued: 2,
            disagrees: number % 2 == 1,
        }
    }

    fn indexes() -> (tempfile::TempDir, RecordIndexes) {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let indexes = RecordIndexes::of(directory.path());
        (directory, indexes)
    }

    fn made(indexes: &RecordIndexes, numbers: impl IntoIterator<Item = u8>, origin: &Origin) {
        let mut writer = indexes.begin("orders", "1").expect("it can be written");
        numbers
            .into_iter()
            .for_each(|number| writer.push(entry(number)).expect("it can be written"));
        writer.finish(origin);
    }

    #[test]
    fn an_entry_is_these_literal_bytes() {
        let mut expected = vec![7; 16];
        expected
            .extend([5, 0, 0, 0, 107, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 128, 2, 0, 0, 0]);
        assert_eq!(to_bytes(&entry(7)).to_vec(), expected);
        assert_eq!(from_bytes(&expected), entry(7));
    }

    #[test]
    fn an_index_is_believed_only_under_the_conditions_it_was_made_under() {
        let (_directory, indexes) = indexes();
        let origin = Origin::new("rules", &["orders"], "1-2-3");
        made(&indexes, 0..5, &origin);
        let index = indexes.load("orders", "1", &origin).expect("it was made");
        assert_eq!(index.read(1..3).expect("it can be read"), [entry(1), entry(2)]);
        let others = [
            Origin::new("other rules", &["orders"], "1-2-3"),
            Origin::new("rules", &["orders", "more"], "1-2-3"),
            Origin::new("rules", &["orders"], "1-2-4"),
        ];
        assert!(others.iter().all(|other| indexes.load("orders", "1", other).is_none()));
        assert!(indexes.load("orders", "2", &origin).is_none());
    }

    #[test]
    fn an_index_that_was_not_finished_leaves_the_one_before() {
        let (directory, indexes) = indexes();
        let origin = Origin::new("rules", &["orders"], "1-2-3");
        made(&indexes, 0..2, &origin);
        drop(indexes.begin("orders", "1").expect("it can be written"));
        std::fs::write(directory.path().join("record-indexes/left-by-a-crash"), "x")
            .expect("it can be written");
        indexes.clear_up();
        assert_eq!(indexes.load("orders", "1", &origin).expect("it was made").len(), 2);
        assert_eq!(
            std::fs::read_dir(directory.path().join("record-indexes"))
                .expect("a directory")
                .count(),
            1
        );
    }

    #[test]
    fn a_lookup_finds_what_is_there_in_any_order() {
        let (_directory, indexes) = indexes();
        let origin = Origin::new("rules", &["orders"], "1-2-3");
        made(&indexes, 0..200, &origin);
        let index = indexes.load("orders", "1", &origin).expect("it was made");
        let mut lookup = Lookup::new(&index);
        for number in (0..200).rev() {
            assert_eq!(lookup.find(&[number; 16]), Some(u32::from(number)));
        }
        assert_eq!(lookup.find(&[201; 16]), None);
    }
}
