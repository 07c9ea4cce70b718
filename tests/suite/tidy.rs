//! The rules of the architecture that a machine can check, checked on the source text itself.

use regex::Regex;
use std::fs;
use std::path::{Path, PathBuf};

/// A file that is longer does more than one job.
const LINES_MAX: usize = 600;

/// Modules that compute and nothing else: no files, no network, no clock.
const BOTTOM: [&str; 15] = [
    "allowed_host",
    "canonical",
    "chunk",
    "clean",
    "database_url",
    "dataset",
    "diff",
    "inference",
    "moment",
    "number",
    "project",
    "row_hash",
    "schema",
    "spreadsheet",
    "terminal",
];

/// A source file: its path from the root, and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    fn is_in(&self, folder: &str) -> bool {
        self.path.starts_with(folder)
    }

    fn is_one_of(&self, paths: &[&str]) -> bool {
        paths.contains(&self.path.as_str())
    }

    /// The lines of code outside of comments and of the tests at the file's end, with their numbers.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let end = self.text.find("#[cfg(test)]").unwrap_or(self.text.len());
        let lines = self.text[..end].lines().enumerate();
        lines.map(|(index, line)| (index + 1, line)).filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every Rust file below these folders.
fn sources(folders: &[&str]) -> Vec<Source> {
    let mut waiting: Vec<PathBuf> = folders.iter().map(|folder| root().join(folder)).collect();
    let mut sources = Vec::new();
    while let Some(path) = waiting.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).expect("the source tree is readable");
            waiting.extend(entries.map(|entry| entry.expect("the source tree is readable").path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let below = path.strip_prefix(root()).expect("found below the root");
            let text = fs::read_to_string(&path).expect("source text is UTF-8");
            sources.push(Source { path: below.to_string_lossy().into_owned(), text });
        }
    }
    assert!(!sources.is_empty(), "no Rust files in {folders:?}");
    sources.sort_by(|one, other| one.path.cmp(&other.path));
    sources
}

/// Fails with every line of code that matches, in the files that are not allowed to have one.
fn forbid(rule: &str, pattern: &str, folders: &[&str], is_allowed: impl Fn(&Source) -> bool) {
    let pattern = Regex::new(pattern).expect("a valid pattern");
    let mut found = Vec::new();
    for source in sources(folders).iter().filter(|source| !is_allowed(source)) {
        let lines = source.code().filter(|(_, line)| pattern.is_match(line));
        found.extend(lines.map(|(number, line)| format!("{}:{number}: {}", source.path, line.trim())));
    }
    assert!(found.is_empty(), "{rule}:\n{}", found.join("\n"));
}

#[test]
fn reading_files_and_writing_to_databases_know_nothing_of_each_other() {
    forbid("source/ uses sink/", r"\bsink::", &["src"], |source| !source.is_in("src/source/"));
    forbid("sink/ uses source/", r"\bsource::", &["src"], |source| !source.is_in("src/sink/"));
}

#[test]
fn only_the_sink_knows_the_database_library() {
    // error.rs tells errors that pass from those that stay.
    let is_allowed = |source: &Source| source.is_in("src/sink/") || source.is_one_of(&["src/error.rs"]);
    forbid("sea_orm outside of sink/ and error.rs", r"\bsea_(orm|query)\b", &["src"], is_allowed);
    forbid("a driver outside of sink/ and error.rs", r"\b(sqlx|rusqlite|mysql_async)::", &["src"], is_allowed);
}

#[test]
fn only_the_sink_knows_entities_and_migrations() {
    // The shapes of tables are plain data, which schema.rs passes on under its own name.
    let re_export = Regex::new(r"^pub use entity::\{[^}]*\};$").expect("a valid pattern");
    let schema = sources(&["src/schema.rs"]);
    let named: Vec<&str> = schema[0].code().map(|(_, line)| line).filter(|line| line.contains("entity::")).collect();
    assert!(named.iter().all(|line| re_export.is_match(line)), "schema.rs does more than re-export: {named:?}");
    let is_allowed = |source: &Source| source.is_in("src/sink/") || source.is_one_of(&["src/schema.rs"]);
    forbid("entity or migration outside of sink/", r"\b(entity|migration)::", &["src"], is_allowed);
}

#[test]
fn two_files_know_the_kinds_of_databases() {
    let is_allowed = |source: &Source| source.is_one_of(&["src/sink/dialect.rs", "migration/src/ddl.rs"]);
    forbid(
        "a database is named outside of dialect.rs and ddl.rs",
        r"\b(DbBackend|DatabaseBackend)::",
        &["src", "migration", "entity"],
        is_allowed,
    );
}

