//! Any bytes as a CSV or TSV file: surveyed, read in chunks of any size, cleaned, projected.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tidegate_fuzz::read_file(input, &["csv", "tsv"]));
