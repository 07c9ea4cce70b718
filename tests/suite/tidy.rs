//! The rules of the architecture that a machine can check, checked on the source text itself.

use regex::Regex;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A file that is longer does more than one job.
const LINES_MAX: usize = 600;

/// Rooms and files that compute and nothing else: no files, no network, no clock.
const PURE: [&str; 7] = [
    "src/transform/",
    "src/feed/",
    "src/values/",
    "src/chunk.rs",
    "src/config/allowed_host.rs",
    "src/config/database_url.rs",
    "src/process/terminal.rs",
];

/// Imports that climb although they must not, as `file: room`. An entry goes with its import.
const CLIMBS: [&str; 0] = [];

/// The floors within `sink/`, from the bottom up; the files beside these folders stand above them.
const SINK_FLOORS: [&str; 4] = ["db", "ledger", "tables", "marts"];

/// As [`CLIMBS`], within `sink/`.
const SINK_CLIMBS: [&str; 0] = [];

/// A source file: its path from the root, and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    fn is_in(&self, folder: &str) -> bool {
        self.path.starts_with(folder)
    }

    /// The top-level module that it is part of.
    fn room(&self) -> &str {
        let below = self.path.strip_prefix("src/").unwrap_or(&self.path);
        below.split(['/', '.']).next().unwrap_or(below)
    }

    fn is_one_of(&self, paths: &[&str]) -> bool {
        paths.contains(&self.path.as_str())
    }

    /// The lines of code outside of comments and of the tests at the file's end, with their
    /// numbers.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let end = self.text.find("#[cfg(test)]").unwrap_or(self.text.len());
        let lines = self.text[..end].lines().enumerate();
        lines
            .map(|(index, line)| (index + 1, line))
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
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
        found.extend(
            lines.map(|(number, line)| format!("{}:{number}: {}", source.path, line.trim())),
        );
    }
    assert!(found.is_empty(), "{rule}:\n{}", found.join("\n"));
}

/// The table of floors in ARCHITECTURE.md: each room, and how high it stands.
fn floors() -> BTreeMap<String, u32> {
    let page = read("ARCHITECTURE.md");
    let (_, section) = page.split_once("\n## Floors\n").expect("ARCHITECTURE.md tells the floors");
    let section = section.split("\n## ").next().expect("a split has a first part");
    let line = Regex::new(r"(?m)^\| (\d+) \| (.*) \|$").expect("a valid pattern");
    let room = Regex::new("`([a-z_]+)`").expect("a valid pattern");
    let mut floors = BTreeMap::new();
    for line in line.captures_iter(section) {
        let floor = line[1].parse().expect("floors are small numbers");
        for room in room.captures_iter(&line[2]) {
            let twice = floors.insert(room[1].to_owned(), floor);
            assert_eq!(twice, None, "{} stands on two floors", &room[1]);
        }
    }
    floors
}

#[test]
fn every_room_stands_on_a_floor() {
    let mut rooms: Vec<String> =
        sources(&["src"]).iter().map(|source| source.room().to_owned()).collect();
    rooms.retain(|room| room != "lib");
    rooms.sort();
    rooms.dedup();
    assert_eq!(
        floors().into_keys().collect::<Vec<_>>(),
        rooms,
        "the table of floors beside what is in src/"
    );
}

#[test]
fn no_import_climbs() {
    let floors = floors();
    let import = Regex::new(r"\b(?:crate|tidegate)::(\w+)").expect("a valid pattern");
    let mut climbs = Vec::new();
    for source in sources(&["src"]).iter().filter(|source| source.room() != "lib") {
        let own = source.room();
        for (number, line) in source.code() {
            assert!(
                !line.contains("crate::{"),
                "{}:{number}: a line for each room: {line}",
                source.path
            );
            let rooms = import.captures_iter(line).map(|import| import[1].to_owned());
            for room in rooms.filter(|room| room != own && floors.contains_key(room)) {
                if floors[&room] >= floors[own] {
                    climbs.push(format!("{}: {room}", source.path));
                }
            }
        }
    }
    climbs.dedup();
    assert_eq!(
        climbs, CLIMBS,
        "imports from the same floor or from above it, beside those that are known"
    );
}

#[test]
fn no_import_climbs_within_the_sink() {
    let floor_of = |room: &str| {
        SINK_FLOORS.iter().position(|known| *known == room).unwrap_or(SINK_FLOORS.len())
    };
    let import = Regex::new(r"\bcrate::sink::([a-z_]+)\b").expect("a valid pattern");
    let mut climbs = Vec::new();
    for source in sources(&["src/sink"]) {
        let own = source.path.split(['/', '.']).nth(2).expect("it is below src/sink");
        for (_, line) in source.code() {
            let rooms = import.captures_iter(line).map(|import| import[1].to_owned());
            climbs.extend(
                rooms
                    .filter(|room| floor_of(room) > floor_of(own))
                    .map(|room| format!("{}: {room}", source.path)),
            );
        }
    }
    assert_eq!(climbs, SINK_CLIMBS, "imports from above within sink/, beside those that are known");
}

