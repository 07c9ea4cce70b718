//! Content: the bytes of one version of a file, read in blocks, never mixed with another version's.
//!
//! The first reading hashes it and keeps a digest of every block; a later reading must find the
//! same digests. A file that fits in its share of memory is read once and kept. The unpacked or
//! decoded text of a file takes its place (`text`), with the path and stamp of the file.

use crate::config::Limits;
use crate::error::SyncError;
use crate::feed::stamp::Stamp;
use crate::process::progress::moved;
use crate::source::find::beneath::{Entry, is_astray, open_file};
use crate::source::find::zipped::{member_of, unpack};
use crate::source::text::encoding::Guess;
use crate::source::text::spool::{Spooled, Store};
use rustix::fs::{FileType, fstat};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_64;

/// Bytes read at once: large enough that a read costs little beside parsing, small beside any
/// memory limit.
pub const BLOCK_BYTES: usize = 1 << 20;

/// Blocks of the inbox's own file between two looks at whether it still is there, unchanged: a
/// fraction of a second of reading, after which work on a file that is gone ends.
const BLOCKS_PER_LOOK: usize = 64;

/// The bytes of one version of a file.
#[derive(Debug)]
pub struct Content {
    /// The directory below which no link is followed.
    root: PathBuf,
    path: PathBuf,
    /// The archive that it is a member of.
    archive: Option<PathBuf>,
    file: File,
    /// What the file on the disk looked like: the archive, if there is one.
    disk_stamp: Stamp,
    stamp: Stamp,
    store: Store,
    size_bytes: u64,
    /// Digest of each block, once they are known.
    digests: Vec<u64>,
    /// What the encoding may be, as far as the bytes were looked at.
    guess: Guess,
}

impl AsRef<Self> for Content {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl Content {
    /// Opens a file below a directory; a small one is read at once. A member of an archive is
    /// unpacked.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is larger than the limit, or changes meanwhile.
    pub fn open(root: &Path, path: &Path, limits: &Limits) -> Result<Self, SyncError> {
        if let Some((archive, name)) = member_of(root, path) {
            return Self::open_member(root, path, archive, name, limits);
        }
        let file = open_file(root, path).map_err(|error| match is_astray(&error) {
            // A link or a pipe that took the place of something on the way since the file was
            // found.
            true => SyncError::changed_while_read(path),
            false => SyncError::read(path, error),
        })?;
        let stat = fstat(&file).map_err(|error| SyncError::read(path, error.into()))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(SyncError::changed_while_read(path));
        }
        let stamp = Stamp::of(&stat);
        check_size(stamp.size_bytes, limits)?;
        let mut content = Self {
            root: root.to_owned(),
            path: path.to_owned(),
            archive: None,
            file,
            disk_stamp: stamp,
            stamp,
            store: Store::Inbox,
            size_bytes: stamp.size_bytes,
            digests: Vec::new(),
            guess: Guess::default(),
        };
        if stamp.size_bytes <= limits.content_bytes_max {
            let mut bytes = Vec::with_capacity(usize::try_from(stamp.size_bytes).unwrap_or(0));
            let mut blocks = 0;
            while content.read_block(blocks, &mut bytes)? {
                blocks += 1;
            }
            content.store = Store::Memory(bytes);
            content.check_unchanged()?;
        }
        Ok(content)
    }

