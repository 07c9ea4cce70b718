//! Columnar: what is read of a Parquet file, by the types that it says.

use crate::forms::parquet;
use crate::sandbox::{Report, Sandbox};
use arrow_array::builder::{
    FixedSizeBinaryBuilder, Int32Builder, ListBuilder, StringDictionaryBuilder,
};
use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array,
    Int64Array, StringArray, StructArray, Time32MillisecondArray, TimestampMicrosecondArray,
    TimestampNanosecondArray, UInt64Array,
};
use arrow_schema::{DataType, Field};
use parquet::basic::{Compression, GzipLevel, ZstdLevel};
use parquet::file::properties::{WriterProperties, WriterVersion};
use std::fs;
use std::sync::Arc;

const FILE: &str = "north columns.parquet";

fn sync(sandbox: &Sandbox, dataset: &str, environment: &[(&str, &str)]) -> Report {
    let path = sandbox.path("tidegate.toml");
    let text = format!(
        "[datasets.columns]\npaths = ['/(?<market>\\w+) columns\\.parquet$']\nkey = \"no\"\n{dataset}"
    );
    fs::write(&path, text).expect("a writable temporary directory");
    let path = path.to_string_lossy().into_owned();
    sandbox.sync_with(&[&[("TIDEGATE_CONFIG", path.as_str())], environment].concat())
}

fn plain() -> WriterProperties {
    WriterProperties::builder().build()
}

fn synced(sandbox: &Sandbox, columns: Vec<(&str, ArrayRef)>) -> Report {
    synced_as(sandbox, "", columns, plain())
}

fn synced_as(
    sandbox: &Sandbox,
    dataset: &str,
    columns: Vec<(&str, ArrayRef)>,
    properties: WriterProperties,
) -> Report {
    let columns = columns.into_iter().map(|(name, array)| (name.to_owned(), array)).collect();
    sandbox.drop_file(FILE, &parquet(columns, properties));
    let report = sync(sandbox, dataset, &[]);
    assert_eq!(report.file(FILE).outcome, "synced", "{report:?}");
    report
}

