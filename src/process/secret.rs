//! Secret: a text that must not be printed, and the filter that removes it from all other texts.
//!
//! Drivers put parts of a URL into warnings and errors, far from the code that read the URL and
//! from the code that prints the error. So every secret is registered here when it is read. Every
//! text that comes from a driver or quotes user input passes through [`conceal`].
//!
//! The crate `secrecy` is not used. It wipes secrets from memory, but the driver and the
//! environment keep copies. It does not know the other forms of a secret and does not filter texts,
//! so it would replace only the type.

use regex::Regex;
use serde::{Deserialize, Deserializer};
use std::borrow::Cow;
use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;
use std::sync::{LazyLock, PoisonError, RwLock};

/// Replaces a secret in a text.
const CONCEALED: &str = "***";

/// A shorter secret is replaced only where it is a whole word, because a password like `a` is part
/// of almost every text.
const ANYWHERE_CHARS_MIN: usize = 4;

/// Every form of every secret of this process, longest first. It only grows, and it holds a handful
/// of entries.
static KNOWN: RwLock<Vec<String>> = RwLock::new(Vec::new());

/// Patterns of secrets that were never registered: the part of a URL before the `@`, and parameters
/// whose name says that they are secret.
static FORMS: LazyLock<[Regex; 2]> = LazyLock::new(|| {
    [
        r"(?i)\b([a-z][a-z0-9+.-]*://)\S*@",
        r#"(?i)\b([a-z_-]*(?:password|passwd|passphrase|pwd|secret|token)[a-z_-]*\s*=\s*|[?&][a-z_]*key=)[^\s&;]+"#,
    ]
    .map(|form| Regex::new(form).expect("a valid pattern"))
});

/// A text that cannot be printed by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A secret that [`conceal`] does not know yet; see [`make_known`].
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for code that needs it, such as a driver.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(CONCEALED)
    }
}

impl FromStr for Secret {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self::new(text))
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        String::deserialize(value).map(Self)
    }
}

/// Registers a secret, so that [`conceal`] removes it: as it is, and escaped as in a quoted string.
pub fn make_known(secret: &str) {
    let escaped = secret.escape_debug().to_string();
    let mut known = KNOWN.write().unwrap_or_else(PoisonError::into_inner);
    for form in [secret.to_owned(), escaped] {
        if !form.is_empty() && !known.contains(&form) {
            known.push(form);
        }
    }
    known.sort_by_key(|form| std::cmp::Reverse(form.len()));
}

/// Replaces every secret in a text with `***`.
pub fn conceal(text: &str) -> Cow<'_, str> {
    let mut concealed = Cow::Borrowed(text);
    for secret in KNOWN.read().unwrap_or_else(PoisonError::into_inner).iter() {
        if concealed.contains(secret.as_str()) {
            concealed = Cow::Owned(without(&concealed, secret));
        }
    }
    for form in FORMS.iter() {
        if form.is_match(&concealed) {
            let place = format!("${{1}}{CONCEALED}");
            let place = if form.as_str().ends_with('@') { format!("{place}@") } else { place };
            concealed = Cow::Owned(form.replace_all(&concealed, place).into_owned());
        }
    }
    concealed
}

fn without(text: &str, secret: &str) -> String {
    let is_short = secret.chars().count() < ANYWHERE_CHARS_MIN;
    let mut left = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(secret) {
        let (before, after) = (&rest[..at], &rest[at + secret.len()..]);
        let touches = |next: Option<char>| next.is_some_and(char::is_alphanumeric);
        let is_part =
            is_short && (touches(before.chars().next_back()) || touches(after.chars().next()));
        left.push_str(before);
        left.push_str(if is_part { secret } else { CONCEALED });
        rest = after;
    }
    left + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_printed() {
        assert_eq!(format!("{:?}", Some(Secret::new("s3cret"))), "Some(***)");
    }

    #[test]
    fn known_secrets_are_concealed_wherever_they_stand() {
        make_known("kn0wn\"one");
        make_known("q7");
        assert_eq!(conceal("a kn0wn\"one, \"kn0wn\\\"one\""), "a ***, \"***\"");
        assert_eq!(conceal("value=q7: xq7, q7x, q7"), "value=***: xq7, q7x, ***");
        assert_eq!(conceal("nothing of it"), "nothing of it");
    }

    #[test]
    fn what_has_the_form_of_a_secret_is_concealed() {
        for (text, concealed) in [
            ("cannot read postgres://u:pw@h/db?x=1 now", "cannot read postgres://***@h/db?x=1 now"),
            ("MySQL://u:p@w/?#:d@h", "MySQL://***@h"),
            ("key = \"mariadb://u:p'w@h\"", "key = \"mariadb://***@h\""),
            ("postgres://h/db?sslpassword=a%20b&x=1", "postgres://h/db?sslpassword=***&x=1"),
            ("sqlite:///a/b.db?hexkey=00ff", "sqlite:///a/b.db?hexkey=***"),
            ("database_password = hunter2", "database_password = ***"),
            ("duplicate key=(1) of orders", "duplicate key=(1) of orders"),
            ("sqlite:///var/lib/tidegate/tidegate.db", "sqlite:///var/lib/tidegate/tidegate.db"),
        ] {
            assert_eq!(conceal(text), concealed);
        }
    }
}