    fn open_member(
        root: &Path,
        path: &Path,
        archive: PathBuf,
        name: &str,
        limits: &Limits,
    ) -> Result<Self, SyncError> {
        let (spooled, file, disk_stamp) = unpack(root, path, &archive, name, limits)?;
        let Spooled { store, size_bytes, digests } = spooled;
        let content = Self {
            root: root.to_owned(),
            path: path.to_owned(),
            archive: Some(archive),
            file,
            disk_stamp,
            stamp: Stamp { size_bytes, ..disk_stamp },
            store,
            size_bytes,
            digests,
            guess: Guess::default(),
        };
        content.check_unchanged()?;
        Ok(content)
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What the file looked like when it was opened.
    pub const fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// Digests of the blocks, for a checkpoint.
    pub fn digests(&self) -> &[u64] {
        &self.digests
    }

    /// Bytes that reading gives: of the file, or of what it was unpacked or decoded to.
    pub const fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Whether the bytes stay the same, whatever happens to the file.
    pub const fn is_own(&self) -> bool {
        !matches!(self.store, Store::Inbox)
    }

    /// What is left of a share of memory beside these bytes.
    pub fn memory_bytes_left(&self, share_bytes: u64) -> u64 {
        let taken = if matches!(self.store, Store::Memory(_)) { self.size_bytes } else { 0 };
        share_bytes.saturating_sub(taken)
    }

    /// What the bytes that were hashed or unpacked say about the encoding.
    pub fn take_guess(&mut self) -> Guess {
        std::mem::take(&mut self.guess)
    }

    /// The same version of the file, read as what was made of it.
    ///
    /// # Errors
    ///
    /// When the file changed meanwhile.
    pub fn replaced_by(self, spooled: Spooled, guess: Guess) -> Result<Self, SyncError> {
        if !self.is_own() {
            self.check_unchanged()?;
        }
        let Spooled { store, size_bytes, digests } = spooled;
        Ok(Self { store, size_bytes, digests, guess, ..self })
    }

    /// From now on, every block must have the same digest as before.
    ///
    /// # Errors
    ///
    /// When one that was read already has not.
    pub fn expect_digests(&mut self, digests: Vec<u64>) -> Result<(), SyncError> {
        let is_same = match &self.store {
            Store::Memory(bytes) => {
                bytes.chunks(BLOCK_BYTES).map(xxh3_64).eq(digests.iter().copied())
            }
            Store::Own(_) => self.digests == digests,
            Store::Inbox => true,
        };
        if !is_same {
            return Err(SyncError::changed_while_read(&self.path));
        }
        self.digests = digests;
        Ok(())
    }

    /// Reads everything once: SHA-256 as lower-case hex, and from now on every block must be the
    /// same.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or changes meanwhile.
    pub fn hash(&mut self) -> Result<String, SyncError> {
        let mut sha256 = Sha256::new();
        let mut digests = Vec::new();
        let mut block = Vec::new();
        while self.read_block(digests.len(), &mut block)? {
            sha256.update(&block);
            self.guess.observe(&block);
            digests.push(xxh3_64(&block));
            block.clear();
        }
        self.check_unchanged()?;
        self.digests = digests;
        Ok(crate::values::cell::hex(&sha256.finalize()))
    }

    /// Appends block `index` to `bytes`; `false` when the file ends before it.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or is not the block it was at the first reading.
    pub fn read_block(&self, index: usize, bytes: &mut Vec<u8>) -> Result<bool, SyncError> {
        moved();
        let offset = index * BLOCK_BYTES;
        let file = match &self.store {
            Store::Memory(memory) => {
                let block =
                    memory.get(offset..memory.len().min(offset + BLOCK_BYTES)).unwrap_or_default();
                bytes.extend_from_slice(block);
                return Ok(!block.is_empty());
            }
            Store::Own(file) => file,
            Store::Inbox => {
                // A file that is appended to all the time would have no end.
                let is_beyond = offset as u64 > self.stamp.size_bytes;
                if is_beyond || index % BLOCKS_PER_LOOK == BLOCKS_PER_LOOK - 1 {
                    self.check_unchanged()?;
                }
                &self.file
            }
        };
        let start = bytes.len();
        bytes.resize(start + BLOCK_BYTES, 0);
        let filled = self.read_at(file, offset as u64, &mut bytes[start..])?;
        bytes.truncate(start + filled);
        let is_same =
            self.digests.get(index).is_none_or(|&digest| digest == xxh3_64(&bytes[start..]));
        if !is_same || (filled == 0 && index < self.digests.len()) {
            return Err(SyncError::changed_while_read(&self.path));
        }
        Ok(filled > 0)
    }

    /// Fails when the path no longer holds the version that was opened.
    ///
    /// # Errors
    ///
    /// When the file was changed, replaced or removed.
    pub fn check_unchanged(&self) -> Result<(), SyncError> {
        let opened = fstat(&self.file).map(|stat| Stamp::of(&stat));
        let place = self.archive.as_ref().unwrap_or(&self.path);
        let at_path = Entry::of(&self.root, place)
            .and_then(|entry| entry.stat())
            .map(|stat| Stamp::of(&stat));
        match (opened, at_path) {
            (Ok(opened), Ok(at_path)) if [opened, at_path] == [self.disk_stamp; 2] => Ok(()),
            _ => Err(SyncError::changed_while_read(&self.path)),
        }
    }

    fn read_at(&self, file: &File, offset: u64, bytes: &mut [u8]) -> Result<usize, SyncError> {
        let mut filled = 0;
        while filled < bytes.len() {
            let read = file.read_at(&mut bytes[filled..], offset + filled as u64);
            match read.map_err(|error| SyncError::read(&self.path, error))? {
                0 => break,
                read => filled += read,
            }
        }
        Ok(filled)
    }
}

/// Refuses a file that is too large to be hashed, even if it takes little room on the disk.
fn check_size(size_bytes: u64, limits: &Limits) -> Result<(), SyncError> {
    match size_bytes > limits.file_bytes_max {
        true => Err(SyncError::damaged(format!(
            "it has {size_bytes} bytes, which is more than file_bytes_max allows ({})",
            limits.file_bytes_max
        ))),
        false => Ok(()),
    }
}

/// The part of a content that is being parsed.
#[derive(Debug)]
pub struct Window<'a> {
    content: &'a Content,
    bytes: Vec<u8>,
    /// Offset of `bytes[0]` in the file.
    base: u64,
    /// Parsed up to here.
    parsed: usize,
    next_block: usize,
    is_at_end: bool,
}

