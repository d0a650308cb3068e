//! Modules killed, hung and corrupted at random, under load.
//!
//! A minute of it with every run of the tests, and on a slow machine more, until there were enough disturbances;
//! `CHAOS_MINUTES=10` makes it as long as that. The seed is printed; `CHAOS_SEED` draws the same disturbances again.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    env,
    hash::{BuildHasher, Hasher, RandomState},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use api::{
    problem::Problem,
    signing::{SignAnswer, SignRequest},
};
use policy::Entry;
use rustix::process::{Signal, kill_process};
use strongroom_softhsm_tests::{
    ask::units,
    coins::{self, Previous, foreign_script},
    disk::ReadOnly,
    program::until,
    random::Random,
    records,
    signerd::Signerd,
    token::Token,
    world::{MAIN, REPLICA, World},
};

use crate::support::{BITCOIN, coin_scripts, payment, raw};

const CLIENTS: u64 = 16;
/// At least, of each run.
const DISTURBANCES: u64 = 24;
/// Signatures between two disturbances, at least.
const SIGNED_BETWEEN: u64 = 30;
const AMOUNT_SAT: u64 = 1_000;
/// The server ends a connection after ten minutes.
const CONNECTION: Duration = Duration::from_secs(120);
/// So little that the day's limit is not reached in ten minutes.
const FEE_SAT: u64 = 100;
/// What a module does once, beside being killed.
const FAULTS: [&str; 8] = [
    "hang",
    "crash",
    "corrupt",
    "other-digest",
    "wrong-key",
    "session-invalid",
    "device-error",
    "late",
];

/// What clients share.
#[derive(Default)]
struct Load {
    next: AtomicU64,
    refusals: AtomicU64,
    signed: AtomicU64,
    stop: AtomicBool,
    wrong: AtomicU64,
    /// When each answer came, and whether it was a signature.
    times: Mutex<Vec<(Instant, bool)>>,
}

/// A request that is to be signed.
struct Open {
    psbt: bitcoin::Psbt,
    request: SignRequest,
}

impl Load {
    /// Sends requests until told to stop, and those that were refused again, until each is signed.
    fn send(&self, world: &World, scripts: &[bitcoin::ScriptBuf]) {
        let mut client = world.walletd();
        let (mut connected, mut refused) = (Instant::now(), VecDeque::new());
        loop {
            if connected.elapsed() > CONNECTION {
                (client, connected) = (world.walletd(), Instant::now());
            }
            let stop = self.stop.load(Ordering::Relaxed);
            let one = match refused.pop_front() {
                Some(one) => one,
                None if stop => return,
                None => self.request(scripts),
            };
            let answer = client.send(&one.request);
            let signed = answer.status == 200;
            match answer.status {
                200 => self.hold(&one.psbt, &answer.json()),
                503 => {
                    let _typed: Problem = answer.json();
                    self.refusals.fetch_add(1, Ordering::Relaxed);
                    refused.push_back(one);
                }
                status => panic!("{status}: {}", answer.text()),
            }
            self.times.lock().unwrap().push((Instant::now(), signed));
        }
    }

    fn request(&self, scripts: &[bitcoin::ScriptBuf]) -> Open {
        let salt = self.next.fetch_add(1, Ordering::Relaxed);
        let script = &scripts[salt as usize % scripts.len()];
        let coin = Previous::invented(salt, AMOUNT_SAT + FEE_SAT, script);
        let outputs = [(AMOUNT_SAT, foreign_script(1))];
        let (psbt, request) = payment(&format!("pay-{salt}"), BITCOIN, &[coin], &outputs);
        Open { psbt, request }
    }

    fn hold(&self, psbt: &bitcoin::Psbt, answer: &SignAnswer) {
        self.signed.fetch_add(1, Ordering::Relaxed);
        if coins::verify(psbt, &raw(answer)).is_err() {
            self.wrong.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The longest time without a signature in which somebody was refused.
    fn longest_refusal(&self) -> Duration {
        let mut times = self.times.lock().unwrap().clone();
        times.sort_unstable();
        let mut longest = Duration::ZERO;
        let (mut signed_at, mut refused) = (times[0].0, false);
        for (at, signed) in times {
            if signed && refused {
                longest = longest.max(at - signed_at);
            }
            if signed {
                signed_at = at;
            }
            refused = !signed;
        }
        longest
    }
}

/// Disturbs the modules of these devices; what was done, and how often.
fn disturb(
    world: &World,
    daemon: &Signerd,
    load: &Load,
    devices: &[(&str, &Token)],
    random: &mut Random,
) -> BTreeMap<&'static str, u64> {
    let minutes = env::var("CHAOS_MINUTES");
    let minutes = minutes.map_or(1, |text| text.parse().expect("CHAOS_MINUTES is a number"));
    let end = Instant::now() + Duration::from_secs(60 * minutes);
    let mut done = BTreeMap::new();
    let mut count = 0;
    while count < DISTURBANCES || Instant::now() < end {
        count += 1;
        let (device, token) = devices[random.below(devices.len() as u64) as usize];
        // A third of them kills.
        let drawn = random.below(12) as usize;
        let name = match FAULTS.get(drawn) {
            Some(fault) => {
                world.set_fault_of(device, &format!("once {fault}"));
                until("a call that goes wrong", || {
                    (!world.has_fault(device)).then_some(())
                });
                *fault
            }
            None => {
                let config = token.config();
                let child = until("a child to kill", || {
                    daemon.key_child_with(config.to_str().unwrap())
                });
                // It may have ended by itself in this moment.
                let _ = kill_process(child, Signal::KILL);
                "kill"
            }
        };
        *done.entry(name).or_insert(0) += 1;
        let signed = load.signed.load(Ordering::Relaxed);
        until("further signatures", || {
            let now = load.signed.load(Ordering::Relaxed);
            (now >= signed + SIGNED_BETWEEN).then_some(())
        });
    }
    done
}

/// Stops the load when it is dropped.
struct Stop<'a>(&'a Load);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

