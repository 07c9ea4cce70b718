//! Text: a file's content, unpacked and in UTF-8. All later steps read it.
//!
//! Most files are such a text already and stay where they are. Others are converted once, in little
//! memory whatever their size; a restart converts them to the same text again.

pub mod columnar;
pub mod compression;
pub mod content;
pub mod content_reader;
pub mod encoding;
pub mod spool;
pub mod typed_rows;
pub mod workbook;

use crate::config::Limits;
use crate::error::SyncError;
use crate::feed::correction::corrected_paths;
use crate::feed::dataset::Dataset;
use crate::feed::encoding::Encoding;
use crate::feed::row_format::CellTypes;
use crate::source::text::compression::Compression;
use crate::source::text::content::Content;
use crate::source::text::encoding::{Guess, Guessed, Look, Transcoder};
use crate::source::text::spool::Spool;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

/// A content as text.
#[derive(Debug)]
pub struct Text {
    /// Its UTF-8.
    pub content: Content,
    /// How the file is packed.
    pub compression: Compression,
    /// How the file writes characters.
    pub encoding: Encoding,
}

/// Makes a text of a content that was hashed, or, where the encoding is known, of any.
///
/// # Errors
///
/// [`SyncError::Damaged`] when the file cannot be unpacked or decoded, or unpacks to too much.
pub fn read_text(
    content: Content,
    dataset: &Dataset,
    known: Option<Encoding>,
    limits: &Limits,
    state_dir: &Path,
) -> Result<Text, SyncError> {
    let choose = |content: &Content, guess: Guess| chosen_encoding(content, guess, dataset, known);
    text_by(content, dataset, choose, limits, state_dir)
}

/// The same for a command that reports it: a text that may be in several encodings is read as the
/// most likely one. The flag says whether this is only a guess.
///
/// # Errors
///
/// As [`read_text`].
pub fn read_text_as_it_looks(
    content: Content,
    dataset: &Dataset,
    limits: &Limits,
    state_dir: &Path,
) -> Result<(Text, bool), SyncError> {
    let mut is_guess = false;
    let choose = |content: &Content, guess: Guess| {
        if guess.mark().is_some() || !dataset.encodings.is_empty() {
            return chosen_encoding(content, guess, dataset, None);
        }
        let (encoding, is_proven) = look_of(content, guess)?;
        is_guess = !is_proven;
        Ok(encoding)
    };
    let text = text_by(content, dataset, choose, limits, state_dir)?;
    Ok((text, is_guess))
}

/// A content as the text that it is in the encoding that is chosen for it.
fn text_by(
    content: Content,
    dataset: &Dataset,
    choose: impl FnOnce(&Content, Guess) -> Result<Encoding, SyncError>,
    limits: &Limits,
    state_dir: &Path,
) -> Result<Text, SyncError> {
    let (compression, _) = Compression::of(content.path());
    let mut content = match compression {
        Compression::None => content,
        _ => unpack(content, compression, limits, state_dir)?,
    };
    let types = cell_types(content.path());
    if !types.is_none() {
        content = typed(content, types, dataset, limits, state_dir)?;
        return Ok(Text { content, compression, encoding: Encoding::Utf8 });
    }
    let guess = content.take_guess();
    let encoding = choose(&content, guess)?;
    if encoding != Encoding::Utf8 {
        content = transcode(content, encoding, limits, state_dir)?;
    }
    Ok(Text { content, compression, encoding })
}

/// What quotes say in the text that is made of a file, by the end of its name.
pub fn cell_types(path: &Path) -> CellTypes {
    let (_, plain) = Compression::of(path);
    let extension = plain.extension().map(OsStr::to_ascii_lowercase);
    match extension.as_ref().and_then(|extension| extension.to_str()) {
        Some("xlsx") => CellTypes::Sheet,
        Some("parquet") => CellTypes::Columns,
        _ => CellTypes::None,
    }
}

/// The rows of a workbook or a columnar file as text.
fn typed(
    content: Content,
    types: CellTypes,
    dataset: &Dataset,
    limits: &Limits,
    state_dir: &Path,
) -> Result<Content, SyncError> {
    let mut spool = Spool::new(state_dir, content.memory_bytes_left(limits.content_bytes_max));
    let content = Arc::new(content);
    match types {
        CellTypes::Columns => columnar::write_rows(&content, dataset, limits, &mut spool)?,
        _ => workbook::write_rows(&content, dataset, limits, &mut spool)?,
    }
    let content = Arc::into_inner(content).expect("what read it is gone");
    content.replaced_by(spool.finish()?, Guess::default())
}

fn chosen_encoding(
    content: &Content,
    guess: Guess,
    dataset: &Dataset,
    known: Option<Encoding>,
) -> Result<Encoding, SyncError> {
    let is_correction = corrected_paths(&content.path().to_string_lossy()).is_some();
    match known.or(guess.mark()) {
        Some(encoding) => Ok(encoding),
        None if is_correction => Ok(encoding_of_correction(guess)),
        None => match dataset.encodings.as_slice() {
            [] => guessed_encoding(content, guess, dataset),
            [encoding] => Ok(*encoding),
            // An odd byte among text that is UTF-8 does not make another encoding of it: its row is
            // a reject.
            encodings if encodings.contains(&Encoding::Utf8) && guess.is_damaged_utf8() => {
                Ok(Encoding::Utf8)
            }
            encodings => first_that_decodes(content, encodings),
        },
    }
}

