//! A machine that was off does not know for how long. Attesters and witnesses do: by enough of them room comes
//! back, on the real daemon under a wall clock that is moved.

use api::{
    journal::CosignaturesRequest,
    problem::ProblemKind,
    signing::{SignRequest, Statement},
};
use policy::{
    Entry, TimeSource,
    statement::{self, Attestation, Seen},
};
use ssh_key::{PrivateKey, private::Ed25519Keypair};
use strongroom_softhsm_tests::{
    ask::units,
    bundle::{Bundle, FLEET},
    evm::{Draft, ETHER},
    program::until,
    records,
    witness::{RELAY, Witnessed, cosign_at, log, until_up},
    world::{Client, World, problem},
};
use tlog::{checkpoint::SignedCheckpoint, cosignature::Timestamp, note::VerifierKey};
use tx::Time;

use crate::{
    clock::MovedClock,
    support::{CUSTOMER, sender, transfer},
};

const HOUR_MILLIS: u64 = 3_600_000;
/// For how long it is off: longer than the window of the limit.
const OFF_HOURS: u64 = 30;

fn key(number: u8) -> PrivateKey {
    Ed25519Keypair::from_seed(&[80 + number; 32]).into()
}

/// At most 5 eth a day.
fn capped(bundle: &mut Bundle) {
    bundle.replace("statements.toml", "cap = \"20 eth\"", "cap = \"5 eth\"");
}

/// Three attesters say the time; more than half of them are needed.
fn timed(bundle: &mut Bundle) {
    capped(bundle);
    bundle.set("watching.toml", &attesters());
}

pub fn attesters() -> String {
    let attester = |number: u8| {
        let line = key(number).public_key().to_openssh().unwrap();
        format!("[[attester]]\nname = \"t{number}\"\nkeys = {line:?}\nsays = \"time\"\n")
    };
    (1..=3).map(attester).collect()
}

/// The machine's time, so many hours on.
fn hours_on(hours: u64) -> Time {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = u64::try_from(since.unwrap().as_millis()).unwrap();
    Time::from_millis(now + hours * HOUR_MILLIS)
}

/// What an attester says: that it is at least so late.
pub fn says(who: u8, at: Time) -> Statement {
    let attestation = Attestation {
        fleet: FLEET.parse().unwrap(),
        number: at.millis(),
        attester: format!("t{who}").parse().unwrap(),
        at,
        seen: Seen::Time,
    };
    let (text, namespace) = (attestation.to_string(), attestation.header().namespace());
    Statement {
        signatures: vec![statement::sign(&text, &namespace, &key(who)).unwrap()],
        statement: text,
    }
}

pub fn taken(client: &mut Client, statement: &Statement) -> bool {
    let body = serde_json::to_vec(statement).unwrap();
    let answer = client.post("/v1/statements", &body);
    if answer.status != 200 {
        assert_eq!(problem(&answer).kind, ProblemKind::StatementRefused);
    }
    answer.status == 200
}

fn pay(from: &str, nonce: u64, ether: u128) -> SignRequest {
    let draft = Draft::transfer(nonce, CUSTOMER, ether * ETHER);
    transfer(&format!("pay-{nonce}-{ether}"), from, &draft)
}

/// There is no room for two more; the writer looks at the clock with each request that it decides.
fn is_full(client: &mut Client, from: &str) {
    let refused = client.refused(&pay(from, 1, 2));
    assert_eq!(refused.reasons[0].code, "limit", "{refused:?}");
    assert_eq!(client.used("eth-day"), units(4 * ETHER));
}

/// By how many hours `lo` was moved on, once nothing runs any more. What a start takes may be credited too.
fn credits(world: &World) -> Vec<(TimeSource, u64)> {
    let records = records::read(&world.data()).into_iter();
    let credited = records.filter_map(|record| match record.entry {
        Entry::TimeCredited { by, millis } => Some((by, (millis + HOUR_MILLIS / 2) / HOUR_MILLIS)),
        _ => None,
    });
    credited.filter(|(_, hours)| *hours > 0).collect()
}

