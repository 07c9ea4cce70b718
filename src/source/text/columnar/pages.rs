//! Pages: how much memory the pages of a Parquet file take, from their headers alone.
//!
//! A library that decodes a page believes what its header says, and a batch of rows keeps all pages
//! that it comes from. So every header is looked at first: no page is larger than a share of the
//! memory, and a batch has as many rows as fit into another.

use crate::error::SyncError;
use crate::process::progress::moved;
use crate::source::text::columnar::DAMAGED;
use crate::source::text::content::Content;
use crate::source::text::content_reader::{ContentChunks, ContentReader, failure};
use flate2::read::MultiGzDecoder;
use parquet::basic::Compression;
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use std::io::{Error, ErrorKind, Read, Seek, SeekFrom, copy, sink};
use std::sync::Arc;

/// Numbers of rows that a batch may have.
const BATCH_ROWS: [u64; 7] = [4096, 1024, 256, 64, 16, 4, 1];

/// Longest header of a page: it may hold a least and a greatest value.
const HEADER_BYTES_MAX: u64 = 1 << 20;

/// Most pages of a column in one row group; a page takes some bytes in memory here.
const PAGES_MAX: usize = 1 << 20;

/// Most values of a column of lists in one row group, because all of them may be one row's.
const LIST_VALUES_MAX: u64 = 16 << 20;

/// Longest value of a fixed length; decimals and UUIDs have 16 to 32 bytes.
const FIXED_BYTES_MAX: i32 = 4096;

/// Deepest nesting in a header.
const DEPTH_MAX: usize = 8;

/// The encoding of texts by what they share with the one before: values may be longer than all that
/// is stored of them.
const DELTA_BYTE_ARRAY: i64 = 7;

/// A page, as its header says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Page {
    bytes: u64,
    packed_bytes: u64,
    /// 0 for a dictionary.
    values: u64,
    is_by_difference: bool,
}

/// Rows of a batch of a row group, so that its pages take no more than these bytes together.
///
/// # Errors
///
/// When a page is larger than `page_bytes_max`, or the pages are damaged.
pub fn batch_rows(
    content: &Arc<Content>,
    group: &RowGroupMetaData,
    page_bytes_max: u64,
    batch_bytes_max: u64,
) -> Result<usize, SyncError> {
    let mut needs = [0_u64; BATCH_ROWS.len()];
    for chunk in group.columns() {
        let pages = pages(content, chunk, page_bytes_max)?;
        for (need, &rows) in needs.iter_mut().zip(&BATCH_ROWS) {
            *need = need.saturating_add(bytes_of_rows(&pages, rows));
        }
    }
    let fitting = needs.iter().position(|&need| need <= batch_bytes_max);
    // A single row may need one page of each column.
    let rows = BATCH_ROWS[fitting.unwrap_or(BATCH_ROWS.len() - 1)];
    Ok(usize::try_from(rows).expect("they are few"))
}

/// Most bytes of the pages that rows in sequence come from.
fn bytes_of_rows(pages: &[Page], rows: u64) -> u64 {
    let dictionary: u64 = pages.iter().filter(|page| page.values == 0).map(|page| page.bytes).sum();
    let data: Vec<&Page> = pages.iter().filter(|page| page.values > 0).collect();
    let longest = data.iter().map(|page| page.bytes).max().unwrap_or(0);
    if data.iter().any(|page| page.is_by_difference) {
        return dictionary.saturating_add(rows.saturating_mul(longest));
    }
    // The last row of a page and those that follow it.
    let (mut most, mut end, mut bytes, mut values) = (0, 0, 0, 0);
    for start in 0..data.len() {
        while end < data.len() && (end <= start || values < rows.saturating_sub(1)) {
            bytes += data[end].bytes;
            values += if end > start { data[end].values } else { 0 };
            end += 1;
        }
        most = most.max(bytes);
        bytes -= data[start].bytes;
        values -= data.get(start + 1).filter(|_| start + 1 < end).map_or(0, |page| page.values);
    }
    dictionary.saturating_add(most)
}

