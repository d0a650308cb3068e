//! What witnesses add to a release: the same loads on a daemon without and with three of them, on this
//! machine: that of a busy wallet, and half of what the machine then bears.

use std::time::Duration;

use serde_json::json;
use strongroom_softhsm_tests::{signerd::Signerd, witness::Witnessed, world::World};

use crate::{
    figure::{Figure, rounded},
    load::{self, Pace, Run},
    machine,
    path::{LANES, bundle, lanes},
    raw::percentile,
};

/// The figures that there are.
pub const FIGURES: [&str; 1] = ["witness_added_ms"];

/// Seconds of each part of the run.
const SECONDS: u64 = 6;
/// Requests a second of a busy hot wallet: seventeen million payments a day.
const BUSY: f64 = 200.0;
/// How many witnesses.
const WITNESSES: usize = 3;

/// Measures it.
pub fn measure(sessions: u16) -> Vec<Figure> {
    let keys: Vec<String> = (0..LANES).map(|lane| format!("lane-{lane}")).collect();
    let names: Vec<&str> = keys.iter().map(String::as_str).collect();
    let mut site = Witnessed::with(WITNESSES, |edit| {
        World::with_keys(&names, |authority| {
            let mut bundle = bundle(authority, &keys);
            edit(&mut bundle);
            bundle
        })
    });
    configure(&site.world, sessions);
    let (daemon, relay) = site.start();
    let mut with = Load::of(&site.world, &keys, daemon);
    let full_with = with.go(Pace::Full);
    // Half of what the slower of the two bears.
    let rate = per_second(&full_with) / 2.0;
    let half_with = with.go(Pace::PerSecond(rate));
    let busy_with = with.go(Pace::PerSecond(BUSY));
    let checkpoints = with.daemon.metric("signerd_checkpoints_total");
    with.daemon.stop();
    drop(relay);

    let plain = World::with_keys(&names, |authority| bundle(authority, &keys)).with_checkpoints();
    configure(&plain, sessions);
    let daemon = plain.start();
    let mut without = Load::of(&plain, &keys, daemon);
    let full = without.go(Pace::Full);
    let half = without.go(Pace::PerSecond(rate));
    let busy = without.go(Pace::PerSecond(BUSY));
    without.daemon.stop();

    let (busy, half) = (Added::of(&busy, &busy_with), Added::of(&half, &half_with));
    vec![Figure {
        figure: "witness_added_ms",
        value: rounded(busy.with_p50_ms - busy.p50_ms),
        unit: "ms",
        baseline: rounded(busy.p50_ms),
        detail: json!({
            "machine": machine::description(), "sessions": sessions, "clients": LANES,
            "witnesses": WITNESSES, "requests_per_second": BUSY,
            "with_p50_ms": rounded(busy.with_p50_ms), "with_p99_ms": rounded(busy.with_p99_ms),
            "without_p99_ms": rounded(busy.p99_ms), "checkpoints": checkpoints,
            "half_load_requests_per_second": rounded(rate),
            "half_load_added_ms": rounded(half.with_p50_ms - half.p50_ms),
            "half_load_with_p50_ms": rounded(half.with_p50_ms),
            "half_load_with_p99_ms": rounded(half.with_p99_ms),
            "half_load_without_p99_ms": rounded(half.p99_ms),
            "full_with_per_second": rounded(per_second(&full_with)),
            "full_without_per_second": rounded(per_second(&full)),
        }),
    }]
}

/// The same load without witnesses and with them.
struct Added {
    p50_ms: f64,
    p99_ms: f64,
    with_p50_ms: f64,
    with_p99_ms: f64,
}

impl Added {
    fn of(without: &Run, with: &Run) -> Self {
        let ms = |run: &Run, percent| percentile(&run.micros, percent) / 1e3;
        Self {
            p50_ms: ms(without, 50),
            p99_ms: ms(without, 99),
            with_p50_ms: ms(with, 50),
            with_p99_ms: ms(with, 99),
        }
    }
}

fn per_second(run: &Run) -> f64 {
    run.answers.len() as f64 / run.seconds
}

fn configure(world: &World, sessions: u16) {
    world.configure(&format!(
        "sessions = {sessions}\n[bounds]\nrequests_per_second = 1000000\n[log]\nlevel = \"warn\""
    ));
}

/// A daemon and those who ask it.
struct Load {
    daemon: Signerd,
    clients: load::Load,
}

impl Load {
    fn of(world: &World, keys: &[String], daemon: Signerd) -> Self {
        let mut load = Self {
            daemon,
            clients: load::Load::connect(
                world.api(),
                &world.pki.config("walletd"),
                lanes(world, keys),
            ),
        };
        load.clients.run(Pace::Full, Duration::from_secs(1));
        load
    }

    fn go(&mut self, pace: Pace) -> Run {
        self.clients.run(pace, Duration::from_secs(SECONDS))
    }
}
