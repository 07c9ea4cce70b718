//! Words: settings that take one of a few values. The error about a wrong one lists those that are
//! allowed.

use serde::de::value::StrDeserializer;
use serde::de::{DeserializeOwned, Error, IntoDeserializer};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;

/// One of the words of an enum, whatever their case.
///
/// # Errors
///
/// Names the words that are allowed.
pub fn one_of<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<T, D::Error> {
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

/// The same for an optional setting.
///
/// # Errors
///
/// As [`one_of`].
pub fn one_of_or_none<'de, D: Deserializer<'de>, T: DeserializeOwned>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    one_of(deserializer).map(Some)
}

/// A text, or a number or truth value as its text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Scalar {
    Text(String),
    Integer(i64),
    Number(f64),
    Truth(bool),
}

impl From<Scalar> for String {
    fn from(scalar: Scalar) -> Self {
        match scalar {
            Scalar::Text(text) => text,
            Scalar::Integer(number) => number.to_string(),
            Scalar::Number(number) => number.to_string(),
            Scalar::Truth(truth) => truth.to_string(),
        }
    }
}

/// The text of a value that may also be written as a number.
///
/// # Errors
///
/// When it is a list or a table.
pub fn scalar_or_none<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    Ok(Option::<Scalar>::deserialize(deserializer)?.map(String::from))
}

/// The same of a table of values.
///
/// # Errors
///
/// When one of them is a list or a table.
pub fn scalars<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, String>, D::Error> {
    let values = BTreeMap::<String, Scalar>::deserialize(deserializer)?;
    Ok(values.into_iter().map(|(name, value)| (name, value.into())).collect())
}

/// Suggest a known word only if it is at least this similar (Jaro–Winkler, 0 to 1).
const NEAREST_SIMILARITY_MIN: f64 = 0.6;

/// The known word that is most similar to this one, if it is similar enough.
pub fn nearest<'k>(word: &str, known: &[&'k str]) -> Option<&'k str> {
    let likeness = |candidate: &str| strsim::jaro_winkler(word, candidate);
    let nearest =
        known.iter().copied().max_by(|one, other| likeness(one).total_cmp(&likeness(other)));
    nearest.filter(|nearest| likeness(nearest) >= NEAREST_SIMILARITY_MIN)
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
        let read = |text: &str| -> Result<Colour, serde_json::Error> {
            one_of(&mut serde_json::Deserializer::from_str(text))
        };
        assert_eq!(read("\"Green\"").expect("allowed"), Colour::Green);
        let error = read("\"greem\"").expect_err("no such colour").to_string();
        assert!(error.starts_with("`greem` is not allowed; write `red` or `green`"), "{error}");
    }
}
