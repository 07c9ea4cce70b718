//! Words: settings that take one of a few values. A wrong one is told with those that are allowed.

use serde::de::value::StrDeserializer;
use serde::de::{DeserializeOwned, Error, IntoDeserializer};
use serde::{Deserialize, Deserializer};

/// One of the words of an enum, whatever their case.
///
/// # Errors
///
/// Names the words that are allowed.
pub fn one_of<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<T, D::Error> {
    let word = String::deserialize(deserializer)?;
    let lower = word.trim().to_lowercase();
    let value: StrDeserializer<'_, serde::de::value::Error> = lower.as_str().into_deserializer();
    T::deserialize(value).map_err(|error| {
        // serde says: unknown variant `archiv`, expected one of `keep`, `archive`, `delete`.
        let text = error.to_string();
        let allowed = text.split_once("expected ").map_or(text.as_str(), |(_, allowed)| allowed);
        D::Error::custom(format!("`{word}` is not allowed; write {allowed}"))
    })
}

/// The same where nothing may be said.
///
/// # Errors
///
/// As [`one_of`].
pub fn one_of_or_none<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Option<T>, D::Error> {
    one_of(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Colour {
        Red,
        Green,
    }

    #[test]
    fn a_wrong_word_is_told_with_those_that_are_allowed() {
        let read =
            |text: &str| -> Result<Colour, serde_json::Error> { one_of(&mut serde_json::Deserializer::from_str(text)) };
        assert_eq!(read("\"Green\"").expect("allowed"), Colour::Green);
        let error = read("\"greem\"").expect_err("no such colour").to_string();
        assert!(error.starts_with("`greem` is not allowed; write `red` or `green`"), "{error}");
    }
}