/// The pages of a column in one row group.
fn pages(
    content: &Arc<Content>,
    chunk: &ColumnChunkMetaData,
    page_bytes_max: u64,
) -> Result<Vec<Page>, SyncError> {
    let name = chunk.column_path().string();
    let damaged = |reason: &str| SyncError::damaged(format!("{DAMAGED}: column {name} {reason}"));
    match chunk.compression() {
        Compression::LZO | Compression::BROTLI(_) | Compression::LZ4 => {
            return Err(SyncError::damaged(format!(
                "its column {name} is packed by {}, which is not read: write it with ZSTD, SNAPPY, GZIP, LZ4_RAW, or unpacked",
                chunk.compression_codec()
            )));
        }
        _ => {}
    }
    if chunk.column_descr().type_length() > FIXED_BYTES_MAX {
        return Err(damaged("has longer values than any number or identifier"));
    }
    let first = chunk.dictionary_page_offset().unwrap_or(chunk.data_page_offset());
    let (Ok(mut offset), Ok(bytes)) =
        (u64::try_from(first), u64::try_from(chunk.compressed_size()))
    else {
        return Err(damaged("stands before the file"));
    };
    let end = offset.checked_add(bytes).filter(|&end| end <= content.size_bytes());
    let end = end.ok_or_else(|| damaged("ends behind the file"))?;
    let mut reader = ContentReader::new(ContentChunks(Arc::clone(content)));
    let (mut pages, mut values) = (Vec::new(), 0_u64);
    while offset < end {
        moved();
        reader.seek(SeekFrom::Start(offset)).map_err(|error| failure(error, DAMAGED))?;
        let mut header = Header { reader: reader.by_ref().take(HEADER_BYTES_MAX) };
        let page = header.page().map_err(|error| failure(error, DAMAGED))?;
        let data = offset + HEADER_BYTES_MAX - header.reader.limit();
        if page.bytes > page_bytes_max || page.packed_bytes > page_bytes_max {
            return Err(SyncError::damaged(format!(
                "a page of its column {name} has {} bytes, and memory_max_mb has room for {page_bytes_max}: raise it, or write \
                 smaller pages",
                page.bytes.max(page.packed_bytes)
            )));
        }
        if matches!(chunk.compression(), Compression::GZIP(_)) {
            check_gzip(&mut reader, data, page).map_err(|error| failure(error, DAMAGED))?;
        }
        values = values.saturating_add(page.values);
        if chunk.column_descr().max_rep_level() > 0 && values > LIST_VALUES_MAX {
            return Err(damaged(&format!(
                "has lists with more than {LIST_VALUES_MAX} members in a row group: write smaller row groups"
            )));
        }
        if pages.len() == PAGES_MAX {
            return Err(damaged("has more pages in a row group than any export"));
        }
        pages.push(page);
        offset = data + page.packed_bytes;
    }
    match offset == end {
        true => Ok(pages),
        false => Err(damaged("has a page that goes on behind its end")),
    }
}

/// The library unpacks such a page to its end, however long that is.
fn check_gzip(
    reader: &mut ContentReader<ContentChunks>,
    data: u64,
    page: Page,
) -> Result<(), Error> {
    reader.seek(SeekFrom::Start(data))?;
    let mut packed = Vec::new();
    reader.by_ref().take(page.packed_bytes).read_to_end(&mut packed)?;
    // In pages of the second version, unpacked levels stand in front.
    let start = packed.windows(2).position(|pair| pair == [0x1f, 0x8b]).unwrap_or(packed.len());
    let mut unpacked = MultiGzDecoder::new(&packed[start..]).take(page.bytes + 1);
    // What cannot be unpacked, the library will say.
    match copy(&mut unpacked, &mut sink()) {
        Ok(bytes) if bytes > page.bytes => {
            Err(Error::other("a page unpacks to more than its header says"))
        }
        _ => Ok(()),
    }
}

/// The header of a page, by Thrift's compact protocol.
struct Header<R> {
    reader: R,
}

impl<R: Read> Header<R> {
    fn page(&mut self) -> Result<Page, Error> {
        let mut page = Page::default();
        let mut last = 0;
        while let Some((field, kind)) = self.field(&mut last)? {
            match (field, kind) {
                (2, 5) => page.bytes = size(self.number()?)?,
                (3, 5) => page.packed_bytes = size(self.number()?)?,
                // A page of data, of the first or second version: the number of values, the
                // encoding.
                (5 | 8, 12) => {
                    let encoding_field = if field == 5 { 2 } else { 4 };
                    let mut last = 0;
                    while let Some((of_data, kind)) = self.field(&mut last)? {
                        match (of_data, kind) {
                            (1, 5) => page.values = size(self.number()?)?,
                            (of_data, 5) if of_data == encoding_field => {
                                page.is_by_difference = self.number()? == DELTA_BYTE_ARRAY;
                            }
                            (_, kind) => self.skip(kind, DEPTH_MAX)?,
                        }
                    }
                }
                (_, kind) => self.skip(kind, DEPTH_MAX)?,
            }
        }
        Ok(page)
    }

