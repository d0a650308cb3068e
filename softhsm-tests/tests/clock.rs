//! A wall clock that is moved while the daemon runs: no room comes back early, nothing that has
//! expired is taken, and no reading stops the signing.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use policy::Entry;
use strongroom_softhsm_tests::{
    ask::units,
    boot_clock::Asleep,
    evm::{Draft, ETHER},
    program::{binary, until},
    records,
    signerd::{Role, Signerd, log_of},
    world::{Client, World},
};
use tx::Time;

use crate::support::{CUSTOMER, sender, transfer};

const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";
const HOUR_MILLIS: u64 = 3_600_000;

/// A daemon whose wall clock is the machine's plus what stands in a file. Its boot clock is the
/// kernel's.
pub struct MovedClock<'a> {
    world: &'a World,
    offset: PathBuf,
}

impl<'a> MovedClock<'a> {
    /// The clock of this world's daemon, which is right as yet.
    pub fn of(world: &'a World) -> Self {
        // A folder that the server reads.
        let (certificate, _) = world.pki.files("signerd");
        let offset = certificate.with_file_name("offset");
        let clock = Self { world, offset };
        clock.move_to(0);
        clock
    }

    /// The clock is so many hours ahead.
    pub fn move_to(&self, hours: i64) {
        self.step_to(hours * 3600);
    }

    pub fn step_to(&self, seconds: i64) {
        self.say(&format!("{seconds:+}"));
    }

    /// The clock stands still at a time.
    pub fn stop_at(&self, time: &str) {
        self.say(time);
    }

    fn say(&self, faketime: &str) {
        let prepared = self.offset.with_extension("new");
        fs::write(&prepared, format!("{faketime}\n")).unwrap();
        fs::rename(prepared, &self.offset).unwrap();
    }

    pub fn start(&self) -> Signerd {
        self.launch().ready()
    }

    /// Starts it, and waits for nothing.
    pub fn launch(&self) -> Signerd {
        assert!(
            PathBuf::from(FAKETIME).exists(),
            "no faketime: softhsm-tests/run installs it"
        );
        let mut command = Command::new(binary("signerd"));
        command
            .env("LD_PRELOAD", FAKETIME)
            .env("FAKETIME_TIMESTAMP_FILE", &self.offset)
            .env("FAKETIME_NO_CACHE", "1")
            .env("DONT_FAKE_MONOTONIC", "1")
            .env("TZ", "Europe/Berlin")
            .arg("--config")
            .arg(self.world.config());
        let config = self.world.config();
        Signerd::start_as(&mut command, self.world.health(), &log_of(&config))
    }
}

/// The hours between the machine's clock and the signer's latest time, once the signer has looked.
fn hours_ahead(client: &mut Client) -> i64 {
    let time = client.keys().time;
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let now = i64::try_from(now.as_millis()).unwrap();
    (i64::try_from(time.hi.millis()).unwrap() - now + 60_000) / HOUR_MILLIS as i64
}

#[test]
fn a_stepping_clock_gives_nothing_back_and_stops_nothing() {
    let world = World::with(|bundle| {
        bundle.replace("statements.toml", "cap = \"20 eth\"", "cap = \"5 eth\"");
    });
    world.configure("[bounds]\nrequests_per_second = 100000");
    world.bootstrap();
    let clock = MovedClock::of(&world);
    let daemon = clock.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    client.sign(&transfer(
        "first",
        &from,
        &Draft::transfer(0, CUSTOMER, 4 * ETHER),
    ));
    let lo = client.keys().time.lo;
    let over = |nonce: u128| {
        let draft = Draft::transfer(nonce as u64, CUSTOMER, 2 * ETHER);
        transfer(&format!("over-{nonce}"), &from, &draft)
    };
    let mut nonce = 1;
    for hours in [25, -2, 24 * 365, 0] {
        clock.move_to(hours);
        // The writer reads the clock with each request that it decides.
        let refused = until("a look at the clock", || {
            let refused = client.refused(&over(nonce));
            let at_least = hours.clamp(0, 24);
            (hours_ahead(&mut client) >= at_least).then_some(refused)
        });
        assert_eq!(refused.reasons[0].code, "limit", "{hours} h: {refused:?}");
        assert_eq!(
            client.used("eth-day"),
            units(4 * ETHER + nonce - 1),
            "{hours} h"
        );
        // An intent that is good for the hour is not, once it can be later than that.
        let draft = Draft::transfer(nonce as u64, CUSTOMER, 1);
        let mut expiring = transfer(&format!("expiring-{nonce}"), &from, &draft);
        expiring.intents[0].intent.expires = Time::from_millis(lo.millis() + HOUR_MILLIS);
        assert_eq!(
            client.refused(&expiring).reasons[0].code,
            "intent-closed",
            "{hours} h"
        );
        // What is within the limit goes on.
        client.sign(&transfer(&format!("small-{nonce}"), &from, &draft));
        nonce += 1;
    }
    let gone = client.keys().time.lo.millis_since(lo);
    assert!(gone < HOUR_MILLIS / 2, "the earliest time went {gone} ms");
    assert!(daemon.stop().success());
    let records = records::read(&world.data());
    let jumps = records
        .iter()
        .filter(|record| matches!(record.entry, Entry::ClockJump { .. }));
    assert_eq!(jumps.count(), 4);

    // Nor does a restart give anything back, whatever the clock says then.
    clock.move_to(48);
    let _daemon = clock.start();
    client.reconnect();
    assert_eq!(client.used("eth-day"), units(4 * ETHER + nonce - 1));
    assert_eq!(client.refused(&over(nonce)).reasons[0].code, "limit");
}

