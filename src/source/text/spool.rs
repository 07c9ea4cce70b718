//! Spool: a text that was made from a file. It is kept in memory, or, if it is large, in an unnamed
//! file of the state directory, of which a crash leaves nothing.

use crate::error::SyncError;
use crate::source::text::content::BLOCK_BYTES;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use xxhash_rust::xxh3::xxh3_64;

/// A text that is being made.
#[derive(Debug)]
pub struct Spool<'a> {
    directory: &'a Path,
    memory_bytes_max: u64,
    /// All of it, or what is not yet in the file.
    bytes: Vec<u8>,
    file: Option<File>,
    size_bytes: u64,
    digests: Vec<u64>,
}

/// A text that was made.
#[derive(Debug)]
pub struct Spooled {
    /// Where it is.
    pub store: Store,
    /// How long it is.
    pub size_bytes: u64,
    /// Digests of its blocks.
    pub digests: Vec<u64>,
}

/// Where bytes are.
#[derive(Debug)]
pub enum Store {
    /// In memory.
    Memory(Vec<u8>),
    /// In a file that nobody else can change.
    Own(File),
    /// In the file in the inbox.
    Inbox,
}

impl<'a> Spool<'a> {
    /// An empty one; up to that many bytes stay in memory.
    pub const fn new(directory: &'a Path, memory_bytes_max: u64) -> Self {
        Self {
            directory,
            memory_bytes_max,
            bytes: Vec::new(),
            file: None,
            size_bytes: 0,
            digests: Vec::new(),
        }
    }

    /// How much was written.
    pub const fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Appends bytes.
    ///
    /// # Errors
    ///
    /// When the state directory cannot be written.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), SyncError> {
        self.bytes.extend(bytes);
        self.size_bytes += bytes.len() as u64;
        if self.file.is_none() && self.size_bytes <= self.memory_bytes_max {
            return Ok(());
        }
        let whole = self.bytes.len() / BLOCK_BYTES * BLOCK_BYTES;
        self.move_to_file(whole)
    }

    /// Ends the text.
    ///
    /// # Errors
    ///
    /// When the state directory cannot be written.
    pub fn finish(mut self) -> Result<Spooled, SyncError> {
        if self.file.is_some() {
            self.move_to_file(self.bytes.len())?;
        } else {
            self.digests = self.bytes.chunks(BLOCK_BYTES).map(xxh3_64).collect();
        }
        let store = match self.file {
            Some(file) => Store::Own(file),
            None => Store::Memory(self.bytes),
        };
        Ok(Spooled { store, size_bytes: self.size_bytes, digests: self.digests })
    }

    fn move_to_file(&mut self, length: usize) -> Result<(), SyncError> {
        let failed = |error| SyncError::spool(self.directory, error);
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(tempfile::tempfile_in(self.directory).map_err(failed)?),
        };
        self.digests.extend(self.bytes[..length].chunks(BLOCK_BYTES).map(xxh3_64));
        file.write_all(&self.bytes[..length]).map_err(failed)?;
        self.bytes.drain(..length);
        Ok(())
    }
}
