//! Hours by the clocks of a named zone, on the real daemon, over the instants at which these are set.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use api::problem::ProblemKind;
use policy::{Entry, ReasonCode, Record};
use strongroom_softhsm_tests::{
    evm::Draft,
    program::until_within,
    records,
    world::{Client, World, problem},
};
use tx::Time;

use crate::{
    clock::MovedClock,
    proposals::reload,
    support::{CUSTOMER, sender, transfer},
};

/// Until the clocks are set forward; as long as a reload may take.
const SPRING_SECS: u64 = 20;
/// From there until they are set back.
const SUMMER_SECS: u64 = 15;

fn now_secs() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since.as_secs()
}

fn at(secs: u64) -> Time {
    Time::from_millis(secs * 1_000)
}

/// A rule by which it is between four and five o'clock now, from the first instant on two hours later, and from the
/// second on as before. No country has it: what counts is the rule in the bundle.
fn zone(spring: u64, autumn: u64) -> String {
    let hour = i64::try_from(now_secs() / 3_600 % 24).unwrap();
    let offset = (4 - hour + 11).rem_euclid(24) - 11;
    let shown = |hours: i64| {
        let sign = if hours < 0 { '-' } else { '+' };
        format!("{sign}{:02}:00", hours.abs())
    };
    let (winter, summer) = (shown(offset), shown(offset + 2));
    let day = 24 * 3_600;
    format!(
        "[[zone]]\nname = \"Europe/Zurich\"\nfrom = \"{}\"\nuntil = \"{}\"\noffset = \"{winter}\"\n\
         changes = [\"{} {summer}\", \"{} {winter}\"]\n",
        at(spring - 30 * day),
        at(autumn + 30 * day),
        at(spring),
        at(autumn),
    )
}

const OFFICE: &str =
    "[[hours]]\nname = \"office\"\nzone = \"Europe/Zurich\"\nopen = \"mon-sun 05:30-12:00\"\n";

/// Asks again and again, until it is as wanted.
fn asks(client: &mut Client, from: &str, (nonce, wanted): (&mut u64, u16)) {
    let mut asked = 0;
    until_within(Duration::from_secs(120), "the clocks to be set", || {
        asked += 1;
        let id = format!("pay-{nonce}-{asked}-{wanted}");
        let answer = client.send(&transfer(&id, from, &Draft::transfer(*nonce, CUSTOMER, 1)));
        match answer.status {
            200 => *nonce += 1,
            _ => assert_eq!(problem(&answer).kind, ProblemKind::Refused),
        }
        (answer.status == wanted).then_some(())
    });
}

#[test]
fn hours_open_when_the_clocks_of_their_zone_are_set_forward_and_close_when_they_are_set_back() {
    let world = World::new();
    // It is asked again and again.
    world.configure("[bounds]\nrequests_per_second = 100000");
    world.bootstrap();
    let clock = MovedClock::of(&world);
    let daemon = clock.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    let mut edited = world.bundle.clone();
    let spring = now_secs() + SPRING_SECS;
    let autumn = spring + SUMMER_SECS;
    edited.set("zones.toml", &zone(spring, autumn));
    edited.set("hours.toml", OFFICE);
    let pay = "name = \"pay-eth\"\n";
    edited.replace(
        "statements.toml",
        pay,
        &format!("{pay}hours = \"office\"\n"),
    );
    let hash = edited.write(&world.policy(), 2, &["ann", "ben"]);
    reload(&daemon);
    assert_eq!(client.keys().policy, hash.to_string(), "{}", daemon.said());

    let mut nonce = 0;
    asks(&mut client, &from, (&mut nonce, 422));
    asks(&mut client, &from, (&mut nonce, 200));
    asks(&mut client, &from, (&mut nonce, 422));
    assert!(daemon.stop().success());

    let (spring, autumn) = (at(spring), at(autumn));
    let records = records::read(&world.data());
    let of_bundle = records.iter().skip_while(|record| !activates(record, hash));
    let (mut before, mut within, mut behind) = (0, 0, 0);
    for record in of_bundle {
        let time = record.time;
        match &record.entry {
            Entry::Attempt(attempt) => {
                assert!(spring <= time.lo && time.hi < autumn, "{time:?}");
                let hours = &attempt.facts[0].classes.hours_surely;
                assert!(hours.contains(&"office".parse().unwrap()), "{hours:?}");
                within += 1;
            }
            Entry::Refused(refused) => {
                assert_eq!(refused.reasons[0].code, ReasonCode::Uncovered);
                assert!(time.lo < spring || autumn <= time.hi, "{time:?}");
                match time.lo < spring {
                    true => before += 1,
                    false => behind += 1,
                }
            }
            _ => {}
        }
    }
    assert!(
        before > 0 && within > 0 && behind > 0,
        "{before} {within} {behind}"
    );
}

fn activates(record: &Record, bundle: policy::BundleHash) -> bool {
    matches!(record.entry, Entry::PolicyActivated { hash, .. } if hash == bundle)
}