    /// The next field's number and kind; `None` behind the last one.
    fn field(&mut self, last: &mut i64) -> Result<Option<(i64, u8)>, Error> {
        let byte = self.byte()?;
        if byte == 0 {
            return Ok(None);
        }
        *last = match byte >> 4 {
            0 => self.number()?,
            step => *last + i64::from(step),
        };
        Ok(Some((*last, byte & 0x0f)))
    }

    fn skip(&mut self, kind: u8, depth: usize) -> Result<(), Error> {
        if depth == 0 {
            return Err(invalid());
        }
        match kind {
            1 | 2 => {}
            3 => drop(self.byte()?),
            4..=6 => drop(self.number()?),
            7 => self.pass(8)?,
            8 => {
                let bytes = self.unsigned()?;
                self.pass(bytes)?;
            }
            9 | 10 => {
                let head = self.byte()?;
                let count = if head >> 4 == 15 { self.unsigned()? } else { u64::from(head >> 4) };
                for _ in 0..count {
                    // A truth value in a list has a byte of its own.
                    let kind = if matches!(head & 0x0f, 1 | 2) { 3 } else { head & 0x0f };
                    self.skip(kind, depth - 1)?;
                }
            }
            12 => {
                let mut last = 0;
                while let Some((_, kind)) = self.field(&mut last)? {
                    self.skip(kind, depth - 1)?;
                }
            }
            _ => return Err(invalid()),
        }
        Ok(())
    }

    fn pass(&mut self, bytes: u64) -> Result<(), Error> {
        match copy(&mut self.reader.by_ref().take(bytes), &mut sink())? {
            passed if passed == bytes => Ok(()),
            _ => Err(invalid()),
        }
    }

    fn number(&mut self) -> Result<i64, Error> {
        let unsigned = self.unsigned()?;
        Ok((unsigned >> 1).cast_signed() ^ -(unsigned & 1).cast_signed())
    }

    fn unsigned(&mut self) -> Result<u64, Error> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(invalid())
    }

    fn byte(&mut self) -> Result<u8, Error> {
        let mut byte = [0];
        self.reader.read_exact(&mut byte)?;
        Ok(byte[0])
    }
}

fn size(number: i64) -> Result<u64, Error> {
    u64::try_from(number).map_err(|_| invalid())
}

fn invalid() -> Error {
    Error::new(ErrorKind::InvalidData, "the header of a page is none")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(bytes: u64, values: u64) -> Page {
        Page { bytes, packed_bytes: bytes, values, is_by_difference: false }
    }

    #[test]
    fn a_batch_keeps_the_pages_that_its_rows_come_from() {
        let pages = [page(7, 0), page(10, 100), page(50, 2), page(60, 2), page(10, 100)];
        for (rows, bytes) in [(1, 60), (2, 110), (3, 110), (4, 120), (5, 120), (6, 130), (99, 130)]
        {
            assert_eq!(bytes_of_rows(&pages, rows), 7 + bytes, "{rows}");
        }
        let by_difference = [page(7, 0), Page { is_by_difference: true, ..page(10, 100) }];
        assert_eq!(bytes_of_rows(&by_difference, 64), 7 + 640);
        assert_eq!(bytes_of_rows(&[], 64), 0);
    }

    #[test]
    fn headers_are_read_with_what_stands_in_them() {
        // type 0, 300 bytes, 20 packed, a page of 9 values by differences, with statistics.
        let header = [
            0x15, 0x00, 0x15, 0xd8, 0x04, 0x15, 0x28, 0x2c, 0x15, 0x12, 0x15, 0x0e, 0x1c, 0x18,
            0x01, b'x', 0x00, 0x00, 0x00,
        ];
        let read = Header { reader: &header[..] }.page().expect("it is one");
        assert_eq!(read, Page { bytes: 300, packed_bytes: 20, values: 9, is_by_difference: true });
        for cut in 0..header.len() {
            assert!(Header { reader: &header[..cut] }.page().is_err(), "{cut}");
        }
    }
}