fn texts(values: &[Option<&str>]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

scenario!(types_are_honoured);
fn types_are_honoured(sandbox: &Sandbox) {
    let exact: i64 = 9_007_199_254_740_993;
    let decimals = Decimal128Array::from(vec![Some(1250), Some(-5), None])
        .with_precision_and_scale(12, 3)
        .expect("it is within bounds");
    synced(
        sandbox,
        vec![
            ("No", Arc::new(Int64Array::from(vec![exact, 2, 3]))),
            ("Text", texts(&[Some("12"), Some("1.250"), Some("007")])),
            ("Day_text", texts(&[Some("2022-02-17"), None, Some("2022-02-18")])),
            ("Amount", Arc::new(decimals)),
            ("Measure", Arc::new(Float64Array::from(vec![0.1, 2.5, f64::NAN]))),
            ("Short", Arc::new(Float32Array::from(vec![0.1, 2.5, -3.25]))),
            ("Day", Arc::new(Date32Array::from(vec![Some(19_040), None, Some(0)]))),
            ("Yes", Arc::new(BooleanArray::from(vec![true, false, true]))),
            ("Big", Arc::new(UInt64Array::from(vec![1, 2, 3]))),
            ("Clock", Arc::new(Time32MillisecondArray::from(vec![1_500, 0, 86_399_000]))),
            ("Bytes", Arc::new(BinaryArray::from(vec![b"a".as_slice(), b"b,\"c\"", b""]))),
        ],
    );
    let stored = "SELECT no, text, day_text, amount, measure, short, day, yes, big, clock, bytes FROM columns ORDER BY big";
    assert_eq!(
        sandbox.rows(stored),
        [
            "9007199254740993|12|2022-02-17|1.25|0.1|0.1|2022-02-17|true|1|00:00:01.500|a",
            "2|1.250|-|-0.005|2.5|2.5|-|false|2|00:00:00|b,\"c\"",
            "3|007|2022-02-18|-|-|-3.25|1970-01-01|true|3|23:59:59|-",
        ]
    );
}

scenario!(moments_with_and_without_a_zone_are_what_they_say: sqlite);
fn moments_with_and_without_a_zone_are_what_they_say(sandbox: &Sandbox) {
    // 2022-02-17T16:36:27.123456Z
    let micros = 1_645_115_787_123_456;
    let utc = TimestampMicrosecondArray::from(vec![micros]).with_timezone("+00:00");
    let local = TimestampMicrosecondArray::from(vec![micros]);
    let nanos = TimestampNanosecondArray::from(vec![micros * 1000]).with_timezone("Africa/Lagos");
    synced_as(
        sandbox,
        "timezone = \"Africa/Lagos\"\n",
        vec![
            ("No", texts(&[Some("1")])),
            ("At_utc", Arc::new(utc)),
            ("At_local", Arc::new(local)),
            ("At_nanos", Arc::new(nanos)),
        ],
        plain(),
    );
    assert_eq!(
        sandbox.rows("SELECT at_utc, at_local, at_nanos FROM columns"),
        ["2022-02-17T16:36:27.123Z|2022-02-17T15:36:27.123Z|2022-02-17T16:36:27.123Z"]
    );
}

scenario!(structures_are_columns_and_lists_are_json: sqlite);
fn structures_are_columns_and_lists_are_json(sandbox: &Sandbox) {
    let city = texts(&[Some("Köln"), None, Some("Bonn")]);
    let zip = texts(&[Some("50667"), Some("1"), None]);
    let ship = StructArray::from(vec![
        (Arc::new(Field::new("city", DataType::Utf8, true)), city),
        (Arc::new(Field::new("zip", DataType::Utf8, true)), zip),
    ]);
    let mut list = ListBuilder::new(Int32Builder::new());
    list.append_value([Some(1), None, Some(3)]);
    list.append_null();
    list.append_value([]);
    let mut uuids = FixedSizeBinaryBuilder::new(2);
    uuids.append_value([0xab, 0x01]).expect("two bytes");
    uuids.append_null();
    uuids.append_value([0, 0]).expect("two bytes");
    let mut words = StringDictionaryBuilder::<Int32Type>::new();
    ["x", "y", "x"].iter().for_each(|word| words.append_value(word));
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("No", texts(&[Some("1"), Some("2"), Some("3")])),
        ("Ship", Arc::new(ship)),
        ("Sizes", Arc::new(list.finish())),
        ("Hash", Arc::new(uuids.finish())),
        ("Word", Arc::new(words.finish())),
    ];
    synced(sandbox, columns.clone());
    assert_eq!(
        sandbox.rows("SELECT no, ship_city, ship_zip, sizes, hash, word FROM columns ORDER BY no"),
        ["1|Köln|50667|[1,null,3]|ab01|x", "2|-|1|-|-|y", "3|Bonn|-|[]|0000|x"]
    );
    let columns = columns.into_iter().map(|(name, array)| (name.to_owned(), array)).collect();
    sandbox.drop_file(
        FILE,
        &parquet(columns, WriterProperties::builder().set_created_by("x".to_owned()).build()),
    );
    let lines = "lines_table = \"column_lines\"\njson = { lines = \"Sizes\" }\n";
    let error = sync(sandbox, lines, &[]).file(FILE).error.clone();
    assert!(error.contains("Sizes is a list"), "{error}");
}

