//! Kills: whatever the moment at which the process dies, and however often, the end is that of a
//! clean run.

use crate::exports::{Market, Version, assert_same, everything};
use crate::sandbox::{Engine, Sandbox};
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Attempts at one version of a market; a sync that needs more makes no progress.
const ATTEMPTS_MAX: u32 = 60;

const POLL_INTERVAL: Duration = Duration::from_millis(2);

scenario!(a_sync_killed_again_and_again_at_random_moments_ends_as_a_clean_run);
fn a_sync_killed_again_and_again_at_random_moments_ends_as_a_clean_run(sandbox: &Sandbox) {
    let kills_min = if sandbox.engine == Engine::Sqlite { 24 } else { 10 };
    let seed = std::env::var("TIDEGATE_TEST_SEED").map_or_else(
        |_| fastrand::u64(..),
        |seed| seed.parse().expect("TIDEGATE_TEST_SEED is a number that a failed run printed"),
    );
    eprintln!("TIDEGATE_TEST_SEED={seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let clean = sandbox.sibling();
    let mut kills = 0;
    for number in 0.. {
        let market = Market::new(&format!("random{number}"));
        for version in [Version::First, Version::Second] {
            market.drop_version(sandbox, version);
            market.drop_version(&clean, version);
            let started = Instant::now();
            let report = market.sync(&clean, "");
            assert_eq!(report.exit, 0, "{}", report.stderr);
            kills += kill_until_done(&market, sandbox, started.elapsed(), &mut rng);
        }
        if kills >= kills_min {
            break;
        }
    }
    eprintln!("{kills} kills");
    assert_same(&everything(sandbox), &everything(&clean), &format!("{kills} kills, seed {seed}"));
    let checkpoints = std::fs::read_dir(sandbox.state_dir().join("checkpoints"))
        .expect("a run made the directory");
    assert_eq!(checkpoints.count(), 0, "resume files of finished files are removed");
}

/// Has files tried again that were refused because processes died of them; returns how many.
fn approve_what_they_died_of(sandbox: &Sandbox) -> usize {
    let refused = sandbox.rows(
        "SELECT path FROM tidegate_files WHERE state = 'quarantined' AND error LIKE '%ended without a word%'",
    );
    for path in &refused {
        let approved = sandbox.command(&["approve", path]).output();
        let approved = approved.expect("the built program starts");
        assert!(approved.status.success(), "{}", String::from_utf8_lossy(&approved.stderr));
    }
    refused.len()
}

/// Starts a sync and kills it at a random moment, until one is quick enough; returns the number of
/// kills.
fn kill_until_done(
    market: &Market,
    sandbox: &Sandbox,
    usual: Duration,
    rng: &mut fastrand::Rng,
) -> u32 {
    for kills in 0..ATTEMPTS_MAX {
        let life = usual.mul_f64(0.1 + 1.1 * rng.f64());
        let started = Instant::now();
        let mut command = market.sync_command(sandbox);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let mut child = child.expect("the built program starts");
        while child.try_wait().expect("it is our child").is_none() && started.elapsed() < life {
            std::thread::sleep(POLL_INTERVAL);
        }
        // Nothing happens to one that has ended.
        let _ = child.kill();
        match child.wait().expect("it is our child").code() {
            None => {}
            Some(0) => return kills,
            Some(exit) => {
                // On a busy machine, three die before the first commit.
                assert_eq!(exit, 1);
                assert!(approve_what_they_died_of(sandbox) > 0, "no file is refused for deaths");
            }
        }
    }
    panic!("{ATTEMPTS_MAX} syncs in a row made no end of {market:?}")
}
