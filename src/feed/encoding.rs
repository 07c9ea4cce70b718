//! Encoding: how the characters of a file are written as bytes.

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt::Formatter;

/// How the characters of a file are written as bytes, by the names of the WHATWG standard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// UTF-8, which all later steps read.
    Utf8,
    /// UTF-16, the lower byte first.
    Utf16Le,
    /// UTF-16, the higher byte first.
    Utf16Be,
    /// Any older one.
    Legacy(&'static encoding_rs::Encoding),
}

impl Encoding {
    /// Its name in the WHATWG standard.
    pub fn name(self) -> &'static str {
        match self {
            Self::Utf8 => "utf-8",
            Self::Utf16Le => "utf-16le",
            Self::Utf16Be => "utf-16be",
            Self::Legacy(encoding) => encoding.name(),
        }
    }

    /// The one of a name or other label of the standard, whatever its case.
    pub fn of_label(label: &str) -> Option<Self> {
        let encoding = encoding_rs::Encoding::for_label_no_replacement(label.trim().as_bytes())?;
        Some(match encoding {
            encoding if encoding == encoding_rs::UTF_8 => Self::Utf8,
            encoding if encoding == encoding_rs::UTF_16LE => Self::Utf16Le,
            encoding if encoding == encoding_rs::UTF_16BE => Self::Utf16Be,
            // Made for browsers; no file is written in it.
            encoding if encoding == encoding_rs::X_USER_DEFINED => return None,
            encoding => Self::Legacy(encoding),
        })
    }
}

impl Serialize for Encoding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Encoding {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        Self::of_label(&name).ok_or_else(|| D::Error::custom(format!("`{name}` is no encoding")))
    }
}

/// The encodings that a dataset names, to be tried in turn; none for `auto`.
///
/// # Errors
///
/// Names the label that is none.
pub fn encodings(dataset: &str, labels: &[String]) -> Result<Vec<Encoding>, String> {
    if let [] | [_] = labels
        && labels.iter().all(|label| matches!(label.as_str(), "" | "auto"))
    {
        return Ok(Vec::new());
    }
    let encoding = |label: &String| {
        Encoding::of_label(label).ok_or_else(|| {
            format!(
                "datasets.{dataset}.encoding: `{label}` is neither `auto` nor an encoding of the WHATWG standard, such as utf-8, \
                 windows-1252, windows-1250, windows-1254, iso-8859-15, shift_jis, gbk"
            )
        })
    };
    labels.iter().map(encoding).collect()
}

/// One text, or a list of texts.
///
/// # Errors
///
/// When it is neither.
pub fn one_or_several<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    struct Texts;
    impl<'de> Visitor<'de> for Texts {
        type Value = Vec<String>;

        fn expecting(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
            formatter.write_str("a text or a list of texts")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Vec<String>, E> {
            Ok(vec![text.to_owned()])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut texts: A) -> Result<Vec<String>, A::Error> {
            let mut all = Vec::new();
            while let Some(text) = texts.next_element()? {
                all.push(text);
            }
            Ok(all)
        }
    }
    deserializer.deserialize_any(Texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_label_of_the_standard_names_an_encoding() {
        for (label, name) in [
            ("UTF8", "utf-8"),
            ("latin1", "windows-1252"),
            ("shift_jis", "Shift_JIS"),
            ("ISO-8859-15", "ISO-8859-15"),
            ("gbk", "GBK"),
            ("utf-16", "utf-16le"),
        ] {
            assert_eq!(Encoding::of_label(label).map(Encoding::name), Some(name));
        }
        for label in ["latin-9", "replacement", "x-user-defined", ""] {
            assert_eq!(Encoding::of_label(label), None, "{label}");
        }
    }
}
