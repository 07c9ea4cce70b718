//! Metrics for Prometheus. They are computed from the ledger at each scrape, so that they always
//! agree with it.

use crate::chunk::Counts;
use crate::config::Config;
use crate::dispatch::health::Health;
use crate::error::SyncError;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The OpenMetrics text format.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type Labels = [(&'static str, &'static str); 1];

/// All metrics as text.
pub async fn exposition(config: &Config, health: &Health) -> Result<String, SyncError> {
    let mut registry = Registry::with_prefix("tidegate");
    let obstacles = health.obstacles().await;
    gauge(
        &mut registry,
        "ready",
        "Whether the database answers and the watcher lives",
        i64::from(obstacles.is_empty()),
    );
    gauge(
        &mut registry,
        "uptime_seconds",
        "Time since the process started",
        signed(health.started.elapsed().as_secs()),
    );
    gauge(
        &mut registry,
        "backlog_files",
        "Files and feeds that wait or are worked on",
        signed(health.backlog() as u64),
    );
    let blind_spots = health.blind_spots();
    gauge(
        &mut registry,
        "unread_folders",
        "Folders of the inbox that cannot be read, and are passed by",
        signed(blind_spots.unread.count as u64),
    );
    gauge(
        &mut registry,
        "unwatched_folders",
        "Folders of the inbox whose events cannot be heard, and that are only scanned",
        signed(blind_spots.unwatched.count as u64),
    );
    // Without a database there is no ledger. The scrape still works, so that monitoring can see
    // that the database is away.
    if let Some(sink) = health.sink().filter(|_| obstacles.is_empty()) {
        let totals = sink.ledger.totals(&config.datasets).await?;
        let files = Family::<Labels, Gauge>::default();
        for (&state, &number) in &totals.files {
            files.get_or_create(&[("state", state)]).set(signed(number));
        }
        registry.register(
            "files",
            "Files by state; stopped ones only while they are there and nothing newer has replaced them",
            files,
        );
        let rows = Family::<Labels, Counter>::default();
        for (kind, number) in Counts::NAMES.into_iter().zip(totals.counts.all()) {
            rows.get_or_create(&[("kind", kind)]).inc_by(number);
        }
        registry.register("rows", "Rows of files, and table rows, by what became of them", rows);
        gauge(
            &mut registry,
            "rejects_open",
            "Rejected rows of files that are there, that no corrected file has closed",
            signed(totals.rejects_open),
        );
        gauge(
            &mut registry,
            "dirty_groups",
            "Mart groups that wait for their refresh",
            signed(totals.dirty_groups),
        );
        let alarms = Family::<Vec<(&'static str, String)>, Gauge>::default();
        for open in sink.ledger.open_alarms_by_kind().await? {
            let [dataset, market] = [open.dataset, open.market].map(Option::unwrap_or_default);
            alarms
                .get_or_create(&vec![("kind", open.kind), ("dataset", dataset), ("market", market)])
                .set(open.number);
        }
        registry.register("alarms_open", "Alarms whose cause is still there", alarms);
        if let Some(last_synced_ms) = totals.last_synced_ms {
            gauge(
                &mut registry,
                "last_synced_timestamp_seconds",
                "When the last file was synced",
                last_synced_ms / 1000,
            );
        }
    }
    let mut text = String::new();
    encode(&mut text, &registry).expect("writing to a string does not fail");
    Ok(text)
}

fn gauge(registry: &mut Registry, name: &str, help: &str, value: i64) {
    let gauge = Gauge::<i64>::default();
    gauge.set(value);
    registry.register(name, help, gauge);
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
