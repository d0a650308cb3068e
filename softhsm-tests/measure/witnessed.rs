//! What witnesses add to a release: the same load on a daemon without and with three of them, on this
//! machine.

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
    let checkpoints = with.daemon.metric("signerd_checkpoints_total");
    with.daemon.stop();
    drop(relay);

    let plain = World::with_keys(&names, |authority| bundle(authority, &keys)).with_checkpoints();
    configure(&plain, sessions);
    let daemon = plain.start();
    let mut without = Load::of(&plain, &keys, daemon);
    let full = without.go(Pace::Full);
    let half = without.go(Pace::PerSecond(rate));
    without.daemon.stop();

    let [p50, p50_with] = [&half, &half_with].map(|run| percentile(&run.micros, 50) / 1e3);
    let [p99, p99_with] = [&half, &half_with].map(|run| percentile(&run.micros, 99) / 1e3);
    vec![Figure {
        figure: "witness_added_ms",
        value: rounded(p50_with - p50),
        unit: "ms",
        baseline: rounded(p50),
        detail: json!({
            "machine": machine::description(), "sessions": sessions, "clients": LANES,
            "witnesses": WITNESSES, "requests_per_second": rounded(rate),
            "with_p50_ms": rounded(p50_with), "with_p99_ms": rounded(p99_with),
            "without_p99_ms": rounded(p99), "checkpoints": checkpoints,
            "full_with_per_second": rounded(per_second(&full_with)),
            "full_without_per_second": rounded(per_second(&full)),
        }),
    }]
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
    lanes: Vec<load::Lane>,
    api: std::net::SocketAddr,
    config: std::sync::Arc<rustls::ClientConfig>,
}

impl Load {
    fn of(world: &World, keys: &[String], daemon: Signerd) -> Self {
        let mut load = Self {
            daemon,
            lanes: lanes(world, keys),
            api: world.api(),
            config: world.pki.config("walletd"),
        };
        load.run(Pace::Full, Duration::from_secs(1));
        load
    }

    fn go(&mut self, pace: Pace) -> Run {
        self.run(pace, Duration::from_secs(SECONDS))
    }

    fn run(&mut self, pace: Pace, duration: Duration) -> Run {
        load::run(self.api, &self.config, &mut self.lanes, pace, duration)
    }
}
