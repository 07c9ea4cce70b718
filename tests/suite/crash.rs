//! Crash: killed at any point, a sync is finished by the next one as if nothing had happened.

use crate::exports::{Market, SMALL_CHUNKS, Version, assert_same, everything};
use crate::sandbox::{Sandbox, on_every_database};

/// Exit code of a process that a signal ended.
const KILLED: i32 = -1;

#[test]
fn a_sync_killed_around_a_commit_goes_on_where_it_was() {
    killed_at(&["before_commit", "after_commit", "before_checkpoint", "after_checkpoint"]);
}

#[test]
fn a_sync_killed_while_marts_are_refreshed_refreshes_them_again() {
    killed_at(&["during_refresh", "after_refresh"]);
}

/// MySQL commits each change of a table by itself; the ledger knows of the column before.
#[test]
fn a_sync_killed_between_the_ledger_and_the_table_of_a_new_column_adds_it() {
    killed_at(&["during_schema_change"]);
}

/// Both versions of a market are killed at the first, second and third hit of each point; a market for each.
fn killed_at(points: &[&str]) {
    on_every_database(|sandbox| {
        let crashes: Vec<(String, Market)> = points
            .iter()
            .flat_map(|point| (0..3).map(move |hits_before| (point, hits_before)))
            .map(|(point, hits_before)| {
                let market = Market::with_own_columns(&format!("{}{hits_before}", point.replace('_', "")));
                (format!("{point}={hits_before}*off->return"), market)
            })
            .collect();
        let clean = sandbox.sibling();
        for version in [Version::First, Version::Second] {
            for (failpoints, market) in &crashes {
                market.drop_version(sandbox, version);
                market.drop_version(&clean, version);
                let killed = market.sync(sandbox, failpoints);
                assert_eq!(killed.exit, KILLED, "{failpoints} {version:?}: {}", killed.stderr);
                let resumed = market.sync(sandbox, "");
                assert_eq!(resumed.exit, 0, "{failpoints} {version:?}: {}", resumed.stderr);
            }
            sync_everything(&clean);
        }
        assert_same(&everything(sandbox), &everything(&clean), &format!("killed at {points:?}"));
    });
}

fn sync_everything(sandbox: &Sandbox) {
    let report = sandbox.sync_with(&[SMALL_CHUNKS]);
    assert_eq!(report.exit, 0, "{}", report.stderr);
}
