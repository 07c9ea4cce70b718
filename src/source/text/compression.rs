//! Compression: unpacks a file's bytes.

use crate::error::SyncError;
use crate::source::text::content::Content;
use flate2::bufread::MultiGzDecoder;
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::io::{BufRead, Error, Read};
use std::path::Path;

/// Smallest window that every zstd decoder is meant to have, as a power of two: 8 MiB.
const WINDOW_LOG_MIN: u32 = 23;

/// Largest window that `zstd --ultra -22` makes, as a power of two: 128 MiB. Memory may allow only
/// less.
const WINDOW_LOG_MAX: u32 = 27;

/// How a file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip, of one or several members.
    Gzip,
    /// Zstandard, of one or several frames.
    Zstd,
}

impl Compression {
    /// By the end of the file's name; and the name without that end.
    pub fn of(path: &Path) -> (Self, &Path) {
        let extension = path.extension().map(OsStr::to_ascii_lowercase);
        let compression = match extension.as_ref().and_then(|extension| extension.to_str()) {
            Some("gz") => Self::Gzip,
            Some("zst") => Self::Zstd,
            _ => return (Self::None, path),
        };
        (compression, Path::new(path.file_stem().unwrap_or_default()))
    }

    /// Hands the unpacked bytes on, block by block.
    ///
    /// # Errors
    ///
    /// [`SyncError::Damaged`] when it cannot be unpacked; and what `pass_on` says.
    pub fn unpack(
        self,
        content: &Content,
        window_bytes_max: u64,
        mut pass_on: impl FnMut(&[u8]) -> Result<(), SyncError>,
    ) -> Result<(), SyncError> {
        if content.size_bytes() == 0 {
            return Err(SyncError::damaged("it is empty, and no compressed file"));
        }
        let packed = Packed { content, block: Vec::new(), used: 0, next_block: 0 };
        let mut unpacked: Box<dyn Read + '_> = match self {
            Self::None => Box::new(packed),
            Self::Gzip => Box::new(MultiGzDecoder::new(packed)),
            Self::Zstd => {
                let mut decoder = zstd::Decoder::with_buffer(packed)
                    .map_err(|error| SyncError::Internal(error.to_string()))?;
                let window_log_max =
                    window_bytes_max.max(1).ilog2().clamp(WINDOW_LOG_MIN, WINDOW_LOG_MAX);
                decoder
                    .window_log_max(window_log_max)
                    .map_err(|error| SyncError::Internal(error.to_string()))?;
                Box::new(decoder)
            }
        };
        let mut block = vec![0; crate::source::text::content::BLOCK_BYTES];
        loop {
            match unpacked.read(&mut block) {
                Ok(0) => return Ok(()),
                Ok(read) => pass_on(&block[..read])?,
                Err(error) => return Err(self.damage(error)),
            }
        }
    }

    /// What goes wrong below is a file that cannot be read; everything else is damage.
    fn damage(self, error: Error) -> SyncError {
        match error.downcast::<SyncError>() {
            Ok(error) => error,
            Err(error) => {
                let name = if self == Self::Gzip { "gzip" } else { "zstd" };
                SyncError::damaged(format!(
                    "it is damaged, truncated, or no {name} file, and cannot be unpacked: {error}"
                ))
            }
        }
    }
}

impl std::fmt::Display for Compression {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::None => "not compressed",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        })
    }
}

/// A content as the decoders read it.
struct Packed<'a> {
    content: &'a Content,
    block: Vec<u8>,
    used: usize,
    next_block: usize,
}

impl Read for Packed<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        let read = self.fill_buf()?.read(bytes)?;
        self.consume(read);
        Ok(read)
    }
}

impl BufRead for Packed<'_> {
    fn fill_buf(&mut self) -> std::io::Result<&[u8]> {
        if self.used == self.block.len() {
            self.block.clear();
            self.used = 0;
            self.content.read_block(self.next_block, &mut self.block).map_err(Error::other)?;
            self.next_block += 1;
        }
        Ok(&self.block[self.used..])
    }

    fn consume(&mut self, bytes: usize) {
        self.used += bytes;
    }
}