scenario!(every_usual_codec_and_row_group_is_read: sqlite);
fn every_usual_codec_and_row_group_is_read(sandbox: &Sandbox) {
    let count = 5_000;
    let numbers: Vec<String> = (0..count).map(|number| format!("K{number}")).collect();
    let columns = || -> Vec<(&str, ArrayRef)> {
        vec![
            ("No", Arc::new(StringArray::from(numbers.clone()))),
            (
                "Text",
                Arc::new(StringArray::from_iter_values(
                    (0..count).map(|it| format!("text {}", it % 7)),
                )),
            ),
            ("Size", Arc::new(Int64Array::from_iter_values(0..count))),
        ]
    };
    let mut dump: Option<Vec<String>> = None;
    for (compression, version) in [
        (Compression::UNCOMPRESSED, WriterVersion::PARQUET_1_0),
        (Compression::SNAPPY, WriterVersion::PARQUET_1_0),
        (Compression::ZSTD(ZstdLevel::default()), WriterVersion::PARQUET_2_0),
        (Compression::GZIP(GzipLevel::default()), WriterVersion::PARQUET_1_0),
        (Compression::GZIP(GzipLevel::default()), WriterVersion::PARQUET_2_0),
        (Compression::LZ4_RAW, WriterVersion::PARQUET_2_0),
    ] {
        let properties = WriterProperties::builder()
            .set_compression(compression)
            .set_writer_version(version)
            .set_max_row_group_row_count(Some(700))
            .set_data_page_row_count_limit(100)
            .set_write_batch_size(50)
            .build();
        let fresh = sandbox.sibling();
        let report = synced_as(&fresh, "", columns(), properties);
        assert_eq!(report.file(FILE).counts["read"], 5_000, "{compression:?}");
        let rows = fresh.rows("SELECT no, text, size FROM columns ORDER BY no");
        assert_eq!(dump.get_or_insert(rows.clone()), &rows, "{compression:?}");
    }
}

scenario!(a_file_without_rows_is_an_export_without_rows: sqlite);
fn a_file_without_rows_is_an_export_without_rows(sandbox: &Sandbox) {
    let report = synced(sandbox, vec![("No", texts(&[])), ("Text", texts(&[]))]);
    assert_eq!(report.file(FILE).counts["read"], 0);
}

scenario!(a_text_of_a_file_stays_text_and_fits_a_column_that_is_there: sqlite);
fn a_text_of_a_file_stays_text_and_fits_a_column_that_is_there(sandbox: &Sandbox) {
    synced(
        sandbox,
        vec![("No", texts(&[Some("1")])), ("Size", Arc::new(Int64Array::from(vec![7])))],
    );
    synced(sandbox, vec![("No", texts(&[Some("2")])), ("Size", texts(&[Some("8")]))]);
    assert_eq!(
        sandbox.rows("SELECT no, typeof(size) FROM columns ORDER BY no"),
        ["1|integer", "2|integer"]
    );
}

scenario!(what_memory_has_no_room_for_is_refused: sqlite);
fn what_memory_has_no_room_for_is_refused(sandbox: &Sandbox) {
    let long = "x".repeat(9 << 20);
    let columns: Vec<(String, ArrayRef)> =
        vec![("No".to_owned(), texts(&[Some("1")])), ("Text".to_owned(), texts(&[Some(&long)]))];
    let packed = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .build();
    let file = parquet(columns, packed);
    let footer = |bytes: u32| {
        let mut file = file.clone();
        let at = file.len() - 8;
        file[at..at + 4].copy_from_slice(&bytes.to_le_bytes());
        file
    };
    let mut encrypted = file.clone();
    let at = file.len() - 4;
    encrypted[at..].copy_from_slice(b"PARE");
    let cases: [(Vec<u8>, &str); 6] = [
        (file.clone(), "memory_max_mb has room for"),
        (footer(u32::MAX), "no Parquet file"),
        (footer(3), "no Parquet file"),
        (encrypted, "encrypted"),
        (b"No,Text\n1,x\n".to_vec(), "no Parquet file"),
        (Vec::new(), "no Parquet file"),
    ];
    for (number, (bytes, reason)) in cases.iter().enumerate() {
        sandbox.drop_file(FILE, bytes);
        let report = sync(sandbox, "", &[("TIDEGATE_MEMORY_MAX_MB", "128")]);
        let file = report.file(FILE);
        assert_eq!(file.outcome, "quarantined", "{number}: {report:?}");
        assert!(file.error.contains(reason), "{number}: {}", file.error);
    }
}
