//! Platforms: what Shopify, WooCommerce and Amazon export, written by ourselves in their shapes and
//! dropped as it comes, against what their shops sold; with no configuration but what a test says.

mod amazon;
mod sales;
mod shopify;
mod together;
mod woocommerce;

use crate::sandbox::{FileReport, Report, Sandbox};
use std::fs;
use std::path::Path;

/// Drops a file and syncs it.
fn synced(sandbox: &Sandbox, path: &str, content: &(impl AsRef<[u8]> + ?Sized)) -> FileReport {
    synced_with(sandbox, "", path, content)
}

/// The same with this in the configuration.
fn synced_with(
    sandbox: &Sandbox,
    configuration: &str,
    path: &str,
    content: &(impl AsRef<[u8]> + ?Sized),
) -> FileReport {
    let report = sync(sandbox, configuration, path, content);
    let file = file(&report, path).clone();
    assert_eq!(
        (report.exit, file.outcome.as_str()),
        (0, "synced"),
        "{} {}",
        file.error,
        report.stderr
    );
    for count in ["rejected", "rescued", "repaired", "duplicate"] {
        assert_eq!(file.counts.get(count).copied().unwrap_or_default(), 0, "{count} of {path}");
    }
    file
}

/// Drops a file that is refused: why.
fn quarantined(sandbox: &Sandbox, path: &str, content: &(impl AsRef<[u8]> + ?Sized)) -> String {
    let report = sync(sandbox, "", path, content);
    let file = file(&report, path);
    assert_eq!((report.exit, file.outcome.as_str()), (1, "quarantined"), "{}", report.stderr);
    file.error.clone()
}

fn sync(
    sandbox: &Sandbox,
    configuration: &str,
    path: &str,
    content: &(impl AsRef<[u8]> + ?Sized),
) -> Report {
    sandbox.drop_file(path, content);
    if configuration.is_empty() {
        return sandbox.sync();
    }
    let place = sandbox.path("tidegate.toml");
    fs::write(&place, configuration).expect("a writable temporary directory");
    sandbox.sync_with(&[("TIDEGATE_CONFIG", &place.to_string_lossy())])
}

/// The report on the file of that name.
fn file<'r>(report: &'r Report, path: &str) -> &'r FileReport {
    let name = Path::new(path).file_name().expect("a file has a name").to_string_lossy();
    let found = report.files.iter().find(|file| file.name == path || file.name == *name);
    found.unwrap_or_else(|| panic!("no report on {path} in {report:?}"))
}
