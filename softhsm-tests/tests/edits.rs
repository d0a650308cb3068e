//! "Policy edits", "Precedence" and "Insider's edits" of the attack corpus, on the real daemon.

use std::fs;

use policy::{
    Entry,
    bundle::{MANIFEST, SIGNATURES},
};
use strongroom_softhsm_tests::{
    ask::units,
    bundle::Bundle,
    evm::{Draft, ETHER},
    records,
    signerd::Signerd,
    world::{Client, World},
};

use crate::{
    proposals::{governance, officer, reload},
    support::{CUSTOMER, STRANGER, sender, transfer},
};

/// The bundle governs from now on: nothing here waits.
fn govern(world: &World, daemon: &Signerd, (bundle, sequence): (&Bundle, u64)) {
    let hash = bundle.write(&world.policy(), sequence, &["ann", "ben"]);
    reload(daemon);
    let policy = world.walletd().keys().policy;
    assert_eq!(policy, hash.to_string(), "{}", daemon.said());
}

fn codes(
    client: &mut Client,
    id: &str,
    (from, nonce, to): (&str, u64, &str),
    wei: u128,
) -> Vec<String> {
    let request = transfer(id, from, &Draft::transfer(nonce, to, wei));
    let reasons = client.refused(&request).reasons.into_iter();
    reasons.map(|reason| reason.code).collect()
}

#[test]
fn a_deny_wins_over_every_allow_wherever_it_stands() {
    let world = World::new();
    let daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    client.sign(&transfer("before", &from, &Draft::transfer(0, CUSTOMER, 1)));
    let deny = format!(
        "[[deny]]\nname = \"not-this-one\"\neffect = \"payment\"\nto = \"address:eip155:31337:{CUSTOMER}\"\n"
    );
    let more = "[[allow]]\nname = \"any-eth\"\neffect = \"payment\"\nasset = \"eth\"\naccount = \"eth-hot\"\n";
    // Before all allows, behind them, and beside one more that covers everything.
    for (sequence, file) in [(2, "a-first.toml"), (3, "z-last.toml")] {
        let mut edited = world.bundle.clone();
        edited.set(file, &deny);
        govern(&world, &daemon, (&edited, sequence));
        client.reconnect();
        let found = codes(
            &mut client,
            &format!("denied-{sequence}"),
            (&from, 1, CUSTOMER),
            1,
        );
        assert_eq!(found, ["denied"]);
    }
    let mut edited = world.bundle.clone();
    edited.set("a-first.toml", &format!("{more}\n{deny}"));
    govern(&world, &daemon, (&edited, 4));
    client.reconnect();
    let found = codes(&mut client, "denied-4", (&from, 1, CUSTOMER), 1);
    assert_eq!(found, ["denied"]);
    // Nor do people help: what they would be asked for is refused outright.
    let found = codes(&mut client, "large", (&from, 1, CUSTOMER), 6 * ETHER);
    assert_eq!(found, ["denied"]);
    daemon.kill();
    let daemon = world.start();
    client.reconnect();
    let found = codes(&mut client, "denied-killed", (&from, 1, CUSTOMER), 1);
    assert_eq!(found, ["denied"]);
    client.sign(&transfer("other", &from, &Draft::transfer(1, STRANGER, 1)));
    assert!(daemon.stop().success());
}

#[test]
fn raising_a_cap_in_mid_window_gives_what_is_added_and_nothing_that_was_spent() {
    let world = World::new();
    let daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    let pay = |nonce: u64, ether: u128| {
        let draft = Draft::transfer(nonce, CUSTOMER, ether * ETHER);
        transfer(&format!("pay-{nonce}-{ether}"), &from, &draft)
    };
    for nonce in 0..4 {
        client.sign(&pay(nonce, 5));
    }
    assert_eq!(client.refused(&pay(4, 1)).reasons[0].code, "limit");
    let cap = |sequence, ether: u64| {
        let mut edited = world.bundle.clone();
        edited.replace(
            "statements.toml",
            "cap = \"20 eth\"",
            &format!("cap = \"{ether} eth\""),
        );
        govern(&world, &daemon, (&edited, sequence));
    };
    cap(2, 23);
    client.reconnect();
    assert_eq!(client.used("eth-day"), units(20 * ETHER));
    assert_eq!(client.refused(&pay(4, 4)).reasons[0].code, "limit");
    client.sign(&pay(4, 3));
    // Down and up again, and there is no more of it.
    cap(3, 5);
    cap(4, 23);
    client.reconnect();
    assert_eq!(client.used("eth-day"), units(23 * ETHER));
    assert_eq!(client.refused(&pay(5, 1)).reasons[0].code, "limit");
    daemon.kill();
    let daemon = world.start();
    client.reconnect();
    assert_eq!(client.used("eth-day"), units(23 * ETHER));
    assert_eq!(client.refused(&pay(5, 1)).reasons[0].code, "limit");
    assert!(daemon.stop().success());
}

