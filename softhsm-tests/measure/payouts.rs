//! The coordinator: how fast withdrawals are accepted and paid, and how soon it goes on after it was
//! killed.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use alloy_primitives::U256;
use api::wallet::{BulkAnswer, BulkResult, EventsAnswer, Stage, StatusAnswer};
use serde_json::{Value, json};
use strongroom_softhsm_tests::{
    anvil::Anvil,
    evm::ETHER,
    http,
    program::until,
    site::{ChainText, Order, Site, Teller, Walletd, open_node},
    world::{World, address_on},
};
use tx::Chain;

use crate::{
    figure::{Figure, rounded},
    machine,
    path::{self, LANES},
    raw_store,
};

/// The figures that there are.
pub const FIGURES: [&str; 4] = [
    "accept_sqlite_ratio",
    "payout_ratio",
    "walletd_cpu_us",
    "restart_ms",
];

/// Withdrawals that are queued and then paid.
const PAYOUTS: usize = 2_000;
/// Withdrawals that are open when the coordinator is killed.
const OPEN: usize = 10_000;
/// Clients that ask for withdrawals at the same time.
const CLIENTS: usize = 32;
/// How long they ask.
const ASKING: Duration = Duration::from_secs(4);

/// How often it is looked whether all is done.
const LOOK: Duration = Duration::from_millis(200);

const CHAIN: &str = "eip155:31337";
const ASSET: &str = "eip155:31337/native";
const CUSTOMER: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
const PATIENCE: Duration = Duration::from_secs(120);

/// Measures all figures; `own_rate` is what the signer does by itself, in signatures a second.
pub fn measure(own_rate: f64) -> Vec<Figure> {
    let keys: Vec<String> = (0..LANES).map(|lane| format!("lane-{lane}")).collect();
    let names: Vec<&str> = keys.iter().map(String::as_str).collect();
    let world = World::with_keys(&names, |authority| path::bundle(authority, &keys));
    world.configure(
        "sessions = 2\n[bounds]\nrequests_per_second = 1000000\n[log]\nlevel = \"warn\"",
    );
    let anvil = Anvil::start_with(world.folder(), &["--no-mining"]);
    fund(&world, &anvil);
    let site = Site::new(world);
    let family = "bump_after_secs = 3600\nnative_gas_limit = 21000\nin_flight_max = 10000\n";
    let chain = ChainText::evm(&[&open_node(&anvil.node().url())], family);
    site.configure_with(
        &[chain],
        "[bounds]\nrequests_per_second = 1000000\n[log]\nlevel = \"warn\"\n",
    );

    let accepted = accepted(&site);
    let paid = paid(&site);
    let restart_ms = restarted(&site);
    figures(own_rate, &accepted, &paid, restart_ms)
}

/// Gives every lane enough; the signer says which addresses they are.
fn fund(world: &World, anvil: &Anvil) {
    let daemon = world.start();
    for key in world.walletd().keys().keys {
        anvil.fund(
            &address_on(&key, Chain::Evm(Anvil::CHAIN_ID)),
            U256::from(10_000 * ETHER),
        );
    }
    daemon.stop();
}

/// What accepting came to.
struct Accepted {
    per_second: f64,
    commits_per_second: f64,
}

/// Clients ask one by one while the signer is away, between two runs of the baseline.
fn accepted(site: &Site) -> Accepted {
    let before = raw_store::commits_per_second(site.world.folder());
    let walletd = alive(site);
    site.client("officer")
        .credit("float", ASSET, 1_000_000 * ETHER);
    let next = AtomicU64::new(0);
    let began = Instant::now();
    thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| ask_until(site, &next, began + ASKING));
        }
    });
    let per_second = next.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64();
    // What was accepted for this figure is not paid for the others.
    release_all(&site.client("exchange"), next.load(Ordering::Relaxed));
    walletd.stop();
    let after = raw_store::commits_per_second(site.world.folder());
    Accepted {
        per_second,
        commits_per_second: (before + after) / 2.0,
    }
}

fn ask_until(site: &Site, next: &AtomicU64, end: Instant) {
    let mut connection = site.client("exchange").connection();
    while Instant::now() < end {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let body = order(&format!("asked-{number}")).to_string();
        let request = http::request("POST", "/v1/withdrawals", Some(body.as_bytes()));
        let answer = connection.exchange(&request).expect("an answer");
        assert_eq!(answer.status, 201, "{}", answer.text());
    }
}

