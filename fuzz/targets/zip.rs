//! Any bytes as a zip archive: its members are listed and read, or it is said why not.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tidegate_fuzz::read_archive(input));