/// Runs the load and the disturbances, and holds everything against the journal.
fn chaos(world: &World, devices: &[(&str, &Token)]) {
    let seed = env::var("CHAOS_SEED").map_or_else(
        |_| RandomState::new().build_hasher().finish(),
        |text| text.parse().expect("CHAOS_SEED is a number"),
    );
    eprintln!("CHAOS_SEED={seed}");
    let _kept: Vec<_> = devices
        .iter()
        .map(|(_, token)| ReadOnly::mount(token.tokens()))
        .collect();
    let daemon = world.start();
    for (device, _) in devices {
        daemon.usable(&[device]);
    }
    let scripts = coin_scripts(&mut world.walletd());
    let load = Load::default();
    let done = thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| load.send(world, &scripts));
        }
        // Nobody goes on for ever where this fails.
        let _stop = Stop(&load);
        disturb(world, &daemon, &load, devices, &mut Random(seed))
    });
    let mut client = world.walletd();
    let requests = load.next.load(Ordering::Relaxed);
    assert_eq!(
        client.used("btc-day"),
        units(u128::from(requests * AMOUNT_SAT))
    );
    let bad = daemon.metric("signerd_signatures_bad").unwrap();
    assert!(daemon.stop().success());
    let devices: Vec<_> = devices.iter().map(|(device, _)| *device).collect();
    let disagreements = disagreements(world, &devices, requests);
    let wrong = load.wrong.load(Ordering::Relaxed);
    let unanswered = requests - load.signed.load(Ordering::Relaxed);
    let refusals = load.refusals.load(Ordering::Relaxed);
    eprintln!(
        "{requests} requests of {CLIENTS} clients, {refusals} refusals that were signed when asked again; {done:?}; {bad} bad \
         signatures kept back; at most {} ms without a signature; {wrong} wrong signatures, {unanswered} \
         unanswered requests, {disagreements} journal disagreements",
        load.longest_refusal().as_millis()
    );
    assert_eq!((wrong, unanswered, disagreements), (0, 0, 0));
}

/// Requests without exactly one signature or with several digests, numbers of calls that stand twice, and
/// digests that a module signed and the journal does not have.
fn disagreements(world: &World, devices: &[&str], requests: u64) -> usize {
    let records = records::read(&world.data());
    // One that is asked for again after a minute is charged anew, as another attempt.
    let mut request_of = BTreeMap::new();
    let mut signed: BTreeMap<_, usize> = BTreeMap::new();
    let mut digests: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    let mut numbers = BTreeSet::new();
    let mut twice = 0;
    for (index, record) in (0u64..).zip(&records) {
        let (attempt, calls) = match &record.entry {
            Entry::Attempt(attempt) => {
                request_of.insert(index, attempt.request.clone());
                signed.entry(attempt.request.clone()).or_default();
                (index, &attempt.calls)
            }
            Entry::Call { attempt, calls } => (attempt.0, calls),
            Entry::Signed(one) => {
                let request = request_of[&one.attempt.0].clone();
                *signed.entry(request).or_default() += 1;
                continue;
            }
            _ => continue,
        };
        for call in calls {
            let of_request = digests.entry(request_of[&attempt].clone()).or_default();
            of_request.insert(call.digest);
            twice += usize::from(!numbers.insert(call.call));
        }
    }
    let known: BTreeSet<_> = digests
        .values()
        .flatten()
        .map(|one| one.0.to_vec())
        .collect();
    let beside = devices.iter().flat_map(|device| world.signed_by(device));
    let beside = beside.filter(|digest| !known.contains(digest)).count();
    let several = digests.values().filter(|of_one| of_one.len() != 1).count();
    let not_once = signed.values().filter(|times| **times != 1).count();
    let missing = (requests as usize).abs_diff(signed.len());
    twice + beside + several + not_once + missing
}

#[test]
fn one_token_killed_hung_and_corrupted_while_16_clients_sign() {
    let world = World::new().with_faults();
    world.configure("call_timeout_ms = 500\n[bounds]\nrequests_per_second = 100000");
    chaos(&world, &[(MAIN, &world.token)]);
}

#[test]
fn two_tokens_of_the_same_keys_killed_hung_and_corrupted_while_16_clients_sign() {
    let world = World::new().with_faults().with_replica();
    world.configure("call_timeout_ms = 500\n[bounds]\nrequests_per_second = 100000");
    let replica = world.replica();
    chaos(&world, &[(MAIN, &world.token), (REPLICA, replica)]);
}
