//! The floor of a re-dropped export: everything that a sync does with files before it compares them with a database.
//! They are hashed, looked at, split, parsed, cleaned, projected and hashed row by row, on the same threads as in a sync.
//!
//! `cargo run --release --example pipeline -- FILE…`

use rayon::prelude::*;
use std::error::Error;
use std::path::Path;
use std::thread;
use tidegate::clean::clean;
use tidegate::config::{Config, Overrides};
use tidegate::dataset::{Dataset, Route};
use tidegate::error::SyncError;
use tidegate::project::project;
use tidegate::schema::Shapes;
use tidegate::source::content::Content;
use tidegate::source::reader::{Reader, decode};
use tidegate::source::survey::survey;
use tidegate::source::text::read_text;

fn main() -> Result<(), Box<dyn Error>> {
    let config = Config::load(&Overrides::default())?;
    let shapes: Shapes = entity::market_tables().into_iter().map(|shape| (shape.name.clone(), shape)).collect();
    let paths: Vec<String> = std::env::args().skip(1).collect();
    // Files of different markets are synced side by side.
    thread::scope(|scope| {
        let (config, shapes) = (&config, &shapes);
        let files: Vec<_> = paths
            .iter()
            .map(|path| scope.spawn(move || run(Path::new(path), config, shapes).map_err(|error| error.to_string())))
            .collect();
        files.into_iter().try_for_each(|file| file.join().map_err(|_| "a thread panicked")?.map_err(Into::into))
    })
}

fn run(path: &Path, config: &Config, shapes: &Shapes) -> Result<(), Box<dyn Error>> {
    let (dataset, Route { market, .. }) = route(path, config).ok_or("no dataset matches the path")?;
    let limits = &config.limits;
    let mut content = Content::open(path, limits.content_bytes_max)?;
    content.hash()?;
    let text = read_text(content, dataset, None, limits, &std::env::temp_dir())?;
    let (survey, layout) = survey(&text, dataset, shapes, limits)?;
    let (format, layout, market) = (survey.format.rows, &layout, &market);
    let mut reader = Reader::new(&text.content, layout, dataset, limits, &survey, Default::default())?;
    let chunks = std::iter::from_fn(|| reader.next_chunk().transpose());
    chunks.par_bridge().try_for_each(|chunk| {
        let chunk = chunk?;
        let cleaned = clean(&decode(&chunk, format, layout), layout, dataset);
        std::hint::black_box(project(chunk, &cleaned, layout, dataset, market));
        Ok::<(), SyncError>(())
    })?;
    Ok(())
}

fn route<'a>(path: &Path, config: &'a Config) -> Option<(&'a Dataset, Route)> {
    let name = format!("/{}", path.file_name()?.to_string_lossy());
    config.datasets.iter().find_map(|dataset| Some((&**dataset, dataset.route(&name)?)))
}
