//! Compression: a packed file is the file it was packed from, or it is refused.

use crate::exports::{Market, SMALL_CHUNKS, Version, assert_same};
use crate::sandbox::{Engine, FileReport, Report, Sandbox};
use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;

const ORDERS: &str = "Order ID,SKU,Description\n11,A,x\n12,B,\"two\nlines\"\n";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("level 1 is known");
    // As the program `zstd` does; without one, nobody could tell that a bit was turned.
    encoder.include_checksum(true).expect("checksums are built in");
    encoder.write_all(bytes).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

fn drop_and_sync(
    sandbox: &Sandbox,
    name: &str,
    content: &[u8],
    environment: &[(&str, &str)],
) -> (Report, FileReport) {
    sandbox.drop_file(name, content);
    let report = sandbox.sync_with(environment);
    let file = report.file(name).clone();
    (report, file)
}

scenario!(a_packed_file_gives_the_rows_it_was_packed_from);
fn a_packed_file_gives_the_rows_it_was_packed_from(sandbox: &Sandbox) {
    let middle = ORDERS.len() / 2;
    let (first, second) = ORDERS.as_bytes().split_at(middle);
    let packed: [(&str, Vec<u8>); 5] = [
        ("Market 1 Orders.csv.gz", gzip(ORDERS.as_bytes())),
        ("Market 1 Orders.csv.zst", zstd(ORDERS.as_bytes())),
        // Several members or frames are one file, as `cat` makes them.
        ("market-1-orders-2022-02-17.CSV.GZ", [gzip(first), gzip(second)].concat()),
        ("market1/orders.csv.zst", [zstd(first), zstd(second)].concat()),
        ("Market 1 Orders.tsv.gz", gzip(ORDERS.replace(',', "\t").as_bytes())),
    ];
    sandbox.drop_file("Market 1 Orders.csv", ORDERS);
    assert_eq!(sandbox.sync().exit, 0);
    for (name, bytes) in &packed {
        let fresh = sandbox.sibling();
        fresh.drop_file(name, bytes);
        let report = fresh.sync();
        assert_eq!(report.exit, 0, "{name}: {}", report.stderr);
        assert_eq!(fresh.dump(), sandbox.dump(), "{name}");
    }
}

