//! What the fuzz targets share: a file read as the daemon reads it, under bounds that the input
//! chooses.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, OnceLock};
use tidegate::chunk::{Chunk, Position};
use tidegate::config::{Config, Limits, Overrides};
use tidegate::feed::dataset::{
    ColumnSettings, Dataset, DatasetSettings, DuplicateLines, Owner, RepeatedKeys,
};
use tidegate::feed::json_settings::JsonSettings;
use tidegate::feed::layout::{Layout, Shapes};
use tidegate::sink::tables::declared_shapes;
use tidegate::source::find::scan::SourceFile;
use tidegate::source::reader::Reader;
use tidegate::source::survey::{Survey, survey};
use tidegate::source::text::content::Content;
use tidegate::source::text::read_text;
use tidegate::transform::project::Projected;
use tidegate::transform::table_rows::TableRows;
use tidegate::transform::transform;

/// Bytes at the start of an input that choose dataset, format and bounds.
pub const HEAD_BYTES: usize = 4;

/// A record as it would be stored: the hash of its own row, and of each of its lines.
type Record = (Vec<u8>, Vec<Vec<u8>>);

/// Everything that one reading of a file gives.
#[derive(Debug, Default, PartialEq, Eq)]
struct Reading {
    records: BTreeMap<String, Record>,
    /// Row number and column at fault.
    rejects: BTreeSet<(u64, Option<String>)>,
    rows_read: u64,
    rows_rejected: u64,
    rows_duplicate: u64,
    rows_skipped: u64,
    rows_repaired: u64,
}

struct Bench {
    config: Config,
    shapes: Shapes,
    /// Datasets whose objects have lines.
    of_objects: Vec<Arc<Dataset>>,
}

fn bench() -> &'static Bench {
    static BENCH: OnceLock<Bench> = OnceLock::new();
    BENCH.get_or_init(|| {
        let config = Config::load(&Overrides::default()).expect("the embedded defaults are valid");
        let null_tokens = Arc::clone(&config.datasets[0].null_tokens);
        let of_objects = [
            (None, RepeatedKeys::Quarantine, DuplicateLines::Keep),
            (None, RepeatedKeys::First, DuplicateLines::Drop),
            (Some("o"), RepeatedKeys::Last, DuplicateLines::Keep),
            (Some("d.o"), RepeatedKeys::Quarantine, DuplicateLines::Drop),
        ];
        let of_objects = of_objects.map(|(root, repeated_keys, duplicate_lines)| {
            let settings = DatasetSettings {
                key: vec!["id".to_owned()],
                lines_table: Some("object_lines".to_owned()),
                columns: [(
                    "c".to_owned(),
                    ColumnSettings { of: Some(Owner::Line), ..ColumnSettings::default() },
                )]
                .into(),
                json: Some(JsonSettings {
                    root: root.map(str::to_owned),
                    lines: Some("l".to_owned()),
                }),
                repeated_keys,
                duplicate_lines,
                ..DatasetSettings::default()
            };
            Arc::new(
                Dataset::new("objects", &settings, &null_tokens).expect("the settings are valid"),
            )
        });
        Bench { config, shapes: declared_shapes(), of_objects: of_objects.to_vec() }
    })
}

/// Reads the input as a file with one of these extensions and checks what must hold of every file.
pub fn read_file(input: &[u8], extensions: &[&str]) {
    let Some((head, bytes)) = input.split_at_checked(HEAD_BYTES) else { return };
    let bench = bench();
    let dataset = match head[0] >= 128 && extensions.contains(&"json") {
        true => &bench.of_objects[usize::from(head[0] / 32) % bench.of_objects.len()],
        false => &bench.config.datasets[usize::from(head[0]) % bench.config.datasets.len()],
    };
    let extension = extensions[usize::from(head[0] / 16) % extensions.len()];
    let whole = Limits {
        content_bytes_max: if head[1] & 1 == 0 { 0 } else { 1 << 20 },
        gather_bytes_max: 1 << 20,
        chunk_bytes_max: 1 << 20,
        row_bytes_max: [1 << 20, 200, 60, 20][usize::from(head[1] / 2) % 4],
        record_rows_max: [1 << 20, 8, 3][usize::from(head[1] / 8) % 3],
        columns_max: [1000, 12][usize::from(head[1] / 32) % 2],
        decompressed_bytes_max: 4 << 20,
        spool_dir: scratch_directory(),
        ..bench.config.limits.clone()
    };
    let pieces = Limits {
        chunk_bytes_max: 1 + usize::from(head[2]),
        gather_bytes_max: 32 + 8 * u64::from(head[3]),
        ..whole.clone()
    };
    let path = scratch_file(extension);
    std::fs::write(&path, bytes).expect("a writable temporary directory");
    let in_one = look_and_read(&path, dataset, &whole, false);
    let in_pieces = look_and_read(&path, dataset, &pieces, true);
    assert_eq!(in_one, in_pieces, "the size of chunks changes what a file says");
}