#[test]
fn reading_files_and_writing_to_databases_know_nothing_of_each_other() {
    forbid("source/ uses sink/", r"\bsink::", &["src/source"], |_| false);
    forbid("sink/ uses source/", r"\bsource::", &["src/sink"], |_| false);
}

#[test]
fn only_the_sink_knows_the_database_library() {
    let is_sink = |source: &Source| source.is_in("src/sink/");
    let is_allowed = |source: &Source| is_sink(source) || source.is_in("src/verify/");
    forbid("sea_orm outside of sink/ and verify/", r"\bsea_(orm|query)\b", &["src"], is_allowed);
    forbid("a driver outside of sink/", r"\b(sqlx|rusqlite|mysql_async)::", &["src"], is_sink);
}

#[test]
fn only_the_sink_knows_entities_and_migrations() {
    // The shapes of tables are plain data, which entities are read as.
    let shapes = Regex::new(
        r"^(pub )?use entity::\{?((ColumnShape|IDENTIFIER_CHARS_MAX|Kind|ROW_HASH|TableShape|market_tables)(, )?)+\}?;$",
    );
    let shapes = shapes.expect("a valid pattern");
    let is_sink = |source: &Source| source.is_in("src/sink/");
    for source in
        sources(&["src"]).iter().filter(|source| !is_sink(source) && !source.is_in("src/verify/"))
    {
        for (number, line) in source.code().filter(|(_, line)| line.contains("entity::")) {
            assert!(
                shapes.is_match(line),
                "{}:{number}: more of entity/ than shapes: {line}",
                source.path
            );
        }
    }
    forbid("migrations outside of sink/", r"\bmigration::", &["src"], is_sink);
}

#[test]
fn only_the_sink_and_verify_tell_databases_apart() {
    let is_allowed = |source: &Source| source.is_in("src/sink/") || source.is_in("src/verify/");
    let kinds = r"\bDialect::(Sqlite|Mysql|Postgres)\b";
    forbid("a kind of database outside of sink/ and verify/", kinds, &["src"], is_allowed);
    let is_allowed =
        |source: &Source| source.is_one_of(&["src/sink/db/dialect.rs", "migration/src/ddl.rs"]);
    forbid(
        "the library's name of a database outside of dialect.rs and ddl.rs",
        r"\b(DbBackend|DatabaseBackend)::",
        &["src", "migration", "entity"],
        is_allowed,
    );
}

#[test]
fn rooms_that_compute_do_nothing_else() {
    let is_pure = |source: &Source| PURE.iter().any(|place| source.path.starts_with(place));
    for place in PURE {
        assert!(root().join(place).exists(), "{place} is gone; this list names it");
    }
    let pattern = r"\b(std::fs|fs::\w+\(|File\b|net::|env::|SystemTime|Instant\b|Utc::now|tokio|tracing|std::process|process::(id|exit|Command))";
    forbid("I/O, a clock or async in a room that computes", pattern, &["src"], |source| {
        !is_pure(source)
    });
}

#[test]
fn one_file_retries() {
    let is_retry = |source: &Source| source.is_one_of(&["src/dispatch/retry.rs"]);
    forbid("backon outside of retry.rs", r"\bbackon\b", &["src"], is_retry);
}

#[test]
fn one_file_reads_the_environment() {
    let is_allowed = |source: &Source| source.is_one_of(&["src/config/mod.rs"]);
    forbid(
        "the environment is read outside of config/mod.rs",
        r"\benv::vars?(_os)?\b",
        &["src"],
        is_allowed,
    );
}

#[test]
fn every_file_says_what_it_is_and_keeps_to_one_job() {
    for source in sources(&["src", "entity", "migration", "tests", "examples"]) {
        assert!(
            source.text.starts_with("//! "),
            "{} does not open with its noun and its job",
            source.path
        );
        let lines = source.text.lines().count();
        assert!(lines <= LINES_MAX, "{} has {lines} lines; {LINES_MAX} are the limit", source.path);
    }
}

#[test]
fn comments_wrap_at_100() {
    // Code is the formatter's, which leaves long texts alone.
    for source in sources(&["src", "entity", "migration", "tests", "examples"]) {
        let comments = (1..).zip(source.text.lines()).filter(|(_, line)| {
            line.trim_start().starts_with("//") && !line.trim_start().starts_with("//! |")
        });
        for (number, line) in comments {
            assert!(line.chars().count() <= 100, "{}:{number}: {line}", source.path);
        }
    }
}

