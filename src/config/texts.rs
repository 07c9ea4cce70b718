//! Texts: reads configuration files and lists of texts.

use crate::config::ConfigurationError;
use serde::{Deserialize, Deserializer};
use std::path::Path;

/// The text of a file, if it is valid TOML. The error is written here, because the library would
/// quote the wrong line, which may contain the password.
pub(super) fn toml_text(path: &Path) -> Result<String, ConfigurationError> {
    let unreadable =
        |error| ConfigurationError::Invalid(format!("cannot read `{}`: {error}", path.display()));
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let Err(error) = text.parse::<toml::Table>() else { return Ok(text) };
    let before = &text[..error.span().map_or(0, |span| span.start.min(text.len()))];
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|&c| c != '\n').count() + 1;
    let path = path.display();
    Err(ConfigurationError::Invalid(format!(
        "{path}, line {line}, column {column}: no TOML: {}",
        error.message()
    )))
}

/// A list of texts. In the environment, commas separate its entries.
pub(super) fn texts<'de, D: Deserializer<'de>>(value: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Texts {
        List(Vec<String>),
        Text(String),
    }
    Ok(match Texts::deserialize(value)? {
        Texts::List(texts) => texts,
        Texts::Text(text) => text
            .split(',')
            .map(|text| text.trim().to_owned())
            .filter(|text| !text.is_empty())
            .collect(),
    })
}