/// The mark by which DOS ends a text. Tools from its days still write it; it is no part of the
/// text, and would be a row of its own.
const END_MARK: u8 = 0x1a;

/// Length of a file's last bytes without such marks behind them.
fn without_end_mark(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|&byte| byte != END_MARK).map_or(0, |last| last + 1)
}

impl<'a> Window<'a> {
    /// A window that starts at `offset`.
    ///
    /// # Errors
    ///
    /// As [`Content::read_block`].
    pub fn at(content: &'a Content, offset: u64) -> Result<Self, SyncError> {
        let next_block = usize::try_from(offset).unwrap_or(usize::MAX) / BLOCK_BYTES;
        let base = (next_block * BLOCK_BYTES) as u64;
        let mut window =
            Self { content, bytes: Vec::new(), base, parsed: 0, next_block, is_at_end: false };
        window.fill()?;
        window.parsed =
            usize::try_from(offset - base).unwrap_or(usize::MAX).min(window.bytes.len());
        Ok(window)
    }

    /// What is read and not yet parsed.
    pub fn rest(&self) -> &[u8] {
        &self.bytes[self.parsed..]
    }

    /// Whether [`Window::rest`] ends where the file ends.
    pub const fn is_at_end(&self) -> bool {
        self.is_at_end
    }

    /// Offset in the file of what is parsed next.
    pub const fn offset(&self) -> u64 {
        self.base + self.parsed as u64
    }

    /// Marks bytes as parsed.
    pub fn advance(&mut self, bytes: usize) {
        self.parsed += bytes;
    }

    /// Passes by bytes without looking at them.
    ///
    /// # Errors
    ///
    /// As [`Content::read_block`].
    pub fn skip(&mut self, bytes: u64) -> Result<(), SyncError> {
        let target = self.offset() + bytes;
        let end = self.base + self.bytes.len() as u64;
        if target >= end {
            *self = Self::at(self.content, target)?;
            return Ok(());
        }
        self.advance(usize::try_from(bytes).expect("it ends within what is in memory"));
        Ok(())
    }

    /// The bytes parsed last.
    pub fn passed(&self, bytes: usize) -> &[u8] {
        &self.bytes[self.parsed - bytes..self.parsed]
    }

    /// Reads one more block.
    ///
    /// # Errors
    ///
    /// As [`Content::read_block`].
    pub fn fill(&mut self) -> Result<(), SyncError> {
        self.bytes.drain(..self.parsed);
        self.base += self.parsed as u64;
        self.parsed = 0;
        loop {
            self.is_at_end = !self.content.read_block(self.next_block, &mut self.bytes)?;
            self.next_block += 1;
            // Only what comes next tells whether a mark ends the file.
            if self.is_at_end || self.bytes.last() != Some(&END_MARK) {
                break;
            }
        }
        if self.is_at_end {
            self.bytes.truncate(without_end_mark(&self.bytes));
        }
        Ok(())
    }
}
