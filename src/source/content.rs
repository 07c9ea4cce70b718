//! Content: the bytes of one version of a file, read in blocks, never mixed with another version's.
//!
//! The first reading hashes it and notes a digest of every block; a later reading must meet the same ones. A file
//! that fits in its share of memory is read once and kept.

use crate::error::SyncError;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{File, Metadata};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_64;

/// Bytes read at once: large enough that a read costs little beside parsing, small beside any memory limit.
pub const BLOCK_BYTES: usize = 1 << 20;

/// What tells one version of a file from another without reading it.
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
    /// The stamp of a file's metadata.
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            size_bytes: metadata.len(),
            modified_ns: metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec()),
            inode: metadata.ino(),
            changed_ns: metadata.ctime().saturating_mul(1_000_000_000).saturating_add(metadata.ctime_nsec()),
        }
    }
}

/// The bytes of one version of a file.
#[derive(Debug)]
pub struct Content {
    path: PathBuf,
    file: File,
    stamp: Stamp,
    memory: Option<Vec<u8>>,
    /// Digest of each block, once they are known.
    digests: Vec<u64>,
}

impl Content {
    /// Opens a file; one of at most `memory_bytes_max` bytes is read at once.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or changes meanwhile.
    pub fn open(path: &Path, memory_bytes_max: u64) -> Result<Self, SyncError> {
        // A link or a pipe that took the file's place since it was found is not followed, and not waited for.
        let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
        let file = File::options().read(true).custom_flags(flags).open(path);
        let file = file.map_err(|error| SyncError::read(path, error))?;
        let metadata = file.metadata().map_err(|error| SyncError::read(path, error))?;
        if !metadata.is_file() {
            return Err(SyncError::changed_while_read(path));
        }
        let stamp = Stamp::of(&metadata);
        let mut content = Self { path: path.to_owned(), file, stamp, memory: None, digests: Vec::new() };
        if stamp.size_bytes <= memory_bytes_max {
            let mut bytes = Vec::with_capacity(usize::try_from(stamp.size_bytes).unwrap_or(0));
            let mut blocks = 0;
            while content.read_block(blocks, &mut bytes)? {
                blocks += 1;
            }
            content.memory = Some(bytes);
            content.check_unchanged()?;
        }
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

    /// Whether everything was read at once.
    pub const fn is_in_memory(&self) -> bool {
        self.memory.is_some()
    }

    /// From now on every block must have the digest it had.
    ///
    /// # Errors
    ///
    /// When one that is in memory has not.
    pub fn expect_digests(&mut self, digests: Vec<u64>) -> Result<(), SyncError> {
        if let Some(memory) = &self.memory
            && !memory.chunks(BLOCK_BYTES).map(xxh3_64).eq(digests.iter().copied())
        {
            return Err(SyncError::changed_while_read(&self.path));
        }
        self.digests = digests;
        Ok(())
    }

    /// Reads everything once: SHA-256 as lower-case hex, and from now on every block must be the same.
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
            digests.push(xxh3_64(&block));
            block.clear();
        }
        self.check_unchanged()?;
        self.digests = digests;
        Ok(crate::dataset::hex(&sha256.finalize()))
    }

    /// Appends block `index` to `bytes`; `false` when the file ends before it.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or is not the block it was at the first reading.
    pub fn read_block(&self, index: usize, bytes: &mut Vec<u8>) -> Result<bool, SyncError> {
        let offset = index * BLOCK_BYTES;
        if let Some(memory) = &self.memory {
            let block = memory.get(offset..memory.len().min(offset + BLOCK_BYTES)).unwrap_or_default();
            bytes.extend_from_slice(block);
            return Ok(!block.is_empty());
        }
        let start = bytes.len();
        bytes.resize(start + BLOCK_BYTES, 0);
        let filled = self.read_at(offset as u64, &mut bytes[start..])?;
        bytes.truncate(start + filled);
        let is_same = self.digests.get(index).is_none_or(|&digest| digest == xxh3_64(&bytes[start..]));
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
        let opened = self.file.metadata().map(|metadata| Stamp::of(&metadata));
        let at_path = std::fs::metadata(&self.path).map(|metadata| Stamp::of(&metadata));
        match (opened, at_path) {
            (Ok(opened), Ok(at_path)) if opened == self.stamp && at_path == self.stamp => Ok(()),
            _ => Err(SyncError::changed_while_read(&self.path)),
        }
    }

    fn read_at(&self, offset: u64, bytes: &mut [u8]) -> Result<usize, SyncError> {
        let mut filled = 0;
        while filled < bytes.len() {
            let read = self.file.read_at(&mut bytes[filled..], offset + filled as u64);
            match read.map_err(|error| SyncError::read(&self.path, error))? {
                0 => break,
                read => filled += read,
            }
        }
        Ok(filled)
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

impl<'a> Window<'a> {
    /// A window that starts at `offset`.
    ///
    /// # Errors
    ///
    /// As [`Content::read_block`].
    pub fn at(content: &'a Content, offset: u64) -> Result<Self, SyncError> {
        let next_block = usize::try_from(offset).unwrap_or(usize::MAX) / BLOCK_BYTES;
        let base = (next_block * BLOCK_BYTES) as u64;
        let mut window = Self { content, bytes: Vec::new(), base, parsed: 0, next_block, is_at_end: false };
        window.fill()?;
        window.parsed = usize::try_from(offset - base).unwrap_or(usize::MAX).min(window.bytes.len());
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
        self.is_at_end = !self.content.read_block(self.next_block, &mut self.bytes)?;
        self.next_block += 1;
        Ok(())
    }
}