/// The wall clock, as `date` would set it; read in the daemon's zone that is an hour or two ago.
fn now() -> String {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let text = Time::from_millis(since.as_millis() as u64).to_string();
    text.get(..19).unwrap().replace('T', " ")
}

/// A world of which four fifths of a day's ether are used, its daemon under a clock that is moved.
fn nearly_used(world: &World) -> (MovedClock<'_>, Signerd, Client, String) {
    world.configure("[bounds]\nrequests_per_second = 100000");
    world.bootstrap();
    let clock = MovedClock::of(world);
    let daemon = clock.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    let first = Draft::transfer(0, CUSTOMER, 4 * ETHER);
    client.sign(&transfer("first", &from, &first));
    (clock, daemon, client, from)
}

/// 1970, a clock that stops, summer time there and back, 30 s once a minute, a century.
#[test]
fn no_reading_gives_anything_back_bricks_or_seals() {
    const CENTURY_SECS: i64 = 100 * 365 * 24 * 3600;
    let world = World::with(|bundle| {
        bundle.replace("statements.toml", "cap = \"20 eth\"", "cap = \"5 eth\"");
    });
    let (clock, mut daemon, mut client, from) = nearly_used(&world);
    let lo = client.keys().time.lo;
    let mut nonce = 1;
    // Over the limit is over the limit, and what is within it is signed.
    let mut goes_on = |client: &mut Client, when: &str| {
        let draft = Draft::transfer(nonce, CUSTOMER, 2 * ETHER);
        let refused = client.refused(&transfer(&format!("over-{nonce}"), &from, &draft));
        assert_eq!(refused.reasons[0].code, "limit", "{when}: {refused:?}");
        let draft = Draft::transfer(nonce, CUSTOMER, 1);
        client.sign(&transfer(&format!("small-{nonce}"), &from, &draft));
        assert_eq!(
            client.used("eth-day"),
            units(4 * ETHER + u128::from(nonce)),
            "{when}"
        );
        nonce += 1;
    };
    for stopped in ["1970-01-01 01:00:05".to_owned(), now()] {
        clock.stop_at(&stopped);
        goes_on(&mut client, &stopped);
        goes_on(&mut client, &stopped);
        daemon = daemon.ready();
    }
    for hours in [1, 0] {
        clock.move_to(hours);
        goes_on(&mut client, "summer time");
    }
    for minute in 1..=10 {
        clock.step_to(30 * minute);
        goes_on(&mut client, "30 s once a minute");
    }
    // Nothing is valid in a hundred years, and everything is again once the clock is right.
    clock.step_to(CENTURY_SECS);
    let far = transfer(
        "far",
        &from,
        &Draft::transfer(nonce_of(&mut client), CUSTOMER, 1),
    );
    let refused = client.refused(&far);
    let codes: Vec<_> = refused.reasons.iter().map(|reason| &*reason.code).collect();
    assert!(codes.contains(&"intent-closed"), "{refused:?}");
    daemon = daemon.ready();
    clock.move_to(0);
    goes_on(&mut client, "after a century");
    let gone = client.keys().time.lo.millis_since(lo);
    assert!(gone < HOUR_MILLIS / 2, "the earliest time went {gone} ms");
    assert!(daemon.stop().success());
    // Started in 1970 it is ready, and knows what it knew.
    clock.stop_at("1970-01-01 01:00:05");
    let daemon = clock.start();
    clock.move_to(0);
    client.reconnect();
    goes_on(&mut client, "started in 1970");
    assert!(daemon.stop().success());
    let records = records::read(&world.data());
    let jumps = records
        .iter()
        .filter(|record| matches!(record.entry, Entry::ClockJump { .. }));
    // There and back each, but for the first stop at what is nearly now, and each of ten steps.
    assert!(jumps.count() >= 14);
}

/// Hours of whole days: from yesterday to tomorrow, and the three days behind these.
pub fn hours() -> String {
    const DAYS: [&str; 7] = ["thu", "fri", "sat", "sun", "mon", "tue", "wed"];
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let today = since.as_secs() / (24 * 3600);
    let day = |ahead: u64| DAYS[(today + ahead) as usize % 7];
    let hours = |name: &str, from: u64, until: u64| {
        let open = format!("{}-{} 00:00-24:00", day(from), day(until));
        format!("\n[[hours]]\nname = {name:?}\nzone = \"UTC\"\nopen = {open:?}\n")
    };
    hours("today", 6, 8) + &hours("later", 9, 11)
}