#[test]
fn every_name_in_the_architecture_exists() {
    let page = read("ARCHITECTURE.md");
    let floors = floors();
    let name = Regex::new("`([a-z_]+(?:::[A-Za-z_]+)+)`").expect("a valid pattern");
    let all = sources(&["src"]);
    let names = name.captures_iter(&page).map(|name| name[1].to_owned());
    let is_ours = |name: &String| floors.contains_key(name.split("::").next().unwrap_or_default());
    let names: Vec<String> = names.filter(is_ours).collect();
    assert!(names.len() > 50, "{names:?}");
    for name in names {
        let parts: Vec<&str> = name.split("::").collect();
        // The longest beginning that is a module; what is behind it must stand in its file.
        let is_there = (1..=parts.len()).rev().any(|end| {
            let module = format!("src/{}", parts[..end].join("/"));
            let files = [format!("{module}.rs"), format!("{module}/mod.rs")];
            let has = |source: &Source, part: &str| {
                let word = Regex::new(&format!(r"\b{part}\b")).expect("a valid pattern");
                word.is_match(&source.text)
            };
            let source = all.iter().find(|source| files.contains(&source.path));
            source.is_some_and(|source| parts[end..].iter().all(|part| has(source, part)))
        });
        assert!(is_there, "ARCHITECTURE.md names `{name}`, which is not there");
    }
}

#[test]
fn steps_of_migrations_have_shapes_of_their_own() {
    let steps = sources(&["migration/src"]);
    for step in steps.iter().filter(|source| source.path.contains("/m20")) {
        for (number, line) in step.code().filter(|(_, line)| line.contains("entity::")) {
            let is_kind = line.starts_with("use entity::Kind");
            assert!(is_kind, "{}:{number}: today's entities may change: {line}", step.path);
        }
    }
}

#[test]
fn no_file_is_unwrapped_without_a_reason() {
    forbid(
        "unwrap() without a reason",
        r"\.unwrap\(\)",
        &["src", "entity/src", "migration/src"],
        |_| false,
    );
}

#[test]
fn every_key_of_the_configuration_is_explained() {
    let text = read("etc/tidegate.toml");
    assert!(
        text.contains("`settle_ms` as TIDEGATE_SETTLE_MS"),
        "the rule for the environment is not explained"
    );
    let keys: toml::Table = toml::from_str(&text).expect("the default configuration is TOML");
    let lines: Vec<&str> = text.lines().collect();
    for key in keys.keys() {
        let is_key =
            |line: &&str| line.starts_with(&format!("{key} = ")) || **line == format!("[{key}]");
        let at = lines.iter().position(is_key);
        let at = at.unwrap_or_else(|| panic!("{key} does not stand on a line of its own"));
        // A comment may speak for the few keys below it, then it names them, or they follow at
        // once.
        let above = lines[..at].iter().rev().take_while(|line| !line.is_empty());
        assert!(
            above.into_iter().any(|line| line.starts_with('#')),
            "{key} has no comment above it"
        );
    }
}

#[test]
fn every_key_of_the_configuration_is_read() {
    let keys: toml::Table =
        toml::from_str(&read("etc/tidegate.toml")).expect("the default configuration is TOML");
    let config = read("src/config/mod.rs");
    for key in keys.keys() {
        let field = Regex::new(&format!(r"\b_?{key}: ")).expect("keys are words");
        assert!(
            field.is_match(&config),
            "{key} is documented, but src/config/mod.rs does not know it"
        );
    }
}

#[test]
fn the_reference_of_declarations_has_every_key_and_no_other() {
    let source = read("src/config/keys.rs");
    let page = read("docs/declarations.md");
    let quoted = Regex::new("\"([a-z_]+)\"").expect("a valid pattern");
    let row = Regex::new("(?m)^\\| `([a-z_]+)` \\|").expect("a valid pattern");
    let (of_dataset, of_column) =
        page.split_once("## A column").expect("columns have a section of their own");
    for (list, section) in [("DATASET_KEYS", of_dataset), ("COLUMN_KEYS", of_column)] {
        let (_, list) = source.split_once(&format!("const {list}: ")).expect("the list is there");
        let (list, _) = list.split_once("];\n").expect("the list ends");
        let mut keys: Vec<&str> =
            quoted.captures_iter(list).map(|found| found.extract::<1>().1[0]).collect();
        let mut told: Vec<&str> =
            row.captures_iter(section).map(|found| found.extract::<1>().1[0]).collect();
        keys.sort_unstable();
        told.sort_unstable();
        assert_eq!(keys, told);
    }
}

#[test]
fn every_line_on_damage_names_a_test_that_exists() {
    let name = Regex::new(r"`([a-z_]+(?:::[a-z_]+)?)::([a-z0-9_]+)`").expect("a valid pattern");
    let page = read("docs/damage.md");
    for line in page.lines().filter(|line| line.starts_with('|')) {
        let is_head = line.ends_with("| test |") || line.starts_with("|---");
        assert!(is_head || name.is_match(line), "no test stands behind: {line}");
        for found in name.captures_iter(line) {
            let file = format!("tests/suite/{}.rs", found[1].replace("::", "/"));
            let file_text = read(&file);
            let [once, scenario] =
                [format!("#[test]\nfn {}()", &found[2]), format!("scenario!({}", &found[2])];
            let is_test = file_text.contains(&once) || file_text.contains(&scenario);
            assert!(is_test, "{file} has no test {}", &found[2]);
        }
    }
}
