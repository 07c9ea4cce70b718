//! Place: finds where a key of the configuration is set, so that an error can name file and line.

use crate::config::{ConfigurationError, Overrides};
use config::{ConfigError, Map};
use toml::de::{DeTable, DeValue};

/// The sources of configuration values, in which a key is searched.
pub(super) struct Sources<'a> {
    pub(super) overrides: &'a Overrides,
    pub(super) environment: &'a Map<String, String>,
    /// Names or paths of the profiles, and their texts.
    pub(super) profiles: &'a [(String, String)],
}

impl Sources<'_> {
    /// Adds the place of its key to an error, if the error is about a key.
    pub(super) fn placed(&self, error: ConfigurationError) -> ConfigurationError {
        let (key, text) = match &error {
            ConfigurationError::UnknownKey { key, .. } => (key.clone(), error.to_string()),
            ConfigurationError::Unreadable(ConfigError::At {
                error: inner,
                key: Some(key),
                ..
            }) => (key.clone(), format!("{key}: {inner}")),
            ConfigurationError::Unreadable(ConfigError::Type {
                unexpected,
                expected,
                key: Some(key),
                ..
            }) => (key.clone(), format!("{key}: it is {unexpected}, and must be {expected}")),
            _ => return error,
        };
        match self.place(&key) {
            Some(place) => ConfigurationError::Invalid(format!("{text} ({place})")),
            None => ConfigurationError::Invalid(text),
        }
    }

    /// Adds the place of the key that a reason begins with, as far as a source has it: a dataset
    /// that is wrong as a whole has that of its table.
    pub(super) fn placed_reason(&self, reason: String) -> String {
        let key = reason.split([':', ' ']).next().unwrap_or_default();
        let mut names: Vec<&str> = key.split('.').collect();
        while names.len() > 1 {
            if let Some(place) = self.place(&names.join(".")) {
                return format!("{reason} ({place})");
            }
            names.pop();
        }
        reason
    }

    /// Where a key is set. The source with the highest precedence is searched first.
    pub(super) fn place(&self, key: &str) -> Option<String> {
        let variable = format!("TIDEGATE_{}", key.replace('.', "__")).to_uppercase();
        if self.environment.keys().any(|name| name.to_uppercase() == variable) {
            return Some(format!("environment variable {variable}"));
        }
        if let Some(path) = &self.overrides.config
            && let Some(line) =
                std::fs::read_to_string(path).ok().and_then(|text| line_of(&text, key))
        {
            return Some(format!("{}, line {line}", path.display()));
        }
        let place = |(name, text): &(String, String)| {
            Some(format!("profile {name}, line {}", line_of(text, key)?))
        };
        self.profiles.iter().rev().find_map(place)
    }
}

/// The line of a key such as `datasets.orders.kind`. The first line is 1.
fn line_of(text: &str, key: &str) -> Option<usize> {
    let document = DeTable::parse(text).ok()?;
    let mut table = document.get_ref();
    let mut names = key.split('.').peekable();
    while let Some(name) = names.next() {
        let (found, value) = table.iter().find(|(found, _)| found.get_ref() == name)?;
        match value.get_ref() {
            DeValue::Table(inner) if names.peek().is_some() => table = inner,
            _ => return Some(text[..found.span().start].matches('\n').count() + 1),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_where_it_stands() {
        let text =
            "settle_ms = 1\n\n[datasets.orders]\nkind = 'full'\n[datasets.stock]\n'kind' = 'x'\n";
        assert_eq!(line_of(text, "settle_ms"), Some(1));
        assert_eq!(line_of(text, "datasets.orders.kind"), Some(4));
        assert_eq!(line_of(text, "datasets.stock.kind"), Some(6));
        assert_eq!(line_of(text, "datasets.stock"), Some(5));
        assert_eq!(line_of(text, "datasets.other"), None);
    }
}
