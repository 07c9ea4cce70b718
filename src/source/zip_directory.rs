//! Zip directory: opens a zip archive whose list of members fits into memory.

use std::io::{Error, Read, Result, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use zip::ZipArchive;
use zip::result::ZipResult;

/// Most bytes of the list: those of some ten thousand members. A member takes some ten times as
/// much in memory.
const DIRECTORY_BYTES_MAX: u64 = 4 << 20;

/// Opens an archive.
///
/// # Errors
///
/// When its list cannot be read, or is too long.
pub fn open_zip<R: Read + Seek>(reader: R) -> ZipResult<ZipArchive<Bounded<R>>> {
    let left = Arc::new(AtomicU64::new(DIRECTORY_BYTES_MAX));
    let archive = ZipArchive::new(Bounded { reader, left: Arc::clone(&left) })?;
    // From here on, members are read.
    left.store(u64::MAX, Ordering::Relaxed);
    Ok(archive)
}

/// A reader of which only so much can be read, until the bound is lifted.
#[derive(Debug)]
pub struct Bounded<R> {
    reader: R,
    left: Arc<AtomicU64>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize> {
        let left = self.left.load(Ordering::Relaxed);
        if left == 0 && !bytes.is_empty() {
            return Err(Error::other("its list of members is longer than that of any export"));
        }
        let wanted = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let read = self.reader.read(&mut bytes[..wanted])?;
        if left < u64::MAX {
            self.left.store(left - read as u64, Ordering::Relaxed);
        }
        Ok(read)
    }
}

impl<R: Seek> Seek for Bounded<R> {
    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        self.reader.seek(to)
    }
}
