//! The floor of a re-dropped export: everything that a sync does with files before it compares them
//! with a database. They are hashed, looked at, split, parsed, cleaned, projected and hashed row by
//! row, on the same threads as in a sync. With `--stages`, one after the other on one thread, and
//! what each stage takes for a row.
//!
//! `cargo run --release --example pipeline -- [--stages] FILE…`

use rayon::prelude::*;
use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};
use tidegate::config::{Config, Overrides};
use tidegate::error::SyncError;
use tidegate::feed::dataset::{Dataset, Route};
use tidegate::feed::layout::{Layout, Shapes};
use tidegate::source::reader::Reader;
use tidegate::source::survey::{Survey, survey};
use tidegate::source::text::content::Content;
use tidegate::source::text::read_text;
use tidegate::transform::row_hash::hash_rows;
use tidegate::transform::rules::Repeats;
use tidegate::transform::{Step, transform, transform_by_steps};

fn main() -> Result<(), Box<dyn Error>> {
    let config = Config::load(&Overrides::default())?;
    let shapes: Shapes =
        entity::market_tables().into_iter().map(|shape| (shape.name.clone(), shape)).collect();
    let (options, paths): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|word| word == "--stages");
    if !options.is_empty() {
        return paths.iter().try_for_each(|path| print_stages(Path::new(path), &config, &shapes));
    }
    // Files of different markets are synced side by side.
    thread::scope(|scope| {
        let (config, shapes) = (&config, &shapes);
        let files: Vec<_> = paths
            .iter()
            .map(|path| {
                scope.spawn(move || {
                    run(Path::new(path), config, shapes).map_err(|error| error.to_string())
                })
            })
            .collect();
        files
            .into_iter()
            .try_for_each(|file| file.join().map_err(|_| "a thread panicked")?.map_err(Into::into))
    })
}

/// A file that was looked at.
struct Surveyed<'a> {
    config: &'a Config,
    dataset: &'a Dataset,
    market: String,
    content: Content,
    survey: Survey,
    layout: Layout,
}

impl<'a> Surveyed<'a> {
    /// Gives the durations of hashing and of looking too.
    fn of(
        path: &Path,
        config: &'a Config,
        shapes: &Shapes,
    ) -> Result<(Self, Duration, Duration), Box<dyn Error>> {
        let (dataset, Route { market, .. }) =
            route(path, config).ok_or("no dataset matches the path")?;
        let started = Instant::now();
        let mut content = Content::open(path.parent().unwrap_or(path), path, &config.limits)?;
        content.hash()?;
        let hashed = started.elapsed();
        let text = read_text(content, dataset, None, &config.limits, &std::env::temp_dir())?;
        let (survey, layout) = survey(&text, dataset, shapes, &config.limits)?;
        let surveyed = Self { config, dataset, market, content: text.content, survey, layout };
        Ok((surveyed, hashed, started.elapsed() - hashed))
    }

    fn reader(&self) -> Result<Reader<'_>, SyncError> {
        let (layout, limits) = (&self.layout, &self.config.limits);
        Reader::new(&self.content, layout, self.dataset, limits, &self.survey, Default::default())
    }
}

fn run(path: &Path, config: &Config, shapes: &Shapes) -> Result<(), Box<dyn Error>> {
    let (file, ..) = Surveyed::of(path, config, shapes)?;
    let mut reader = file.reader()?;
    let chunks = std::iter::from_fn(|| reader.next_chunk().transpose());
    let Surveyed { dataset, market, survey, layout, .. } = &file;
    chunks.par_bridge().try_for_each(|chunk| {
        let chunk = chunk?;
        black_box(transform(chunk, survey.format.rows, layout, dataset, market));
        Ok::<(), SyncError>(())
    })?;
    Ok(())
}

fn print_stages(path: &Path, config: &Config, shapes: &Shapes) -> Result<(), Box<dyn Error>> {
    let (file, hashed, looked) = Surveyed::of(path, config, shapes)?;
    let mut reader = file.reader()?;
    let [mut split, mut parsed, mut cleaned_in, mut projected_in, mut rows_hashed] =
        [Duration::ZERO; 5];
    while let Some(chunk) = timed(&mut split, || reader.next_chunk())? {
        let mut started = Instant::now();
        let (rows, repeats) = (file.survey.format.rows, Repeats::default());
        let projected = transform_by_steps(
            chunk,
            rows,
            &file.layout,
            file.dataset,
            &file.market,
            &repeats,
            |step| {
                let total = match step {
                    Step::Decoded => &mut parsed,
                    Step::Cleaned => &mut cleaned_in,
                    Step::Projected => &mut projected_in,
                };
                *total += started.elapsed();
                started = Instant::now();
            },
        );
        // Projecting hashed them already: once more, to know what of it that was.
        let tables = [Some(&projected.records), projected.lines.as_ref()];
        timed(&mut rows_hashed, || {
            tables.into_iter().flatten().for_each(|rows| drop(black_box(hash_rows(&rows.batch))));
        });
    }
    let rows = file.survey.rows_read.max(1);
    println!("{}: {rows} rows, {:.1} MB", path.display(), file.content.size_bytes() as f64 / 1e6);
    let stages = [
        ("hash the file", hashed),
        ("look at it", looked),
        ("split", split),
        ("parse", parsed),
        ("clean", cleaned_in),
        ("project", projected_in.saturating_sub(rows_hashed)),
        ("hash rows", rows_hashed),
    ];
    for (stage, taken) in stages {
        println!("  {stage:<14} {:>6.0} ns a row", taken.as_nanos() as f64 / rows as f64);
    }
    Ok(())
}

fn timed<T>(total: &mut Duration, work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let done = work();
    *total += started.elapsed();
    done
}

fn route<'a>(path: &Path, config: &'a Config) -> Option<(&'a Dataset, Route)> {
    let name = format!("/{}", path.file_name()?.to_string_lossy());
    config.datasets.iter().find_map(|dataset| Some((&**dataset, dataset.route(&name)?)))
}
