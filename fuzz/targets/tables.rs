//! Any bytes as a workbook, a columnar file or an archive: refused, or read like any other file.

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tidegate_fuzz::read_file(
    input,
    &["xlsx", "parquet", "xlsx.gz", "parquet.zst"]
));