#[test]
fn a_signer_that_was_off_has_room_again_once_two_of_three_attesters_say_how_late_it_is() {
    let world = World::with(timed);
    world.configure("[bounds]\nrequests_per_second = 100000");
    world.bootstrap();
    let clock = MovedClock::of(&world);
    let daemon = clock.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    client.sign(&pay(&from, 0, 4));
    let evening = [1, 2, 3].map(|who| says(who, hours_on(0)));
    daemon.kill();

    clock.move_to(i64::try_from(OFF_HOURS).unwrap());
    let daemon = clock.start();
    client.reconnect();
    is_full(&mut client, &from);
    // What they said in the evening, and what one of them says and another one's key does not.
    for statement in &evening {
        assert!(taken(&mut client, statement));
    }
    is_full(&mut client, &from);
    assert!(taken(&mut client, &says(1, hours_on(OFF_HOURS))));
    let mut forged = says(2, hours_on(OFF_HOURS));
    forged.signatures = says(3, hours_on(OFF_HOURS)).signatures;
    assert!(!taken(&mut client, &forged));
    // One that lies is not believed, and what it said before that does not count again.
    assert!(!taken(&mut client, &says(3, hours_on(OFF_HOURS + 48))));
    assert!(!taken(&mut client, &evening[0]));
    is_full(&mut client, &from);
    assert_eq!(client.keys().credited, None);
    daemon.kill();

    // A kill keeps what the first one said.
    let daemon = clock.start();
    client.reconnect();
    is_full(&mut client, &from);
    assert!(taken(&mut client, &says(2, hours_on(OFF_HOURS))));
    until("room", || {
        (client.used("eth-day") == units(0)).then_some(())
    });
    client.sign(&pay(&from, 1, 2));
    assert_eq!(client.used("eth-day"), units(2 * ETHER));
    let keys = client.keys();
    assert_eq!(keys.credited.unwrap().by, "attesters");
    let apart = keys.time.hi.millis_since(keys.time.lo);
    assert!(apart < HOUR_MILLIS / 2, "{apart} ms");
    assert!(daemon.metric("signerd_time_credited_timestamp_seconds") > Some(0));
    daemon.kill();

    let daemon = clock.start();
    client.reconnect();
    assert_eq!(client.used("eth-day"), units(2 * ETHER));
    // Nobody can say it once more.
    assert!(taken(&mut client, &says(3, hours_on(OFF_HOURS))));
    let refused = client.refused(&pay(&from, 2, 4));
    assert_eq!(refused.reasons[0].code, "limit", "{refused:?}");
    assert!(daemon.stop().success());
    assert_eq!(credits(&world), [(TimeSource::Attesters, OFF_HOURS)]);
}

/// A checkpoint that covers the entry, as the relay gets it.
fn covering(client: &mut Client, key: &VerifierKey, entry: u64) -> SignedCheckpoint {
    let note = until("a checkpoint", || {
        let answer = client.get(&format!("/v1/journal/checkpoint?covers={entry}"));
        (answer.status == 200).then(|| answer.text())
    });
    let origin = key.name().as_str().parse().unwrap();
    SignedCheckpoint::open(note.as_bytes(), &origin, std::slice::from_ref(key)).unwrap()
}

#[test]
fn a_majority_of_the_witnesses_says_how_late_it_is_and_one_does_not() {
    let site = Witnessed::with(3, |edit| {
        World::with(|bundle| {
            capped(bundle);
            edit(bundle);
        })
    });
    let world = &site.world;
    world.bootstrap();
    let clock = MovedClock::of(world);
    let daemon = clock.launch();
    until_up(world.health());
    let mut client = world.walletd();
    let from = sender(&mut client);
    // It is charged, and waits for witnesses.
    let waits = problem(&client.send(&pay(&from, 0, 4)));
    assert_eq!(waits.kind, ProblemKind::Unwitnessed);
    daemon.kill();

    clock.move_to(i64::try_from(OFF_HOURS).unwrap());
    let daemon = clock.launch();
    until_up(world.health());
    client.reconnect();
    is_full(&mut client, &from);
    let known = log(&mut client);
    let log_key: VerifierKey = known.log_key.unwrap().parse().unwrap();
    // Of this run: none that was signed before has a say.
    let entry = known.entries - 1;
    let mut relay = world.client(RELAY);
    let mut cosign = |who: usize, hours: u64| {
        let signed = covering(&mut relay, &log_key, entry);
        let time = Timestamp::new(hours_on(hours).millis() / 1000).unwrap();
        let request = CosignaturesRequest {
            size: signed.head().size,
            cosignatures: vec![cosign_at(&site.witnesses[who], &log_key, &signed, time)],
        };
        let body = serde_json::to_vec(&request).unwrap();
        let answer = relay.post("/v1/journal/cosignatures", &body);
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    // One of them, which says so twice, and lies.
    cosign(0, OFF_HOURS);
    cosign(0, 10 * OFF_HOURS);
    is_full(&mut client, &from);
    // Another one whose clock stands where the signer's did.
    cosign(1, 0);
    is_full(&mut client, &from);
    cosign(2, OFF_HOURS);
    until("room", || {
        (client.used("eth-day") == units(0)).then_some(())
    });
    assert_eq!(client.keys().credited.unwrap().by, "witnesses");
    daemon.kill();

    let daemon = clock.launch();
    until_up(world.health());
    client.reconnect();
    assert_eq!(client.used("eth-day"), units(0));
    daemon.kill();
    assert_eq!(credits(world), [(TimeSource::Witnesses, OFF_HOURS)]);
}
