//! Package: the parts of a workbook are looked at before the library reads them, which keeps shared
//! texts, styles and each piece of XML in memory as a whole.

use crate::config::Limits;
use crate::error::SyncError;
use crate::process::progress::moved;
use crate::source::text::content::{BLOCK_BYTES, Content};
use crate::source::text::content_reader::{ContentReader, failure};
use crate::source::zip_directory::open_zip;
use memchr::{memchr, memmem};
use std::io::Read;
use zip::read::ZipReadOptions;

/// What the library keeps of a shared text beside the text.
const SHARED_TEXT_BYTES: u64 = 56;

/// Most bytes of a part that is read as a whole and is no sheet: styles, names of sheets,
/// relations. Those of real workbooks have a few hundred kilobytes.
const PART_BYTES_MAX: u64 = 16 << 20;

/// How many bytes of a workbook are unpacked for each byte of it, beyond any that people make.
/// Sheets of equal rows come to some three hundred.
const RATIO_MAX: u64 = 1000;

/// Size from which the ratio is looked at: less is no danger.
const RATIO_BYTES_MIN: u64 = 16 << 20;

/// What every reason begins with.
pub const DAMAGED: &str = "it is damaged, truncated, or no Excel workbook (.xlsx)";

/// Looks at every part that may be read.
///
/// # Errors
///
/// Says what is damaged, or larger than a limit.
pub fn check(content: &Content, limits: &Limits) -> Result<(), SyncError> {
    let package = open_zip(ContentReader::new(content));
    let mut package = package.map_err(|error| failure(error.into(), DAMAGED))?;
    if package.has_duplicate_names() {
        return Err(SyncError::damaged(format!("{DAMAGED}: a part is in it twice")));
    }
    let mut bytes_left = limits.decompressed_bytes_max;
    let mut block = Vec::with_capacity(BLOCK_BYTES);
    for index in 0..package.len() {
        // A part is one only by its name; both places of it must say the same.
        let options = ZipReadOptions::new().enforce_header_consistency(true);
        let part = package.by_index_with_options(index, options);
        let mut part = part.map_err(|error| failure(error.into(), DAMAGED))?;
        let name = String::from_utf8_lossy(part.name_raw()).into_owned();
        let lower = name.to_lowercase();
        if !lower.ends_with(".xml") && !lower.ends_with(".rels") {
            continue;
        }
        let mut check = PartCheck::of(&lower, part.compressed_size(), limits);
        loop {
            moved();
            block.clear();
            let read = part.by_ref().take(BLOCK_BYTES as u64).read_to_end(&mut block);
            let read = read.map_err(|error| failure(error, DAMAGED))? as u64;
            if read == 0 {
                break;
            }
            if read > bytes_left {
                return Err(SyncError::damaged(format!(
                    "it unpacks to more than decompressed_bytes_max allows ({})",
                    limits.decompressed_bytes_max
                )));
            }
            bytes_left -= read;
            check
                .observe(&block)
                .map_err(|reason| SyncError::damaged(format!("its part {name} {reason}")))?;
        }
    }
    Ok(())
}

/// What is looked at in one part.
struct PartCheck {
    is_shared_texts: bool,
    is_sheet: bool,
    packed_bytes: u64,
    piece_bytes_max: usize,
    shared_bytes_max: u64,
    /// The piece that is not over.
    piece: Piece,
    bytes: u64,
    texts: u64,
}

/// A piece of XML that is read as a whole: a tag or the text behind it, a comment, a section of
/// characters.
#[derive(Clone, Copy, Default)]
struct Piece {
    bytes: usize,
    kind: Kind,
    /// Bytes of the end of a comment or section that came last.
    matched: usize,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Kind {
    /// A tag, or text.
    #[default]
    Plain,
    /// Behind `<`.
    Opening,
    /// Behind `<!`.
    Marked,
    /// A comment, up to `-->`.
    Comment,
    /// A section of characters, up to `]]>`.
    Section,
}

impl PartCheck {
    fn of(name: &str, packed_bytes: u64, limits: &Limits) -> Self {
        Self {
            is_shared_texts: name.ends_with("sharedstrings.xml"),
            is_sheet: name.contains("worksheets/"),
            packed_bytes,
            piece_bytes_max: limits.row_bytes_max,
            shared_bytes_max: limits.memory_bytes_max / 6,
            piece: Piece::default(),
            bytes: 0,
            texts: 0,
        }
    }

