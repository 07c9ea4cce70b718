//! Wrapper: a JSON document that holds its records in an array inside of it. Where nothing declares
//! that, it would be one row with all of them as a text.

use crate::error::SyncError;
use crate::feed::dataset::Dataset;
use crate::source::text::content::{Content, Window};
use serde_json::Value;

/// Longest document that is looked into. A document that is read as one row is not longer either.
const DOCUMENT_BYTES_MAX: u64 = 64 << 20;

/// Refuses such a document if its dataset was made for it.
///
/// # Errors
///
/// [`SyncError::Damaged`] with the array's name and what to declare; when the file cannot be read.
pub fn check_wrapper(
    content: &Content,
    dataset: &Dataset,
    rows_read: u64,
) -> Result<(), SyncError> {
    if !dataset.is_made || rows_read != 1 || content.size_bytes() > DOCUMENT_BYTES_MAX {
        return Ok(());
    }
    let mut window = Window::at(content, 0)?;
    while !window.is_at_end() {
        window.fill()?;
    }
    let Ok(Value::Object(members)) = serde_json::from_slice(window.rest()) else { return Ok(()) };
    let holds_records =
        |value: &&Value| value.as_array().is_some_and(|items| items.iter().any(Value::is_object));
    let Some((name, _)) = members.iter().find(|(_, value)| holds_records(value)) else {
        return Ok(());
    };
    Err(SyncError::damaged(format!(
        "it is one object, whose member `{name}` holds an array of objects: declare a dataset with `paths` that match it, and \
         `json = {{ root = \"{name}\" }}` if those are its records (`tidegate describe FILE` writes it)"
    )))
}
