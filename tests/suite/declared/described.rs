//! Described files: what describe says of a file that somebody else has declared, without knowing
//! of it, is a declaration that takes the file.

use super::Declared;
use super::layers::Surroundings;
use crate::exactness::Known;
use crate::seed;
use fastrand::Rng;
use std::fs;
use std::sync::Arc;
use tidegate::config::{Config, Overrides};
use tidegate::dispatch::describe::describe;
use tidegate::source::find::scan::SourceFile;

/// Files of one run.
const FILES: u64 = 300;

#[test]
fn what_describe_says_of_a_declared_file_takes_it() {
    let seed = seed::of("DESCRIBE_SEED");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let config = Config::load(&Overrides::default()).expect("the embedded defaults");
    let mut described = 0;
    for number in 0..FILES {
        let seed = seed.wrapping_add(number);
        let mut random = Rng::with_seed(seed);
        let surroundings = Surroundings::any(&mut random);
        let file = Declared::any(&mut random, 0, &surroundings);
        let name = file.file_name.rsplit('/').next().expect("there is one");
        let path = directory.path().join(name);
        fs::write(&path, &file.bytes).expect("writable");
        let own =
            SourceFile::at(&Arc::from(directory.path()), &path, &config.datasets, &config.limits);
        let description = describe(&config, vec![own.expect("an ordinary file")])
            .expect("the shipped definitions are right");
        // What no file shows, such as one of many encodings, it asks for.
        let ([dataset], true) = (description.datasets.as_slice(), description.failures.is_empty())
        else {
            continue;
        };
        let said = || format!("DESCRIBE_SEED={seed}\n{}\n{}", file.text, dataset.toml);
        let config_path = directory.path().join("described.toml");
        fs::write(&config_path, &dataset.toml).expect("writable");
        let overrides = Overrides { config: Some(config_path), ..Overrides::default() };
        let own = Config::load(&overrides).unwrap_or_else(|error| panic!("{error}\n{}", said()));
        let mut made = own.datasets.iter().filter(|dataset| dataset.name.starts_with("t0"));
        let made = made.next().unwrap_or_else(|| panic!("no dataset\n{}", said()));
        // It says so where rows are none of the dialect that the file seems to have.
        if dataset.toml.contains("cannot be loaded") {
            continue;
        }
        let stored = Known::nothing_of(made).read(&path, &own);
        assert!(stored.is_some(), "it is refused\n{}", said());
        described += 1;
    }
    assert!(described > FILES / 2, "only {described} files were described");
}
