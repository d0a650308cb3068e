//! The whole signing path: mTLS, decode, policy, journal, SoftHSM and checks.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};

use api::signing::SignAnswer;
use rustls::ClientConfig;
use serde_json::json;
use strongroom_softhsm_tests::{
    ask,
    bundle::Bundle,
    evm::Draft,
    signerd::{Role, Signerd},
    world::{World, address_on},
};
use tx::{Asset, Chain};

use crate::{
    figure::{Figure, rounded},
    load::{Lane, Load, Pace, Run},
    machine,
    raw::{self, Raw, percentile},
};

/// The figures that there are.
pub const FIGURES: [&str; 5] = [
    "sign_path_ratio",
    "signerd_cpu_us",
    "sign_added_p50_us",
    "sign_added_p99_us",
    "two_sessions_ratio",
];

/// Clients, each with a key and a sequence of its own: nonces of one key are signed in order. With half as
/// many, a tenth of both cores is idle: all wait for one flush.
const CLIENTS: usize = 64;
/// As many as a coordinator has addresses, in the figures of others.
pub const LANES: usize = 32;
/// Both sides are measured in turns, so often: the machine is not the same from second to second.
const ROUNDS: u32 = 8;
/// How long each part of a round is.
const DURATION: Duration = Duration::from_millis(750);
/// Until each key has signed so often that it is verified faster.
const WARM: Duration = Duration::from_secs(3);
/// Requests that all lanes together have ready; more than can be answered.
const REQUESTS: usize = 76_800;
/// How often each lane's next request is evaluated at most; more than can be answered.
const EVALUATIONS: usize = 1_000;

/// Where is paid.
pub const CHAIN: Chain = Chain::Evm(31337);
/// Who is paid.
pub const CUSTOMER: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";

/// Measures all figures.
pub fn measure(sessions: u16) -> Vec<Figure> {
    let machine = machine::description();
    let (one, _) = with_sessions(1, CLIENTS, Part::FullLoad);
    let (two, half) = with_sessions(sessions, CLIENTS, Part::BothLoads);
    let half = half.expect("the run at half load");
    let ratio = two.per_second() / two.raw.per_second;
    let detail = json!({
        "machine": machine, "sessions": sessions, "clients": CLIENTS,
        "path_per_second": rounded(two.per_second()), "raw_per_second": rounded(two.raw.per_second),
        "key_child_cpu_us": rounded(two.child_cpu_us),
        "evaluate_cpu_us": rounded(two.evaluate_cpu_us),
        "path_one_session_per_second": rounded(one.per_second()),
        "raw_one_session_per_second": rounded(one.raw.per_second),
    });
    let added =
        |percent: usize, baseline: f64| rounded(percentile(&half.micros, percent) - baseline);
    let loads = json!({
        "machine": machine,
        "requests_per_second": rounded(half.answers.len() as f64 / half.seconds),
        "path_p50_us": rounded(percentile(&half.micros, 50)),
        "path_p99_us": rounded(percentile(&half.micros, 99)),
    });
    let figure = |figure, value, unit, baseline, detail| Figure {
        figure,
        value,
        unit,
        baseline,
        detail,
    };
    vec![
        figure(
            "sign_path_ratio",
            rounded(ratio),
            "ratio",
            rounded(two.raw.per_second),
            detail.clone(),
        ),
        figure(
            "signerd_cpu_us",
            rounded(two.server_cpu_us),
            "us",
            rounded(two.child_cpu_us),
            detail.clone(),
        ),
        figure(
            "sign_added_p50_us",
            added(50, two.raw.p50_us),
            "us",
            rounded(two.raw.p50_us),
            loads.clone(),
        ),
        figure(
            "sign_added_p99_us",
            added(99, two.raw.p99_us),
            "us",
            rounded(two.raw.p99_us),
            loads,
        ),
        figure(
            "two_sessions_ratio",
            rounded(two.per_second() / one.per_second()),
            "ratio",
            rounded(two.raw.per_second / one.raw.per_second),
            detail,
        ),
    ]
}

/// Signatures a second at full load, for [`LANES`] clients.
pub fn per_second(sessions: u16) -> f64 {
    with_sessions(sessions, LANES, Part::FullLoad)
        .0
        .per_second()
}

/// What one daemon did.
struct Measured {
    raw: Raw,
    full: Run,
    server_cpu_us: f64,
    child_cpu_us: f64,
    evaluate_cpu_us: f64,
}

