//! Damaged tables: workbooks, columnar files and archives with bytes that were changed by chance
//! are refused, or give what they gave before; nothing hangs, panics, or fills the memory.

use crate::forms::{Table, zip};
use crate::seed;
use fastrand::Rng;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidegate::config::{Config, Limits, Overrides};
use tidegate::error::SyncError;
use tidegate::feed::dataset::Dataset;
use tidegate::source::find::scan::SourceFile;
use tidegate::source::text::content::{Content, Window};
use tidegate::source::text::read_text;

/// Damaged files of one format and run.
const FILES: usize = 250;

/// Longest time for one small file, on a machine that is busy with other things.
const TIME_MAX: Duration = Duration::from_secs(20);

/// Bytes changed by chance.
fn damaged(bytes: &[u8], random: &mut Rng) -> Vec<u8> {
    let mut damaged = bytes.to_vec();
    match random.u8(..5) {
        0 => damaged.truncate(random.usize(..bytes.len())),
        1 => {
            let at = random.usize(..bytes.len());
            let end = (at + random.usize(1..64)).min(bytes.len());
            damaged[at..end].fill(if random.bool() { 0 } else { 0xff });
        }
        2 => {
            let at = random.usize(..bytes.len());
            let part = bytes[at..(at + 40).min(bytes.len())].to_vec();
            let to = random.usize(..bytes.len());
            damaged.splice(to..to, part);
        }
        _ => {
            // Most of what decides is at the end of these formats.
            let start = if random.bool() { 0 } else { bytes.len().saturating_sub(600) };
            for _ in 0..random.usize(1..4) {
                damaged[random.usize(start..bytes.len())] ^= 1 << random.u8(..8);
            }
        }
    }
    damaged
}

fn table() -> Table {
    let header = ["Order ID", "SKU", "Quantity", "Order Time", "Description"].map(str::to_owned);
    let row = |number: u32| {
        vec![
            format!("K{number}"),
            format!("S{}", number % 13),
            (number % 5).to_string(),
            format!("2024-03-{:02}T10:00:00.000Z", number % 28 + 1),
            format!("text {}", number % 7),
        ]
    };
    Table { header: header.into(), rows: (0..200).map(row).collect() }
}

struct Bench {
    directory: tempfile::TempDir,
    dataset: Arc<Dataset>,
    limits: Limits,
}

impl Bench {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let config = Config::load(&Overrides::default()).expect("the defaults");
        let dataset = config.datasets.iter().find(|dataset| dataset.name == "orders");
        let dataset = Arc::clone(dataset.expect("the shipped one"));
        let limits = Limits {
            decompressed_bytes_max: 64 << 20,
            spool_dir: directory.path().to_owned(),
            ..config.limits
        };
        Self { directory, dataset, limits }
    }

    /// The text that is made of a file, or why it is refused.
    fn text(&self, name: &str) -> Result<Vec<u8>, SyncError> {
        let root = self.directory.path();
        let mut content = Content::open(root, &root.join(name), &self.limits)?;
        content.hash()?;
        let text = read_text(content, &self.dataset, None, &self.limits, root)?;
        let mut window = Window::at(&text.content, 0)?;
        while !window.is_at_end() {
            window.fill()?;
        }
        Ok(window.rest().to_vec())
    }

    /// Damages a file many times, and says how often it was refused.
    fn damage(&self, name: &str, bytes: &[u8], has_sums: bool) -> usize {
        let path = self.directory.path().join(name);
        fs::write(&path, bytes).expect("a writable directory");
        let whole = self.text(name).expect("it is whole");
        let seed = seed::of("TIDEGATE_TEST_SEED");
        let mut random = Rng::with_seed(seed);
        let mut refused = 0;
        for number in 0..FILES {
            fs::write(&path, damaged(bytes, &mut random)).expect("a writable directory");
            let started = Instant::now();
            match self.text(name) {
                Ok(text) => {
                    assert!(!has_sums || text == whole, "{name} {number} of seed {seed}");
                }
                Err(SyncError::Damaged { reason }) => {
                    assert!(reason.len() > 20 && reason.len() < 1000, "{number}: {reason}");
                    refused += 1;
                }
                Err(other) => panic!("{name} {number} of seed {seed}: {other}"),
            }
            assert!(started.elapsed() < TIME_MAX, "{name} {number} of seed {seed}");
        }
        refused
    }
}

#[test]
fn damaged_workbooks_are_refused_or_give_what_they_gave() {
    let bench = Bench::new();
    assert!(bench.damage("Market 1 Orders.xlsx", &table().xlsx(), true) > FILES / 2);
}

#[test]
fn damaged_columnar_files_are_refused_or_read_and_never_hang() {
    let bench = Bench::new();
    assert!(bench.damage("Market 1 Orders.parquet", &table().parquet(), false) > FILES / 4);
}

#[test]
fn damaged_archives_are_refused_or_give_what_they_gave() {
    let bench = Bench::new();
    let root: Arc<Path> = Arc::from(bench.directory.path());
    let bytes = zip(&[("Market 1 Orders.csv", &table().csv(','))]);
    let (name, member) = ("export.zip", "export.zip/Market 1 Orders.csv");
    let path = root.join(name);
    fs::write(&path, &bytes).expect("a writable directory");
    let whole = bench.text(member).expect("it is whole");
    let seed = seed::of("TIDEGATE_TEST_SEED");
    let mut random = Rng::with_seed(seed);
    let mut refused = 0;
    for number in 0..FILES {
        fs::write(&path, damaged(&bytes, &mut random)).expect("a writable directory");
        let files = SourceFile::all_at(&root, &path, &[Arc::clone(&bench.dataset)], &bench.limits);
        assert!(!files.is_empty(), "{number} of seed {seed}: an archive that nobody hears of");
        for file in files {
            let below = file.path.strip_prefix(&root).expect("it is below");
            let below = below.to_str().expect("it is text").to_owned();
            match (&file.refusal, &file.unmatched_reason) {
                (None, None) => match bench.text(&below) {
                    Ok(text) => assert_eq!(text, whole, "{number} of seed {seed}"),
                    Err(SyncError::Damaged { .. }) => refused += 1,
                    Err(other) => panic!("{number} of seed {seed}: {other}"),
                },
                _ => refused += 1,
            }
        }
    }
    assert!(refused > FILES / 4, "{refused}");
}