#[test]
fn a_bundle_with_a_file_missing_or_nobodys_signature_is_refused_at_a_reload() {
    let world = World::new();
    let daemon = world.start();
    let mut officer = officer_who_governs(&world, &daemon);
    let running = governance(&mut officer).policy;
    let mut next = world.bundle.clone();
    next.append("books/customers.txt", &format!("{STRANGER}\n"));
    let offer = |spoil: &dyn Fn()| {
        next.write(&world.policy(), 3, &["ann", "ben"]);
        spoil();
        reload(&daemon);
    };
    let path = |file: &str| world.policy().join(file);
    let removed = |file: &str| fs::remove_file(path(file)).unwrap();
    offer(&|| removed("books/customers.txt"));
    offer(&|| removed("statements.toml"));
    offer(&|| removed(MANIFEST));
    offer(&|| removed(SIGNATURES));
    offer(&|| fs::write(path(SIGNATURES), "").unwrap());
    // A signature of two who may, over another manifest.
    offer(&|| {
        let signed = fs::read(path(SIGNATURES)).unwrap();
        let mut other = next.clone();
        other.append("statements.toml", "\n# another\n");
        other.write(&world.policy(), 3, &["ann", "ben"]);
        fs::write(path(SIGNATURES), signed).unwrap();
    });
    assert_eq!(daemon.metric("signerd_reloads_failed_total"), Some(6));
    officer.reconnect();
    assert_eq!(governance(&mut officer).policy, running);
    assert_eq!(governance(&mut officer).proposed, None);
    assert!(daemon.stop().success());
    let records = records::read(&world.data());
    let reasons = records.iter().filter_map(|record| match &record.entry {
        Entry::PolicyRefused { reason } => reason.split(':').next(),
        _ => None,
    });
    assert_eq!(
        reasons.collect::<Vec<_>>(),
        [
            "bundle-file-missing",
            "bundle-file-missing",
            "bundle-file-missing",
            "bundle-file-missing",
            "bundle-quorum",
            "bundle-quorum",
        ]
    );
}

/// A client that sees what governs, by a second bundle that lets it.
fn officer_who_governs(world: &World, daemon: &Signerd) -> Client {
    let mut edited = world.bundle.clone();
    let verbs = "verbs = [\"keys\"]";
    edited.replace("accounts.toml", verbs, "verbs = [\"keys\", \"govern\"]");
    govern(world, daemon, (&edited, 2));
    officer(world)
}

fn limit(name: &str, condition: &str) -> String {
    format!(
        "\n[[limit]]\nname = {name:?}\neffect = \"payment\"\nasset = \"eth\"\nmeasure = \"amount\"\n\
         window = \"24h\"\ncap = \"5 eth\"\n{condition}\n"
    )
}

#[test]
fn renaming_an_asset_or_a_client_and_editing_a_book_forgets_nothing() {
    let world = World::with(|bundle| {
        let to = "to = \"book:customers\"";
        bundle.append("statements.toml", &limit("to-customers", to));
        let book = format!(
            "\n[[book]]\nname = \"vips\"\nchain = \"eip155:31337\"\naddresses = {STRANGER:?}\n"
        );
        bundle.append("statements.toml", &book);
        bundle.append("statements.toml", &limit("to-vips", "to = \"book:vips\""));
    });
    let daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    client.sign(&transfer(
        "first",
        &from,
        &Draft::transfer(0, CUSTOMER, 4 * ETHER),
    ));
    assert_eq!(client.used("to-customers"), units(4 * ETHER));
    assert_eq!(client.used("to-vips"), units(0));

    // The asset and the client under other names: the same coin, and the same certificate.
    let mut edited = world.bundle.clone();
    let quoted = ("\"eth\"", "\"ether\"");
    for (file, (part, by)) in [
        ("accounts.toml", quoted),
        ("statements.toml", quoted),
        ("statements.toml", (" eth\"", " ether\"")),
    ] {
        edited.replace_all(file, part, by);
    }
    edited.replace_all("accounts.toml", "\"walletd\"", "\"paymaster\"");
    govern(&world, &daemon, (&edited, 2));
    client.reconnect();
    for limit in ["eth-day", "to-customers"] {
        assert_eq!(client.used(limit), units(4 * ETHER), "{limit}");
    }
    let over = |client: &mut Client, id: &str, to: &str| {
        let request = transfer(id, &from, &Draft::transfer(1, to, 2 * ETHER));
        let reasons = client.refused(&request).reasons.into_iter();
        let limits: Vec<String> = reasons.filter_map(|reason| reason.statement).collect();
        limits
    };
    assert_eq!(over(&mut client, "renamed", CUSTOMER), ["to-customers"]);

    // Who was paid is taken out of one book and put into another: it counts in both.
    edited.replace("books/customers.txt", CUSTOMER, STRANGER);
    let vips = format!("addresses = {STRANGER:?}");
    edited.replace(
        "statements.toml",
        &vips,
        &format!("addresses = [{STRANGER:?}, {CUSTOMER:?}]"),
    );
    govern(&world, &daemon, (&edited, 3));
    client.reconnect();
    for limit in ["eth-day", "to-customers", "to-vips"] {
        assert_eq!(client.used(limit), units(4 * ETHER), "{limit}");
    }
    let both = ["to-customers", "to-vips"];
    assert_eq!(over(&mut client, "edited", STRANGER), both);
    daemon.kill();
    let daemon = world.start();
    client.reconnect();
    assert_eq!(over(&mut client, "killed", STRANGER), both);
    client.sign(&transfer(
        "rest",
        &from,
        &Draft::transfer(1, STRANGER, ETHER),
    ));
    assert!(daemon.stop().success());
}