/// Rejects go out as UTF-8, whatever they came in; a byte that was undecidable among all rows of
/// the file must not be decided where the others are missing.
fn encoding_of_correction(guess: Guess) -> Encoding {
    match guess.guessed() {
        Guessed::Is(encoding) => encoding,
        Guessed::Other { .. } => Encoding::Utf8,
    }
}

/// What a text without mark and declaration is in. Other texts than UTF-8 and UTF-16 are read only
/// if they can only be one.
fn guessed_encoding(
    content: &Content,
    guess: Guess,
    dataset: &Dataset,
) -> Result<Encoding, SyncError> {
    let (encoding, is_proven) = look_of(content, guess)?;
    if is_proven {
        return Ok(encoding);
    }
    let name = encoding.name();
    // A dataset that was made for the file has no place of its own in the configuration.
    let place = if dataset.is_made {
        "in [defaults]".to_owned()
    } else {
        format!("of dataset {}", dataset.name)
    };
    Err(SyncError::damaged(format!(
        "its characters are written neither as UTF-8 nor as UTF-16, and other encodings make different texts of it; it looks like \
         {name}: if it is that, set `encoding = \"{name}\"` {place}; else name the right one, or export it as UTF-8"
    )))
}

/// What a text without mark looks like, and whether it can only be that.
fn look_of(content: &Content, guess: Guess) -> Result<(Encoding, bool), SyncError> {
    let is_shared = match guess.guessed() {
        Guessed::Is(encoding) => return Ok((encoding, true)),
        Guessed::Other { is_shared } => is_shared,
    };
    let mut look = Look::default();
    let (mut block, mut blocks) = (Vec::new(), 0);
    while content.read_block(blocks, &mut block)? {
        look.observe(&block);
        block.clear();
        blocks += 1;
    }
    let (encoding, is_usual) = look.finish();
    Ok((encoding, is_shared && is_usual))
}

/// The first of several encodings that has a character for everything in the text; if none has, the
/// first of all: rows that it has no characters for are rejects.
fn first_that_decodes(content: &Content, encodings: &[Encoding]) -> Result<Encoding, SyncError> {
    for &encoding in encodings {
        if decodes(content, encoding)? {
            return Ok(encoding);
        }
    }
    Ok(*encodings.first().expect("there are several"))
}

fn decodes(content: &Content, encoding: Encoding) -> Result<bool, SyncError> {
    let mut transcoder = Transcoder::new(encoding);
    let (mut block, mut text, mut blocks) = (Vec::new(), Vec::new(), 0);
    while content.read_block(blocks, &mut block)? {
        transcoder.transcode(&block, &mut text);
        // A character may end with the next block; then its beginning stays.
        let (valid, is_broken) = match std::str::from_utf8(&text) {
            Ok(_) => (text.len(), false),
            Err(error) => (error.valid_up_to(), error.error_len().is_some()),
        };
        if is_broken || transcoder.is_broken() {
            return Ok(false);
        }
        text.drain(..valid);
        block.clear();
        blocks += 1;
    }
    Ok(transcoder.finish(&mut text).is_ok() && std::str::from_utf8(&text).is_ok())
}

/// Unpacks a file that is packed by itself.
///
/// # Errors
///
/// [`SyncError::Damaged`] when it cannot be unpacked, or unpacks to too much.
pub fn unpack(
    content: Content,
    compression: Compression,
    limits: &Limits,
    state_dir: &Path,
) -> Result<Content, SyncError> {
    let mut spool = Spool::new(state_dir, content.memory_bytes_left(limits.content_bytes_max));
    let mut guess = Guess::default();
    compression.unpack(&content, limits.content_bytes_max, |bytes| {
        guess.observe(bytes);
        spool.write(bytes)?;
        if spool.size_bytes() > limits.decompressed_bytes_max {
            return Err(SyncError::damaged(format!(
                "it unpacks to more than decompressed_bytes_max allows ({})",
                limits.decompressed_bytes_max
            )));
        }
        Ok(())
    })?;
    content.replaced_by(spool.finish()?, guess)
}

fn transcode(
    content: Content,
    encoding: Encoding,
    limits: &Limits,
    state_dir: &Path,
) -> Result<Content, SyncError> {
    let mut spool = Spool::new(state_dir, content.memory_bytes_left(limits.content_bytes_max));
    let mut transcoder = Transcoder::new(encoding);
    let (mut block, mut text, mut blocks) = (Vec::new(), Vec::new(), 0);
    while content.read_block(blocks, &mut block)? {
        transcoder.transcode(&block, &mut text);
        spool.write(&text)?;
        block.clear();
        text.clear();
        blocks += 1;
    }
    transcoder.finish(&mut text)?;
    spool.write(&text)?;
    content.replaced_by(spool.finish()?, Guess::default())
}
