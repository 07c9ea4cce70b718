//! Text: a file's content unpacked and in UTF-8, which is what everything after it reads.
//!
//! Most files are that already and stay where they are. Others are made into a text of their own once, whatever
//! their size in little memory; a restart makes the same one again.

pub mod compression;
pub mod content;
pub mod encoding;
pub mod spool;

use crate::config::Limits;
use crate::error::SyncError;
use crate::feed::correction::corrected_paths;
use crate::feed::dataset::{Dataset, Encoding};
use crate::source::text::compression::Compression;
use crate::source::text::content::Content;
use crate::source::text::encoding::{Guess, Transcoder};
use crate::source::text::spool::Spool;
use std::path::Path;

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
    let (compression, _) = Compression::of(content.path());
    let mut content = match compression {
        Compression::None => content,
        _ => unpack(content, compression, limits, state_dir)?,
    };
    let guess = content.take_guess();
    let mark = guess.mark();
    let by_itself = || match corrected_paths(&content.path().to_string_lossy()) {
        None => dataset.encoding.unwrap_or_else(|| guess.encoding()),
        // Rejects go out as UTF-8, whatever they came in; a byte that was undecidable among all rows of the file must
        // not be decided where the others are missing.
        Some(_) => Some(guess.encoding()).filter(|&guess| guess != Encoding::Windows1252).unwrap_or(Encoding::Utf8),
    };
    let encoding = known.or(mark).unwrap_or_else(by_itself);
    if encoding != Encoding::Utf8 {
        content = transcode(content, encoding, limits, state_dir)?;
    }
    Ok(Text { content, compression, encoding })
}

fn unpack(content: Content, compression: Compression, limits: &Limits, state_dir: &Path) -> Result<Content, SyncError> {
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

fn transcode(content: Content, encoding: Encoding, limits: &Limits, state_dir: &Path) -> Result<Content, SyncError> {
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
