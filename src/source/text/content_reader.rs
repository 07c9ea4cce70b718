//! Content reader: a content as decoders of packages read it, which jump to and fro.

use crate::error::SyncError;
use crate::source::text::content::{BLOCK_BYTES, Content};
use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};
use std::io::{Error, ErrorKind, Read, Result, Seek, SeekFrom};
use std::sync::Arc;

/// Reads a content from any place. It keeps one block, so that small reads in order cost one
/// reading of a block.
#[derive(Debug)]
pub struct ContentReader<C> {
    content: C,
    position: u64,
    block: Vec<u8>,
    /// The block in memory; none at first.
    index: Option<usize>,
}

impl<C: AsRef<Content>> ContentReader<C> {
    /// A reader at the beginning.
    pub const fn new(content: C) -> Self {
        Self { content, position: 0, block: Vec::new(), index: None }
    }

    fn block(&mut self) -> Result<&[u8]> {
        let index = usize::try_from(self.position).map_err(Error::other)? / BLOCK_BYTES;
        if self.index != Some(index) {
            self.block.clear();
            self.index = None;
            self.content.as_ref().read_block(index, &mut self.block).map_err(Error::other)?;
            self.index = Some(index);
        }
        let start = usize::try_from(self.position % BLOCK_BYTES as u64).map_err(Error::other)?;
        Ok(self.block.get(start..).unwrap_or_default())
    }
}

impl<C: AsRef<Content>> Read for ContentReader<C> {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize> {
        if bytes.is_empty() || self.position >= self.content.as_ref().size_bytes() {
            return Ok(0);
        }
        let read = self.block()?.read(bytes)?;
        self.position += read as u64;
        Ok(read)
    }
}

impl<C: AsRef<Content>> Seek for ContentReader<C> {
    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        let moved = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(offset) => self.content.as_ref().size_bytes().checked_add_signed(offset),
            SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        self.position = moved.ok_or(ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

/// A content as the Parquet library asks for its parts.
#[derive(Clone, Debug)]
pub struct ContentChunks(pub Arc<Content>);

impl AsRef<Content> for ContentChunks {
    fn as_ref(&self) -> &Content {
        &self.0
    }
}

impl Length for ContentChunks {
    fn len(&self) -> u64 {
        self.0.size_bytes()
    }
}

impl ChunkReader for ContentChunks {
    type T = ContentReader<Self>;

    fn get_read(&self, start: u64) -> std::result::Result<Self::T, ParquetError> {
        let mut reader = ContentReader::new(self.clone());
        reader.seek(SeekFrom::Start(start))?;
        Ok(reader)
    }

    fn get_bytes(&self, start: u64, length: usize) -> std::result::Result<Bytes, ParquetError> {
        if start.checked_add(length as u64).is_none_or(|end| end > self.len()) {
            return Err(ParquetError::EOF("a part of it lies behind its end".to_owned()));
        }
        let mut bytes = Vec::with_capacity(length);
        self.get_read(start)?.take(length as u64).read_to_end(&mut bytes)?;
        if bytes.len() < length {
            return Err(ParquetError::EOF("it ends too early".to_owned()));
        }
        Ok(bytes.into())
    }
}

/// What a decoder failed of: a content that cannot be read, or damage.
pub fn failure(error: Error, what: &str) -> SyncError {
    match error.downcast::<SyncError>() {
        Ok(error) => error,
        Err(error) => SyncError::damaged(format!("{what}: {error}")),
    }
}
