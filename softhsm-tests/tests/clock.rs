//! A wall clock that is moved while the daemon runs: no room comes back early, nothing that has
//! expired is taken, and no reading stops the signing.

use std::{fs, path::PathBuf, process::Command};

use policy::Entry;
use strongroom_softhsm_tests::{
    ask::units,
    evm::{Draft, ETHER},
    program::{binary, until},
    records,
    signerd::{Signerd, log_of},
    world::{Client, World},
};
use tx::Time;

use crate::support::{CUSTOMER, sender, transfer};

const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";
const HOUR_MILLIS: u64 = 3_600_000;

/// A daemon whose wall clock is the machine's plus what stands in a file. Its boot clock is the
/// kernel's.
struct MovedClock<'a> {
    world: &'a World,
    offset: PathBuf,
}

impl MovedClock<'_> {
    fn move_to(&self, hours: i64) {
        let prepared = self.offset.with_extension("new");
        fs::write(&prepared, format!("{:+}\n", hours * 3600)).unwrap();
        fs::rename(prepared, &self.offset).unwrap();
    }

    fn start(&self) -> Signerd {
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
            .arg("--config")
            .arg(self.world.config());
        let config = self.world.config();
        Signerd::start_as(&mut command, self.world.health(), &log_of(&config)).ready()
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
    let clock = MovedClock {
        world: &world,
        offset: world.folder().join("offset"),
    };
    clock.move_to(0);
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
