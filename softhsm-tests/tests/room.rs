//! The room of limits, held against what an auditor computes from exported entries: behind a daemon that was
//! killed, limits that were edited and renamed, and a wall clock that was moved there and back.

use std::{collections::BTreeMap, time::Duration};

use api::signing::{KeysAnswer, SignRequest};
use rustix::process::Signal;
use strongroom_softhsm_tests::{
    anvil::Anvil,
    ask::{intent, request},
    bundle::Bundle,
    coins::{self, Previous},
    evm::{Draft, ETHER, GWEI},
    program::{until, until_within},
    signerd::Signerd,
    world::{Client, World, json},
};
use tx::Asset;

use crate::{
    audit::{Audited, EXAMINER},
    clock::MovedClock,
    room_reference::{Bound, HOUR_MILLIS, Measured, Told},
    support::{LITECOIN, TOKEN, coin_scripts, eth, sender, transfer, usdx},
};

const MINUTE_MILLIS: u64 = 60_000;

/// Beside those of the tests' bundle: the shortest window, two groups at once, a count.
const LIMITS: &str = "
[[limit]]
name = \"eth-minute\"
effect = \"payment\"
asset = \"eth\"
measure = \"amount\"
window = \"1m\"
cap = \"15 eth\"
group = [\"account\"]

[[limit]]
name = \"payments\"
effect = \"payment\"
measure = \"count\"
window = \"6h\"
cap = \"500\"
group = [\"account\", \"client\", \"source\"]

[[limit]]
name = \"small-fees\"
effect = \"fee\"
asset = \"eth\"
measure = \"amount\"
window = \"36h\"
cap = \"1 eth\"
amount_max = \"0.00005 eth\"
";

/// The limits of the first bundle.
fn bounds() -> Vec<Bound> {
    let ltc = Asset::native(LITECOIN);
    let btc: Asset = "bitcoin:mainnet/native".parse().unwrap();
    vec![
        Bound::of("eth-day", "payment", eth()),
        Bound::of("usdx-day", "payment", usdx()),
        Bound::of("ltc-day", "payment", ltc.clone()),
        Bound::of("btc-day", "payment", btc.clone()),
        Bound::of("eth-fees-day", "fee", eth()),
        Bound::of("ltc-fees-day", "fee", ltc),
        Bound::of("btc-fees-day", "fee", btc),
        Bound {
            window_millis: MINUTE_MILLIS,
            is_grouped: true,
            group: |fact| vec![format!("account={}", fact.effect.account)],
            ..Bound::of("eth-minute", "payment", eth())
        },
        Bound {
            assets: Vec::new(),
            window_millis: 6 * HOUR_MILLIS,
            measured: Measured::Count,
            is_grouped: true,
            group: |fact| {
                let source = fact.source.as_deref().unwrap();
                let account = format!("account={}", fact.effect.account);
                let client = format!("client={}", fact.client);
                vec![client, format!("source={source}"), account]
            },
            ..Bound::of("payments", "payment", eth())
        },
        Bound {
            amount_max: ETHER / 20_000,
            window_millis: 36 * HOUR_MILLIS,
            ..Bound::of("small-fees", "fee", eth())
        },
    ]
}

/// A daemon, whoever asks it, and what its limits must be.
pub struct Audit<'a> {
    pub audited: &'a Audited,
    pub client: Client,
    pub bounds: Vec<Bound>,
    pub checked: u32,
}

impl Audit<'_> {
    /// The room that the daemon prints is the reference's, to the unit.
    pub fn agrees(&mut self, when: &str) {
        let answer = self.client.keys();
        self.agrees_with(answer, when);
    }

    /// As [`Self::agrees`], of an answer since which nothing was signed.
    pub fn agrees_with(&mut self, answer: KeysAnswer, when: &str) {
        self.checked += 1;
        until("a checkpoint", || {
            (self.client.keys().journal?.uncovered == 0).then_some(())
        });
        let (folder, _) = self.audited.export("room");
        let told = Told::of(&folder);
        let mut printed: BTreeMap<(String, Vec<String>), String> = BTreeMap::new();
        for room in answer.limits {
            let used = room.used.to_string();
            assert_eq!(room.left, room.cap.saturating_sub(room.used), "{when}");
            assert!(printed.insert((room.limit, room.group), used).is_none());
        }
        let mut expected = BTreeMap::new();
        for bound in &self.bounds {
            let mut used = bound.used(&told, answer.time.lo);
            if !bound.is_grouped {
                used.entry(Vec::new()).or_default();
            }
            for (group, used) in used {
                expected.insert((bound.name.to_owned(), group), used.to_string());
            }
        }
        assert_eq!(printed, expected, "{when}");
    }

    fn pay(&mut self, nonce: u64, wei: u128) -> u64 {
        let from = sender(&mut self.client);
        self.client.sign(&pay(&from, nonce, wei)).attempt
    }

    /// The same payment at a higher price, in the place of an attempt.
    fn replace(&mut self, nonce: u64, wei: u128, attempt: u64) {
        let from = sender(&mut self.client);
        let mut request = pay(&from, nonce, wei);
        let to = customer(nonce).to_owned();
        let raised = Draft {
            price: 3 * GWEI,
            tip: 2 * GWEI,
            ..Draft::transfer(nonce, &to, wei)
        };
        request.transaction = raised.from(&from);
        request.request_id = format!("again-{nonce}");
        request.replaces = vec![attempt];
        self.client.sign(&request);
    }

    pub fn bound(&mut self, name: &str) -> &mut Bound {
        let mut bounds = self.bounds.iter_mut();
        bounds.find(|bound| bound.name == name).unwrap()
    }

    pub fn reload(&mut self, daemon: &Signerd, bundle: &Bundle, sequence: u64) {
        let hash = bundle.write(&self.audited.world().policy(), sequence, &["ann", "ben"]);
        daemon.signal(Signal::HUP);
        until("the bundle", || {
            (self.client.keys().policy == hash.to_string()).then_some(())
        });
    }
}

