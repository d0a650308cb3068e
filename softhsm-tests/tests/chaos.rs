//! The key child killed again and again, under load.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
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
    records,
    signerd::{Role, Signerd},
    world::World,
};

use crate::support::{BITCOIN, coin_scripts, payment, raw};

const CLIENTS: u64 = 16;
const REQUESTS: u64 = 2_000;
const KILL_EVERY: Duration = Duration::from_millis(200);
/// So many requests are sent for each kill at most: a fast machine would be done before there were any.
const REQUESTS_A_KILL: u64 = 300;
const AMOUNT_SAT: u64 = 100_000;

/// What became of one request.
struct Outcome {
    psbt: bitcoin::Psbt,
    request: SignRequest,
    signed: Option<SignAnswer>,
}

/// Sends requests until none is left to send.
fn load(
    world: &World,
    next: &Arc<AtomicU64>,
    kills: &Arc<AtomicU64>,
    scripts: &[bitcoin::ScriptBuf],
) -> Vec<thread::JoinHandle<Vec<Outcome>>> {
    (0..CLIENTS)
        .map(|_| {
            let mut client = world.walletd();
            let (next, kills) = (Arc::clone(next), Arc::clone(kills));
            let scripts = scripts.to_vec();
            thread::spawn(move || {
                let mut outcomes = Vec::new();
                loop {
                    let salt = next.fetch_add(1, Ordering::Relaxed);
                    if salt >= REQUESTS {
                        return outcomes;
                    }
                    let enough = salt / REQUESTS_A_KILL;
                    until("a kill", || {
                        (kills.load(Ordering::Relaxed) >= enough).then_some(())
                    });
                    let script = &scripts[salt as usize % scripts.len()];
                    let coin = Previous::invented(salt, AMOUNT_SAT + 1_000, script);
                    let outputs = [(AMOUNT_SAT, foreign_script(1))];
                    let (psbt, request) =
                        payment(&format!("pay-{salt}"), BITCOIN, &[coin], &outputs);
                    let answer = client.send(&request);
                    let signed = match answer.status {
                        200 => Some(answer.json::<SignAnswer>()),
                        503 => {
                            let _typed: Problem = answer.json();
                            None
                        }
                        status => panic!("{status}: {}", answer.text()),
                    };
                    outcomes.push(Outcome {
                        psbt,
                        request,
                        signed,
                    });
                }
            })
        })
        .collect()
}

/// Kills the key child every 200 ms until told to stop, and counts how often it did. Once something is signed:
/// on a busy machine a child may not live for long enough later.
fn kill_key_child(
    daemon: Arc<Signerd>,
    stop: Arc<AtomicBool>,
    kills: Arc<AtomicU64>,
) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        daemon.metric_is("signerd_signatures", |signatures| signatures > 0);
        let mut due = Instant::now();
        while !stop.load(Ordering::Relaxed) {
            if Instant::now() < due {
                thread::sleep(Duration::from_millis(5));
                continue;
            }
            due += KILL_EVERY;
            if let Some(child) = daemon.child(Role::KeyChild) {
                // It may have ended by itself in this moment.
                let killed = kill_process(child, Signal::KILL).is_ok();
                kills.fetch_add(u64::from(killed), Ordering::Relaxed);
            }
        }
    })
}

#[test]
fn every_request_ends_in_one_signature_or_a_typed_503_while_the_key_child_dies() {
    let world = World::new();
    world.configure("[bounds]\nrequests_per_second = 100000");
    // SoftHSM writes its token's file anew at every login, in place: killed in that moment it has
    // lost the token and all keys for good. It works as well where it cannot write, which is how a
    // signer's token is to be kept.
    let _kept = ReadOnly::mount(world.token.tokens());
    let daemon = Arc::new(world.start());
    let (pid, server) = (daemon.pid(), daemon.child(Role::Server));
    let scripts = coin_scripts(&mut world.walletd());
    let stop = Arc::new(AtomicBool::new(false));
    let [next, kills] = [(); 2].map(|()| Arc::new(AtomicU64::new(0)));
    let killer = kill_key_child(Arc::clone(&daemon), Arc::clone(&stop), Arc::clone(&kills));
    let threads = load(&world, &next, &kills, &scripts);
    let outcomes: Vec<Outcome> = threads
        .into_iter()
        .flat_map(|thread| thread.join().unwrap())
        .collect();
    stop.store(true, Ordering::Relaxed);
    killer.join().unwrap();
    let kills = kills.load(Ordering::Relaxed);
    assert_eq!(outcomes.len() as u64, REQUESTS);
    assert!(kills >= 5, "the load was over after {kills} kills");
    assert_eq!((daemon.pid(), daemon.child(Role::Server)), (pid, server));

    // What was not signed can be had now, under the same id.
    let mut daemon = Arc::into_inner(daemon).unwrap().ready();
    let mut client = world.walletd();
    let mut signed = 0;
    for outcome in outcomes {
        signed += u64::from(outcome.signed.is_some());
        let answer = match outcome.signed {
            Some(answer) => answer,
            None => until("a signature", || {
                let answer = client.send(&outcome.request);
                (answer.status == 200).then(|| answer.json())
            }),
        };
        coins::verify(&outcome.psbt, &raw(&answer)).unwrap();
    }
    assert!(signed > 0);
    assert_eq!(
        client.used("btc-day"),
        units(u128::from(REQUESTS * AMOUNT_SAT))
    );
    assert_eq!(daemon.metric("signerd_signatures_bad"), Some(0));
    daemon.signal(Signal::TERM);
    assert!(daemon.wait().success());
    one_digest_each(&world);
    eprintln!("{kills} kills, {signed} of {REQUESTS} signed at once");
}

/// In the journal every request has one digest and one signature. On a busy machine some are asked for again only
/// after a minute: then they are charged anew, in the same set, as another attempt.
fn one_digest_each(world: &World) {
    let records = records::read(&world.data());
    let attempts = records::attempts(&records);
    let request_of: BTreeMap<u64, _> = attempts
        .iter()
        .map(|(index, attempt)| (*index, attempt.request.clone()))
        .collect();
    let mut latest = BTreeMap::new();
    for (index, attempt) in &attempts {
        let before = latest.insert(&attempt.request, *index);
        assert_eq!(
            attempt.resumes.map(|resumed| resumed.0),
            before,
            "attempt {index}"
        );
    }
    let requests: BTreeSet<_> = request_of.values().collect();
    assert_eq!(requests.len() as u64, REQUESTS);
    let mut digests: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    let mut numbers = BTreeSet::new();
    let mut signed: BTreeMap<_, u64> = BTreeMap::new();
    for (index, record) in (0u64..).zip(&records) {
        let (attempt, calls) = match &record.entry {
            Entry::Attempt(attempt) => (index, &attempt.calls),
            Entry::Call { attempt, calls } => (attempt.0, calls),
            Entry::Signed(one) => {
                *signed.entry(&request_of[&one.attempt.0]).or_default() += 1;
                continue;
            }
            _ => continue,
        };
        for call in calls {
            let of_request = digests.entry(&request_of[&attempt]).or_default();
            of_request.insert(call.digest);
            assert!(numbers.insert(call.call), "call {} stands twice", call.call);
        }
    }
    assert!(digests.values().all(|digests| digests.len() == 1));
    assert_eq!(signed.len() as u64, REQUESTS);
    assert!(signed.values().all(|count| *count == 1));
}