/// Reads the input as a zip archive, and checks what must hold of every one.
pub fn read_archive(input: &[u8]) {
    let bench = bench();
    let limits = Limits {
        zip_members_max: 50,
        decompressed_bytes_max: 1 << 20,
        spool_dir: scratch_directory(),
        ..bench.config.limits.clone()
    };
    let path = scratch_file("zip");
    std::fs::write(&path, input).expect("a writable temporary directory");
    let root: Arc<Path> = Arc::from(scratch_directory().as_path());
    let files = SourceFile::all_at(&root, &path, &bench.config.datasets, &limits);
    for file in &files {
        let below = file.path.strip_prefix(&path).expect("a member is below its archive");
        let is_plain = |part: Component<'_>| matches!(part, Component::Normal(_));
        assert!(below.components().all(is_plain), "a name leads out: {below:?}");
        if file.path != path
            && let Ok(mut content) = Content::open(&root, &file.path, &limits)
        {
            content.hash().expect("what was unpacked can be read");
            assert_eq!(content.stamp(), file.stamp, "a member looks as its archive says");
        }
    }
    let names: BTreeSet<&PathBuf> = files.iter().map(|file| &file.path).collect();
    assert_eq!(names.len(), files.len(), "a path is one file");
}

fn scratch_file(extension: &str) -> PathBuf {
    scratch_directory().join(format!("tidegate-fuzz-{}.{extension}", std::process::id()))
}

/// A directory in memory, where the system has such a place.
fn scratch_directory() -> PathBuf {
    let shared_memory = PathBuf::from("/dev/shm");
    if shared_memory.is_dir() { shared_memory } else { std::env::temp_dir() }
}

/// `None` when the file is refused as a whole.
fn look_and_read(
    path: &std::path::Path,
    dataset: &Arc<Dataset>,
    limits: &Limits,
    resume: bool,
) -> Option<Reading> {
    let mut content = Content::open(path.parent().expect("it is in a folder"), path, limits)
        .expect("nobody else knows the file");
    content.hash().expect("nobody else knows the file");
    let text = read_text(content, dataset, None, limits, &scratch_directory()).ok()?;
    let (survey, layout) = survey(&text, dataset, &bench().shapes, limits).ok()?;
    let file = File { content: &text.content, layout: &layout, dataset, limits, survey: &survey };
    let reading = file.read(resume);
    assert_eq!(reading.rows_read, survey.rows_read, "every row that was surveyed is read");
    assert_eq!(reading.rows_rejected, survey.rows_rejected, "what was found to be a reject is one");
    let Reading { rows_read, rows_rejected, rows_duplicate, rows_skipped, .. } = reading;
    let accepted = rows_read - rows_rejected - rows_duplicate - rows_skipped;
    let stored: usize = reading.records.values().map(|(_, lines)| lines.len().max(1)).sum();
    assert_eq!(accepted, stored as u64, "a row is accepted, a duplicate, a reject, or skipped");
    Some(reading)
}

struct File<'a> {
    content: &'a Content,
    layout: &'a Layout,
    dataset: &'a Dataset,
    limits: &'a Limits,
    survey: &'a Survey,
}

impl File<'_> {
    /// Reads everything; with `resume`, by a reader that is made anew for every chunk, as after a
    /// crash.
    fn read(&self, resume: bool) -> Reading {
        let mut reading = Reading::default();
        let mut reader = self.reader(Position::default());
        while let Some(chunk) = reader.next_chunk().expect("what was surveyed can be read") {
            let next = chunk.next;
            reading.add(self.transform(chunk));
            if resume {
                reader = self.reader(next);
            }
        }
        reading
    }

    fn reader(&self, position: Position) -> Reader<'_> {
        let reader = Reader::new(
            self.content,
            self.layout,
            self.dataset,
            self.limits,
            self.survey,
            position,
        );
        reader.expect("what was surveyed can be read")
    }

    fn transform(&self, chunk: Chunk) -> Projected {
        transform(chunk, self.survey.format.rows, self.layout, self.dataset, "1")
    }
}

impl Reading {
    fn add(&mut self, projected: Projected) {
        self.rows_read += projected.rows_read;
        self.rows_rejected += projected.rejects.len() as u64;
        self.rows_duplicate += projected.rows_duplicate;
        self.rows_skipped += projected.rows_skipped;
        self.rows_repaired += projected.rows_repaired;
        for reject in projected.rejects {
            assert!(
                self.rejects.insert((reject.row_number, reject.column)),
                "a row is rejected once"
            );
            assert!(
                !reject.reason.is_empty() && !reject.raw.contains('\0'),
                "a reject can be shown"
            );
        }
        let mut lines = vec![Vec::new(); projected.keys.len()];
        let of_lines = |rows: &TableRows, lines: &mut Vec<Vec<Vec<u8>>>| {
            for (&record, hash) in rows.record.iter().zip(&rows.hashes) {
                lines[record as usize].push(hash.to_vec());
            }
        };
        projected.lines.iter().for_each(|rows| of_lines(rows, &mut lines));
        for ((key, hash), lines) in
            projected.keys.into_iter().zip(&projected.records.hashes).zip(lines)
        {
            let twice = self.records.insert(key, (hash.to_vec(), lines));
            assert!(twice.is_none(), "a record comes whole, once");
        }
    }
}

/// Text out of an alphabet, or, when the first byte says so, the input as it is.
pub fn spelt(input: &[u8], alphabet: &str) -> String {
    match input.split_first() {
        Some((0, text)) => String::from_utf8_lossy(text).into_owned(),
        _ => {
            let letters: Vec<char> = alphabet.chars().collect();
            input.iter().map(|&byte| letters[usize::from(byte) % letters.len()]).collect()
        }
    }
}