#[test]
fn a_clock_that_is_set_into_the_hours_opens_nothing_and_out_of_them_closes() {
    let world = World::with(|bundle| {
        let pay = "name = \"pay-eth\"\n";
        bundle.replace("statements.toml", pay, &format!("{pay}hours = \"later\"\n"));
        bundle.append(
            "statements.toml",
            "\n[[allow]]\nname = \"pay-today\"\neffect = \"payment\"\naccount = \"eth-hot\"\n\
             asset = \"eth\"\namount_max = \"1 eth\"\nhours = \"today\"\n",
        );
        bundle.set("hours.toml", &hours());
    });
    world.configure("");
    world.bootstrap();
    let clock = MovedClock::of(&world);
    let _daemon = clock.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    let pay = |id: &str, nonce: u64, wei: u128| {
        transfer(id, &from, &Draft::transfer(nonce, CUSTOMER, wei))
    };
    let remedy = |client: &mut Client, id: &str, wei: u128| {
        let refused = client.refused(&pay(id, 1, wei));
        let uncovered = refused
            .reasons
            .iter()
            .find(|reason| reason.code == "uncovered");
        uncovered
            .unwrap_or_else(|| panic!("{refused:?}"))
            .remedy
            .clone()
    };
    client.sign(&pay("small", 0, ETHER));
    assert_eq!(
        remedy(&mut client, "large", 2 * ETHER),
        "ask in the hours of pay-eth"
    );

    // Three days on, by a clock that somebody has set: it may be so, and it may not.
    clock.move_to(72);
    until("a look at the clock", || {
        client.refused(&pay("look", 1, 2 * ETHER));
        (hours_ahead(&mut client) >= 72).then_some(())
    });
    assert_eq!(
        remedy(&mut client, "large-later", 2 * ETHER),
        "ask in the hours of pay-eth"
    );
    assert_eq!(
        remedy(&mut client, "small-later", ETHER),
        "ask in the hours of pay-eth or pay-today"
    );
    clock.move_to(0);
    until("a look at the clock", || {
        client.refused(&pay("look-again", 1, 2 * ETHER));
        (hours_ahead(&mut client) <= 24).then_some(())
    });
    client.sign(&pay("small-again", 1, ETHER));
}

/// Wall clock and boot clock both go on while a machine sleeps, and the clock of what waits does not.
#[test]
fn a_machine_that_was_suspended_goes_on_and_what_expired_meanwhile_has_expired() {
    const HOUR_SECS: u64 = 3600;
    let world = World::with(|bundle| {
        bundle.replace("statements.toml", "cap = \"20 eth\"", "cap = \"5 eth\"");
    });
    let (clock, daemon, mut client, from) = nearly_used(&world);
    let server = daemon.child(Role::Server).unwrap();
    let begun = client.keys().time.lo;
    let sleep_until = |hours: u64| {
        let asleep = Asleep::stop(server);
        clock.move_to(hours as i64);
        asleep.wake_after(Duration::from_secs(hours * HOUR_SECS));
    };
    let transfer = |id: &str, nonce: u64, wei: u128| {
        transfer(id, &from, &Draft::transfer(nonce, CUSTOMER, wei))
    };
    let mut expiring = transfer("expiring", 1, 1);
    expiring.intents[0].intent.expires = Time::from_millis(begun.millis() + HOUR_MILLIS);

    // A night: what was paid counts still, and what was good for an hour is not.
    sleep_until(8);
    let refused = client.refused(&expiring);
    assert_eq!(refused.reasons[0].code, "intent-closed", "{refused:?}");
    let refused = client.refused(&transfer("over", 1, 2 * ETHER));
    assert_eq!(refused.reasons[0].code, "limit", "{refused:?}");
    client.sign(&transfer("small", 1, 1));
    let slept = client.keys().time.lo.millis_since(begun);
    assert!(
        (8 * HOUR_MILLIS..9 * HOUR_MILLIS).contains(&slept),
        "{slept} ms"
    );

    // A day and an hour: the first payment is out of the day, which was a day.
    sleep_until(25);
    client.sign(&transfer("next-day", 2, 4 * ETHER));
    assert_eq!(client.used("eth-day"), units(4 * ETHER + 1));
    let refused = client.refused(&transfer("over-again", 3, 2 * ETHER));
    assert_eq!(refused.reasons[0].code, "limit", "{refused:?}");
    let slept = client.keys().time.lo.millis_since(begun);
    assert!(
        (25 * HOUR_MILLIS..26 * HOUR_MILLIS).contains(&slept),
        "{slept} ms"
    );
    assert!(daemon.stop().success());
    let records = records::read(&world.data());
    let jumps = records
        .iter()
        .filter(|record| matches!(record.entry, Entry::ClockJump { .. }));
    assert_eq!(jumps.count(), 0);
}

fn nonce_of(client: &mut Client) -> u64 {
    let key = client.key("eth-1");
    key.addresses[0].next_sequence.unwrap()
}