fn customer(nonce: u64) -> &'static str {
    Anvil::ACCOUNTS[1 + nonce as usize % 3]
}

fn pay(from: &str, nonce: u64, wei: u128) -> SignRequest {
    let id = format!("pay-{nonce}");
    transfer(&id, from, &Draft::transfer(nonce, customer(nonce), wei))
}

/// Two payments in one transaction, of coins that nobody else spends.
fn batch(client: &mut Client, salt: u64) -> SignRequest {
    let own = &coin_scripts(client)[0];
    let coin = Previous::invented(salt, 900_000, own);
    let outputs = [(500_001, 7), (390_002, 8)].map(|(sat, to)| (sat, coins::foreign_script(to)));
    let intents = outputs
        .iter()
        .zip(["one", "two"])
        .map(|((sat, script), id)| {
            let to = coins::address_of(LITECOIN, script);
            let asset = Asset::native(LITECOIN);
            intent(&format!("{id}-{salt}"), &asset, (*sat).into(), &to)
        });
    let transaction = coins::on(LITECOIN, &coins::psbt(&[coin], &outputs));
    request(&format!("batch-{salt}"), transaction, intents.collect())
}

/// Pays one after the other until the daemon is gone; says how many were signed.
fn pay_until_killed(
    mut client: Client,
    requests: &[SignRequest],
    signed: &std::sync::mpsc::Sender<()>,
) {
    for request in requests {
        match client.connection().post("/v1/sign", &json(request)) {
            Ok(answer) => assert_eq!(answer.status, 200, "{}", answer.text()),
            Err(_) => return,
        }
        signed.send(()).unwrap();
    }
}

#[test]
fn the_room_is_what_exported_entries_say_behind_a_kill_edits_and_a_moved_clock() {
    let world = World::with(|bundle| {
        bundle.append("accounts.toml", EXAMINER);
        bundle.append("statements.toml", LIMITS);
    });
    let (audited, daemon) = Audited::on(world);
    assert!(daemon.stop().success());
    let world = audited.world();
    world.configure("[bounds]\nrequests_per_second = 100000");
    let clock = MovedClock::of(world);
    let daemon = clock.start();
    let mut audit = Audit {
        audited: &audited,
        client: world.walletd(),
        bounds: bounds(),
        checked: 0,
    };
    audit.agrees("nothing was paid");
    paid_in_every_way(&mut audit);
    let daemon = killed_and_asked_again(&mut audit, &clock, daemon);
    edited_and_renamed(&mut audit, &daemon);
    let daemon = under_a_moved_clock(&mut audit, &clock, daemon);
    as_a_minute_passes(&mut audit);
    audit.pay(53, ETHER / 23);
    audit.agrees("after the minute");
    assert!(daemon.stop().success());
}