    fn observe(&mut self, block: &[u8]) -> Result<(), String> {
        if self.bytes == 0 && self.is_shared_texts {
            self.check_count(block)?;
        }
        self.bytes += block.len() as u64;
        if self.bytes > RATIO_BYTES_MIN && self.bytes / RATIO_MAX > self.packed_bytes {
            return Err(format!("unpacks to more than {RATIO_MAX} times its size"));
        }
        if self.is_shared_texts {
            let texts = |sign: &[u8]| memmem::find_iter(block, sign).count() as u64;
            self.texts += texts(b"<si") + texts(b":si");
            if self.bytes + self.texts * SHARED_TEXT_BYTES > self.shared_bytes_max {
                return Err(self.too_many_texts());
            }
        } else if !self.is_sheet && self.bytes > PART_BYTES_MAX {
            return Err(format!("has more than {PART_BYTES_MAX} bytes"));
        }
        self.measure(block)
    }

    fn too_many_texts(&self) -> String {
        format!(
            "has more shared texts than memory_max_mb has room for ({} MB of it): raise it, or export the sheet as CSV",
            self.shared_bytes_max >> 20
        )
    }

    /// The library makes room for as many shared texts as the part claims to have.
    fn check_count(&self, beginning: &[u8]) -> Result<(), String> {
        let start = memmem::find(beginning, b"sst").unwrap_or(beginning.len());
        let Some(length) = memchr(b'>', &beginning[start..]) else {
            return Err("has no table of shared texts at its beginning".to_owned());
        };
        let tag = &beginning[start..start + length];
        for at in memmem::find_iter(tag, b"uniqueCount") {
            let digits = tag[at..].iter().skip_while(|byte| !byte.is_ascii_digit());
            let digits: Vec<u8> =
                digits.take_while(|byte| byte.is_ascii_digit()).copied().collect();
            let count = String::from_utf8_lossy(&digits).parse().unwrap_or(u64::MAX);
            if !digits.is_empty() && count > self.shared_bytes_max / SHARED_TEXT_BYTES {
                return Err(self.too_many_texts());
            }
        }
        Ok(())
    }

    /// Adds up the lengths of pieces. A piece begins with a tag, and ends before the next one.
    fn measure(&mut self, block: &[u8]) -> Result<(), String> {
        let mut rest = block;
        while !rest.is_empty() {
            let mut is_over = false;
            let taken = match self.piece.kind {
                Kind::Plain => match memchr(b'<', rest) {
                    None => rest.len(),
                    Some(length) => {
                        is_over = true;
                        length
                    }
                },
                Kind::Opening => {
                    let is_marked = rest[0] == b'!';
                    self.piece.kind = if is_marked { Kind::Marked } else { Kind::Plain };
                    usize::from(is_marked)
                }
                Kind::Marked => {
                    self.piece.kind = match rest[0] {
                        b'-' => Kind::Comment,
                        b'[' => Kind::Section,
                        _ => {
                            return Err(
                                "declares a document type, which no workbook does".to_owned()
                            );
                        }
                    };
                    1
                }
                Kind::Comment => self.end_of_marked(rest, b'-'),
                Kind::Section => self.end_of_marked(rest, b']'),
            };
            self.piece.bytes += taken;
            if self.piece.bytes > self.piece_bytes_max {
                return Err(format!(
                    "has a cell or tag of more than row_bytes_max allows ({} bytes)",
                    self.piece_bytes_max
                ));
            }
            rest = &rest[taken..];
            if is_over {
                self.piece = Piece { kind: Kind::Opening, ..Piece::default() };
                rest = &rest[1..];
            }
        }
        Ok(())
    }

    /// Up to `-->` or `]]>`: two of the sign, and `>`.
    fn end_of_marked(&mut self, rest: &[u8], sign: u8) -> usize {
        for (at, &byte) in rest.iter().enumerate() {
            self.piece.matched = match byte {
                byte if byte == sign => (self.piece.matched + 1).min(2),
                b'>' if self.piece.matched == 2 => {
                    self.piece.kind = Kind::Plain;
                    self.piece.matched = 0;
                    return at + 1;
                }
                _ => 0,
            };
        }
        rest.len()
    }
}