fn release_all(exchange: &Teller, count: u64) {
    let mut connection = exchange.connection();
    for number in 0..count {
        let path = format!("/v1/withdrawals/asked-{number}/cancel");
        let answer = connection.exchange(&http::request("POST", &path, None));
        let answer = answer.expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
}

/// What paying came to.
struct Paid {
    per_second: f64,
    /// Processor time a payout, without the start of the process.
    cpu_us: f64,
    /// That of its start.
    start_us: f64,
}

/// Withdrawals that were queued while the signer was away, from the first conflict key that is taken
/// to the last transaction that is broadcast.
fn paid(site: &Site) -> Paid {
    let walletd = alive(site);
    queue(
        &site.client("officer"),
        &site.client("exchange"),
        "paid",
        PAYOUTS,
    );
    walletd.stop();
    let walletd = alive(site);
    let officer = site.client("officer");
    let start_us = machine::cpu_us(walletd.pid());
    let signerd = site.world.start();
    wait_for_broadcast(&walletd, PAYOUTS as u64);
    let cpu_us = (machine::cpu_us(walletd.pid()) - start_us) / PAYOUTS as f64;
    let seconds = span_secs(&officer);
    walletd.stop();
    signerd.stop();
    Paid {
        per_second: PAYOUTS as f64 / seconds,
        cpu_us,
        start_us,
    }
}

/// Seconds from the first assignment to the last broadcast, as they are recorded.
fn span_secs(officer: &Teller) -> f64 {
    let mut connection = officer.connection();
    let (mut first, mut last, mut after) = (None, None, None);
    loop {
        let cursor = after.map_or_else(String::new, |after| format!("&after={after}"));
        let path = format!("/v1/events?limit=500{cursor}");
        let answer = connection
            .exchange(&http::request("GET", &path, None))
            .expect("events");
        let page: EventsAnswer = answer.json();
        for event in &page.events {
            match event.topic.as_str() {
                "withdrawal.assigned" => first = first.or(Some(event.at)),
                "withdrawal.broadcast" => last = Some(event.at),
                _ => {}
            }
        }
        if page.events.is_empty() {
            break;
        }
        after = page.next;
    }
    let (first, last) = (first.expect("an assignment"), last.expect("a broadcast"));
    last.millis_since(first) as f64 / 1000.0
}

/// Milliseconds from the start of the process to the first new payout, with [`OPEN`] withdrawals
/// open: those that were paid and are in no block, and others that wait.
fn restarted(site: &Site) -> f64 {
    let walletd = alive(site);
    let (officer, exchange) = (site.client("officer"), site.client("exchange"));
    queue(&officer, &exchange, "open", OPEN - PAYOUTS);
    walletd.kill();
    let signerd = site.world.start();
    let began = Instant::now();
    let walletd = site.launch(&[]);
    wait_for_broadcast(&walletd, PAYOUTS as u64 + 1);
    let millis = began.elapsed().as_secs_f64() * 1000.0;
    walletd.stop();
    signerd.stop();
    millis
}

/// Looks now and then, so that looking costs the coordinator next to nothing.
fn wait_for_broadcast(walletd: &Walletd, least: u64) {
    let name = format!("walletd_withdrawals{{stage=\"broadcast\",chain=\"{CHAIN}\"}} ");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let metrics = walletd.metrics();
        let count = metrics.lines().find_map(|line| line.strip_prefix(&name));
        if count.is_some_and(|count| count.parse::<u64>().is_ok_and(|count| count >= least)) {
            return;
        }
        assert!(Instant::now() < deadline, "not {least} payouts: {metrics}");
        thread::sleep(LOOK);
    }
}

/// A coordinator that answers, whether or not it could pay.
fn alive(site: &Site) -> Walletd {
    let walletd = site.launch(&[]);
    let officer = site.client("officer");
    until("a coordinator that answers", || {
        officer.try_status().map(|_| ())
    });
    walletd
}

fn queue(officer: &Teller, exchange: &Teller, name: &str, count: usize) {
    let numbers: Vec<usize> = (0..count).collect();
    for numbers in numbers.chunks(1_000) {
        let orders: Vec<Value> = numbers
            .iter()
            .map(|number| order(&format!("{name}-{number}")))
            .collect();
        let body = json!({ "withdrawals": orders });
        let answer: BulkAnswer = exchange.ask("POST", "/v1/withdrawals", Some(&body)).json();
        let new = |result: &BulkResult| matches!(result, BulkResult::Accepted(_));
        assert!(answer.results.iter().all(new), "{answer:?}");
    }
    assert!(self::count(officer, Stage::Approved) >= count as u64);
}

fn order(id: &str) -> Value {
    let order = Order {
        id,
        asset: ASSET,
        amount: 1_000,
        to: CUSTOMER,
    };
    order.json()
}

fn count(officer: &Teller, stage: Stage) -> u64 {
    in_stage(&officer.try_status().expect("a status"), stage)
}

fn in_stage(status: &StatusAnswer, stage: Stage) -> u64 {
    let found = status.stages.iter().find(|count| count.stage == stage);
    found.map_or(0, |count| count.count)
}

fn figures(own_rate: f64, accepted: &Accepted, paid: &Paid, restart_ms: f64) -> Vec<Figure> {
    let machine = machine::description();
    let figure = |name, value: f64, unit, baseline: f64, detail| Figure {
        figure: name,
        value: rounded(value),
        unit,
        baseline: rounded(baseline),
        detail,
    };
    let payouts = json!({
        "machine": machine, "payouts": PAYOUTS, "lanes": LANES,
        "payouts_per_second": rounded(paid.per_second), "signer_per_second": rounded(own_rate),
        "start_us": rounded(paid.start_us),
    });
    vec![
        figure(
            "accept_sqlite_ratio",
            accepted.per_second / accepted.commits_per_second,
            "ratio",
            accepted.commits_per_second,
            json!({
                "machine": machine, "clients": CLIENTS,
                "accepted_per_second": rounded(accepted.per_second),
                "commits_per_second": rounded(accepted.commits_per_second),
            }),
        ),
        figure(
            "payout_ratio",
            paid.per_second / own_rate,
            "ratio",
            own_rate,
            payouts.clone(),
        ),
        figure("walletd_cpu_us", paid.cpu_us, "us", 1e6 / own_rate, payouts),
        figure(
            "restart_ms",
            restart_ms,
            "ms",
            5_000.0,
            json!({ "machine": machine, "open": OPEN, "in_no_block": PAYOUTS }),
        ),
    ]
}