fn paid_in_every_way(audit: &mut Audit<'_>) {
    let from = sender(&mut audit.client);
    for nonce in 0..3 {
        audit.pay(nonce, ETHER / 7 + u128::from(nonce));
    }
    let replaced = audit.pay(3, ETHER / 3);
    audit.replace(3, ETHER / 3, replaced);
    let token = Draft::token_transfer(4, TOKEN, customer(4), 1_234_567);
    let paid = vec![intent("token", &usdx(), 1_234_567, customer(4))];
    audit
        .client
        .sign(&request("token", token.from(&from), paid));
    let two = batch(&mut audit.client, 1);
    audit.client.sign(&two);
    audit.agrees("payments, a replacement, a batch");
}

/// Killed in the middle of payments; each is asked for again.
fn killed_and_asked_again(
    audit: &mut Audit<'_>,
    clock: &MovedClock<'_>,
    daemon: Signerd,
) -> Signerd {
    let from = sender(&mut audit.client);
    let requests: Vec<_> = (5..45)
        .map(|nonce| pay(&from, nonce, ETHER / 1_000 + 1))
        .collect();
    let (signed, count) = std::sync::mpsc::channel();
    let client = audit.audited.world().walletd();
    std::thread::scope(|scope| {
        scope.spawn(|| pay_until_killed(client, &requests, &signed));
        for _ in 0..8 {
            count.recv().unwrap();
        }
        daemon.kill();
    });
    let daemon = clock.start();
    audit.client.reconnect();
    audit.agrees("killed");
    for request in &requests {
        audit.client.sign(request);
    }
    audit.agrees("what was cut off was asked for again");
    daemon
}

/// A cap, a window, two names.
fn edited_and_renamed(audit: &mut Audit<'_>, daemon: &Signerd) {
    let mut edited = audit.audited.world().bundle.clone();
    let mut replace = |part: &str, by: &str| edited.replace("statements.toml", part, by);
    replace("cap = \"20 eth\"", "cap = \"19 eth\"");
    replace("window = \"36h\"", "window = \"30h\"");
    audit.reload(daemon, &edited, 2);
    audit.bound("small-fees").window_millis = 30 * HOUR_MILLIS;
    audit.pay(45, ETHER / 11);
    audit.agrees("edited");
    let mut replace = |part: &str, by: &str| edited.replace("statements.toml", part, by);
    replace("name = \"eth-day\"", "name = \"ether-a-day\"");
    replace("name = \"eth-minute\"", "name = \"at-once\"");
    audit.reload(daemon, &edited, 3);
    audit.bound("eth-day").name = "ether-a-day";
    audit.bound("eth-minute").name = "at-once";
    audit.pay(46, ETHER / 13);
    audit.agrees("renamed");
}

/// An export is a new connection, for which the certificate must be valid by the daemon's clock.
fn under_a_moved_clock(audit: &mut Audit<'_>, clock: &MovedClock<'_>, daemon: Signerd) -> Signerd {
    for (nonce, hours) in [(47, 2), (48, -2)] {
        clock.move_to(hours);
        audit.pay(nonce, ETHER / 17);
        let answer = audit.client.keys();
        clock.move_to(0);
        audit.agrees_with(answer, &format!("the clock was moved by {hours} hours"));
        audit.agrees("the clock was moved back");
    }
    clock.move_to(2);
    audit.pay(49, ETHER / 17);
    daemon.kill();
    clock.move_to(0);
    let daemon = clock.start();
    audit.client.reconnect();
    audit.agrees("killed under a moved clock");
    daemon
}

/// The charges leave the shortest window one after the other.
fn as_a_minute_passes(audit: &mut Audit<'_>) {
    for nonce in 50..53 {
        audit.pay(nonce, ETHER / 19);
        audit.agrees("one more");
    }
    let checked = audit.checked;
    let mut seen = None;
    until_within(Duration::from_secs(180), "an empty minute", || {
        let limits = audit.client.keys().limits;
        let at_once = limits.into_iter().find(|room| room.limit == "at-once");
        let left = at_once.is_none();
        if seen.replace(at_once.clone()) != Some(at_once) {
            audit.agrees("as time passes");
        }
        left.then_some(())
    });
    // Before the first of them had left, and when all had.
    assert!(audit.checked >= checked + 2, "there was nothing to leave");
}