scenario!(the_ledger_knows_a_packed_file_as_it_lies_on_disk);
fn the_ledger_knows_a_packed_file_as_it_lies_on_disk(sandbox: &Sandbox) {
    let (name, bytes) = ("Market 1 Customers.json.gz", gzip(br#"[{"Customer ID": 1}]"#));
    drop_and_sync(sandbox, name, &bytes, &[]);
    let sha256 = sandbox.rows("SELECT sha256, size_bytes, rows_read FROM tidegate_files");
    let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(sha256, [format!("{digest}|{}|1", bytes.len())]);
    assert_eq!(sandbox.sync().file(name).outcome, "unchanged");
}

scenario!(a_damaged_or_truncated_packed_file_changes_nothing);
fn a_damaged_or_truncated_packed_file_changes_nothing(sandbox: &Sandbox) {
    // Large enough that its rows come out before the damage is met.
    let rows: String = (0..50_000).map(|row| format!("{row},A,text {}\n", row * 7919)).collect();
    let whole = format!("Order ID,SKU,Description\n{rows}");
    for (extension, packed) in [("gz", gzip(whole.as_bytes())), ("zst", zstd(whole.as_bytes()))] {
        let name = format!("Market 1 Orders.csv.{extension}");
        let mut flipped = packed.clone();
        flipped[packed.len() / 2] ^= 0x55;
        let damaged = [
            packed[..packed.len() - 1].to_vec(),
            packed[..packed.len() / 2].to_vec(),
            flipped,
            [&packed[..], b"garbage after the end"].concat(),
            ORDERS.as_bytes().to_vec(),
            Vec::new(),
        ];
        for (number, bytes) in damaged.iter().enumerate() {
            let (report, file) = drop_and_sync(sandbox, &name, bytes, &[]);
            assert_eq!(
                (report.exit, file.outcome.as_str()),
                (1, "quarantined"),
                "{extension} {number}: {file:?}"
            );
            assert!(
                file.error.contains("cannot be unpacked") || file.error.contains("is empty"),
                "{}",
                file.error
            );
            assert_eq!(sandbox.rows("SELECT COUNT(*) FROM orders"), ["0"]);
        }
    }
}

#[test]
fn a_file_that_unpacks_to_too_much_is_refused() {
    let rows: String = (0..3000).map(|row| format!("{row},{}\n", "A".repeat(500))).collect();
    let bomb = format!("Order ID,Description\n{rows}");
    let sandbox = Sandbox::new(Engine::Sqlite);
    for (name, bytes) in [
        ("Market 1 Orders.csv.gz", gzip(bomb.as_bytes())),
        ("Market 2 Orders.csv.zst", zstd(bomb.as_bytes())),
    ] {
        assert!(bytes.len() < 100_000);
        let (_, file) = drop_and_sync(
            &sandbox,
            name,
            &bytes,
            &[("TIDEGATE_DECOMPRESSED_BYTES_MAX", "1000000")],
        );
        assert_eq!(file.outcome, "quarantined");
        assert!(file.error.contains("decompressed_bytes_max"), "{}", file.error);
        // What it says is what the limit allows.
        let enough = bomb.len().to_string();
        fs::remove_file(sandbox.inbox().join(name)).expect("it is there");
        let other = name.replace("Market ", "Market 1");
        let (_, file) = drop_and_sync(
            &sandbox,
            &other,
            &bytes,
            &[("TIDEGATE_DECOMPRESSED_BYTES_MAX", &enough)],
        );
        assert_eq!(file.outcome, "synced", "{}", file.error);
        fs::remove_file(sandbox.inbox().join(other)).expect("it is there");
    }
}

/// The text does not fit in memory, so it is spooled, in the state directory and under no name.
#[test]
fn a_large_packed_file_leaves_nothing_on_disk() {
    let sandbox = Sandbox::new(Engine::Sqlite);
    let filler = "x".repeat(500);
    let rows: String = (0..40_000).map(|row| format!("{row},A,{filler}\n")).collect();
    let text = format!("Order ID,SKU,Description\n{rows}");
    assert!(text.len() > 16 << 20, "more than an eighth of the least memory");
    let (report, file) =
        drop_and_sync(&sandbox, "Market 1 Orders.csv.zst", &zstd(text.as_bytes()), &[SMALL_CHUNKS]);
    assert_eq!((report.exit, file.counts["new"]), (0, 80_000), "{}", report.stderr);
    let left = fs::read_dir(sandbox.state_dir())
        .expect("a run made it")
        .map(|entry| entry.expect("readable"));
    let large = left.filter(|entry| entry.metadata().expect("readable").size() > 1 << 20);
    assert_eq!(large.count(), 0);
}

scenario!(a_killed_sync_of_packed_and_foreign_files_goes_on_where_it_was);
fn a_killed_sync_of_packed_and_foreign_files_goes_on_where_it_was(sandbox: &Sandbox) {
    let (market, clean) = (Market::new("1"), sandbox.sibling());
    for version in [Version::First, Version::Second] {
        market.drop_version(&clean, version);
        assert_eq!(clean.sync_with(&[SMALL_CHUNKS]).exit, 0);
        for (name, text) in market.files(version) {
            let utf16 = |to_bytes: fn(u16) -> [u8; 2]| {
                text.encode_utf16().flat_map(to_bytes).collect::<Vec<u8>>()
            };
            match name {
                "orders.csv" => sandbox.drop_file("market-1/orders.csv.gz", &gzip(text.as_bytes())),
                "customers.json" => {
                    sandbox
                        .drop_file("market-1/customers.json.zst", &zstd(&utf16(u16::to_le_bytes)));
                }
                _ => sandbox.drop_file(&format!("market-1/{name}"), &utf16(u16::to_be_bytes)),
            }
        }
        for kill in ["after_checkpoint=1*off->return", "before_checkpoint=1*off->return"] {
            let killed = market.sync(sandbox, kill);
            assert_eq!(killed.exit, -1, "{kill}: {}", killed.stderr);
        }
        assert_eq!(market.sync(sandbox, "").exit, 0);
    }
    assert_same(&sandbox.dump(), &clean.dump(), "packed and foreign");
    let counts = "SELECT dataset, state, rows_read, rows_accepted, rows_duplicate, rows_rejected, rows_new, \
            rows_modified, rows_unchanged FROM tidegate_files ORDER BY dataset, id";
    assert_eq!(sandbox.rows(counts), clean.rows(counts));
}