impl Measured {
    fn per_second(&self) -> f64 {
        self.full.answers.len() as f64 / self.full.seconds
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    FullLoad,
    BothLoads,
}

/// A daemon with this many sessions at full load, in turns with its baseline, and at half.
fn with_sessions(sessions: u16, clients: usize, part: Part) -> (Measured, Option<Run>) {
    let keys: Vec<String> = (0..clients).map(|lane| format!("lane-{lane}")).collect();
    let names: Vec<&str> = keys.iter().map(String::as_str).collect();
    let world = World::with_keys(&names, |authority| bundle(authority, &keys));
    world.configure(&format!(
        "sessions = {sessions}\n[bounds]\nrequests_per_second = 1000000\n[log]\nlevel = \"warn\""
    ));
    let softhsm = world.token.config();
    let key = format!("spend:{}", keys[0]);
    let daemon = world.start();
    let config = world.pki.config("walletd");
    let mut load = Load::connect(world.api(), &config, lanes(&world, &keys));
    load.run(Pace::Full, WARM);
    let mut alone = raw::Process::start(&softhsm, &key, sessions);
    let (mut raws, mut full) = (Vec::new(), Run::default());
    let (mut server, mut child) = (0.0, 0.0);
    for _ in 0..ROUNDS {
        raws.push(alone.measure(DURATION));
        let cpu = Cpu::of(&daemon);
        full.add(load.run(Pace::Full, DURATION));
        let took = cpu.since(&daemon);
        server += took.0;
        child += took.1;
    }
    let signatures = full.answers.len() as f64;
    let half = (part == Part::BothLoads).then(|| {
        let rate = signatures / full.seconds / 2.0;
        load.run(Pace::PerSecond(rate), DURATION * ROUNDS)
    });
    check(&full);
    let evaluate_cpu_us = evaluate(&load, &daemon, world.api(), &config);
    daemon.stop();
    let measured = Measured {
        raw: raw::mean(&raws),
        full,
        server_cpu_us: server / signatures,
        child_cpu_us: child / signatures,
        evaluate_cpu_us,
    };
    (measured, half)
}

/// CPU of the server for a request of which only the verdict is asked: TLS, HTTP, JSON, understanding and
/// deciding, as for one that is signed, and neither a flush nor a device.
fn evaluate(load: &Load, daemon: &Signerd, server: SocketAddr, config: &Arc<ClientConfig>) -> f64 {
    let lanes = load.next_requests().map(|request| {
        let request = String::from_utf8_lossy(request).replacen("/v1/sign", "/v1/evaluate", 1);
        Lane {
            requests: std::iter::repeat_n(request.into_bytes(), EVALUATIONS).collect(),
        }
    });
    let mut load = Load::connect(server, config, lanes.collect());
    load.run(Pace::Full, DURATION);
    let cpu = Cpu::of(daemon);
    let run = load.run(Pace::Full, DURATION * 2);
    let (server, _) = cpu.since(daemon);
    server / run.answers.len() as f64
}

/// CPU time of the daemon's processes at one moment.
struct Cpu {
    server: f64,
    child: f64,
}

impl Cpu {
    fn of(daemon: &Signerd) -> Self {
        let server = machine::cpu_us(daemon.child(Role::Server).expect("the server"));
        let child = machine::cpu_us(daemon.child(Role::KeyChild).expect("the key child"));
        Self {
            server: server + machine::cpu_us(daemon.pid()),
            child,
        }
    }

    fn since(&self, daemon: &Signerd) -> (f64, f64) {
        let now = Self::of(daemon);
        (now.server - self.server, now.child - self.child)
    }
}

/// Every answer is a transaction of its own.
fn check(run: &Run) {
    let txids: BTreeSet<String> = run
        .answers
        .iter()
        .map(|answer| {
            let answer: SignAnswer = serde_json::from_slice(answer).expect("an answer");
            answer.transaction.txid
        })
        .collect();
    assert_eq!(
        txids.len(),
        run.answers.len(),
        "a transaction was answered twice"
    );
}

/// Every lane's requests, whole.
pub fn lanes(world: &World, keys: &[String]) -> Vec<Lane> {
    let asset = Asset::native(CHAIN);
    let known = world.walletd().keys().keys;
    keys.iter()
        .map(|name| {
            let key = known
                .iter()
                .find(|key| key.name.as_str() == name)
                .expect("a key");
            let sender = address_on(key, CHAIN);
            let requests = (0..REQUESTS / keys.len()).map(|nonce| {
                let transaction =
                    Draft::transfer(nonce as u64, CUSTOMER, 1 + nonce as u128).from(&sender);
                let id = format!("{name}-{nonce}");
                let intent = ask::intent(&id, &asset, 1 + nonce as u128, CUSTOMER);
                let request = ask::request(&id, transaction, vec![intent]);
                post(&serde_json::to_vec(&request).expect("a request"))
            });
            Lane {
                requests: requests.collect(),
            }
        })
        .collect()
}

fn post(body: &[u8]) -> Vec<u8> {
    let mut request = format!(
        "POST /v1/sign HTTP/1.1\r\nhost: signerd\r\ncontent-type: application/json\r\n\
         content-length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    request.extend_from_slice(body);
    request
}

/// The bundle of the tests with one account of all keys, and room for the whole run.
pub fn bundle(authority: &std::path::Path, keys: &[String]) -> Bundle {
    let mut bundle = Bundle::read("softhsm-tests/measure/policy", authority);
    let mut accounts = String::new();
    let list: Vec<String> = keys.iter().map(|key| format!("{key:?}")).collect();
    accounts.push_str(&format!(
        "[[account]]\nname = \"eth-hot\"\nclass = \"hot\"\nchains = [\"{CHAIN}\"]\nkeys = [{}]\n",
        list.join(", ")
    ));
    for key in keys {
        accounts.push_str(&format!(
            "\n[[sequence]]\nkey = {key:?}\nchain = \"{CHAIN}\"\nnext = 0\nfinalized = 0\n"
        ));
    }
    bundle.set("lanes.toml", &accounts);
    bundle
}