#[test]
fn modules_that_compute_do_nothing_else() {
    let is_bottom = |source: &Source| BOTTOM.iter().any(|module| source.path == format!("src/{module}.rs"));
    for module in BOTTOM {
        assert!(root().join(format!("src/{module}.rs")).is_file(), "src/{module}.rs is gone; this list names it");
    }
    let pattern = r"\b(fs::|File\b|net::|env::|SystemTime|Instant\b|Utc::now|tokio|tracing|process::)";
    forbid("I/O, a clock or async in a module that computes", pattern, &["src"], |source| !is_bottom(source));
    let upward = r"crate::(archive|checkpoint|cli|config|daemon|health|http|inbox|lanes|retry|sink|source|sync)\b";
    forbid("a module that computes uses one above it", upward, &["src"], |source| !is_bottom(source));
}

#[test]
fn one_file_retries() {
    forbid("backon outside of retry.rs", r"\bbackon\b", &["src"], |source| source.is_one_of(&["src/retry.rs"]));
}

#[test]
fn nothing_above_the_commands_is_used_below_them() {
    let pattern = r"crate::(cli|daemon)\b";
    let is_allowed = |source: &Source| source.is_in("src/cli/") || source.is_one_of(&["src/main.rs"]);
    forbid("the command line or the daemon is used from below", pattern, &["src"], is_allowed);
}

#[test]
fn one_file_reads_the_environment() {
    let is_allowed = |source: &Source| source.is_one_of(&["src/config.rs"]);
    forbid("the environment is read outside of config.rs", r"\benv::vars?(_os)?\b", &["src"], is_allowed);
}

#[test]
fn every_file_says_what_it_is_and_keeps_to_one_job() {
    for source in sources(&["src", "entity", "migration", "tests", "examples"]) {
        assert!(source.text.starts_with("//! "), "{} does not open with its noun and its job", source.path);
        let lines = source.text.lines().count();
        assert!(lines <= LINES_MAX, "{} has {lines} lines; {LINES_MAX} are the limit", source.path);
    }
}

#[test]
fn no_file_is_unwrapped_without_a_reason() {
    forbid("unwrap() without a reason", r"\.unwrap\(\)", &["src", "entity/src", "migration/src"], |_| false);
}

#[test]
fn every_key_of_the_configuration_is_explained() {
    let text = read("etc/tidegate.toml");
    assert!(text.contains("`settle_ms` as TIDEGATE_SETTLE_MS"), "the rule for the environment is not explained");
    let keys: toml::Table = toml::from_str(&text).expect("the default configuration is TOML");
    let lines: Vec<&str> = text.lines().collect();
    for key in keys.keys() {
        let is_key = |line: &&str| line.starts_with(&format!("{key} = ")) || **line == format!("[{key}]");
        let at = lines.iter().position(is_key);
        let at = at.unwrap_or_else(|| panic!("{key} does not stand on a line of its own"));
        // A comment may speak for the few keys below it, then it names them, or they follow at once.
        let above = lines[..at].iter().rev().take_while(|line| !line.is_empty());
        assert!(above.into_iter().any(|line| line.starts_with('#')), "{key} has no comment above it");
    }
}

#[test]
fn every_key_of_the_configuration_is_read() {
    let keys: toml::Table = toml::from_str(&read("etc/tidegate.toml")).expect("the default configuration is TOML");
    let config = read("src/config.rs");
    for key in keys.keys() {
        let field = Regex::new(&format!(r"\b_?{key}: ")).expect("keys are words");
        assert!(field.is_match(&config), "{key} is documented, but src/config.rs does not know it");
    }
}

#[test]
fn every_line_on_damage_names_a_test_that_exists() {
    let name = Regex::new(r"`([a-z_]+)::([a-z0-9_]+)`").expect("a valid pattern");
    let page = read("docs/damage.md");
    for line in page.lines().filter(|line| line.starts_with('|')) {
        let is_head = line.ends_with("| test |") || line.starts_with("|---");
        assert!(is_head || name.is_match(line), "no test stands behind: {line}");
        for found in name.captures_iter(line) {
            let test = format!("#[test]\nfn {}()", &found[2]);
            let file = format!("tests/suite/{}.rs", &found[1]);
            assert!(read(&file).contains(&test), "{file} has no test {}", &found[2]);
        }
    }
}
