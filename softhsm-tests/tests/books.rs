//! Books that are loaded apart from the bundle: signed by their own people, cooling, and kept over restarts.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use api::governance::LoadedBook;
use policy::{
    Entry,
    book::file_hash,
    statement::{self, BookUpdate, BookVeto},
};
use strongroom_softhsm_tests::{
    anvil::Anvil,
    bundle::{Bundle, FLEET, key},
    evm::Draft,
    program::{binary, until_within},
    records,
    world::{Client, World},
};

use crate::{
    proposals::{governance, officer, reload},
    support::{CUSTOMER, EVM, STRANGER, sender, transfer},
};

pub const LONG: &str = "10d";
const SHORT: &str = "5s";
/// Of the tests' book.
pub const SIGNERS: [&str; 2] = ["ann", "dan"];

/// The customers' book is loaded apart.
pub fn edit(bundle: &mut Bundle, cooling: &str) {
    bundle.remove("books/customers.txt");
    bundle.replace(
        "statements.toml",
        "file = \"books/customers.txt\"",
        &format!(
            "signers = {{ threshold = 2, people = [\"ann\", \"dan\"] }}\ncooling = {cooling:?}"
        ),
    );
    bundle.replace(
        "accounts.toml",
        "verbs = [\"keys\"]",
        "verbs = [\"keys\", \"govern\"]",
    );
}

/// A signer that pays those in a book which ann and dan sign, who do not govern together.
pub fn world(cooling: &str) -> World {
    let world = World::with(|bundle| edit(bundle, cooling));
    // It is asked again and again whether a book has cooled.
    world.configure("[bounds]\nrequests_per_second = 100000");
    world
}

fn path(world: &World, ending: &str) -> PathBuf {
    world.books().join(format!("customers.{ending}"))
}

pub fn update(sequence: u64, lines: &str) -> BookUpdate {
    BookUpdate {
        fleet: FLEET.parse().unwrap(),
        replaces: sequence - 1,
        book: "customers".parse().unwrap(),
        chain: EVM,
        addresses: lines.lines().count() as u64,
        file: file_hash(lines.as_bytes()),
    }
}

pub fn offer(world: &World, update: &BookUpdate, lines: &str, signers: &[&str]) {
    std::fs::create_dir_all(world.books()).unwrap();
    let (text, namespace) = (update.to_string(), update.header().namespace());
    let sign = |person: &&str| statement::sign(&text, &namespace, &key(person)).unwrap();
    let signatures: String = signers.iter().map(sign).collect();
    std::fs::write(path(world, "txt"), lines).unwrap();
    std::fs::write(path(world, "statement"), text).unwrap();
    std::fs::write(path(world, "statement.sig"), signatures).unwrap();
}

pub fn lines(addresses: &[&str]) -> String {
    let mut lines: Vec<String> = addresses.iter().map(|one| format!("{one}\n")).collect();
    lines.sort();
    lines.concat()
}

pub fn book(officer: &mut Client) -> LoadedBook {
    officer.reconnect();
    governance(officer).books.remove(0)
}

/// By the command line, as people do it.
fn sign_by_hand(world: &World, list: &str, sequence: u64) {
    let from = world.folder().join("customers.list");
    std::fs::write(&from, list).unwrap();
    let run = |more: &[&str]| {
        let mut command = Command::new(binary("strongroom"));
        command
            .args(["policy", "book", "sign", "customers", "--out"])
            .arg(world.books())
            .args(more);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
    };
    std::fs::create_dir_all(world.books()).unwrap();
    let keys = SIGNERS.map(|person| key_file(world.folder(), person));
    let (sequence, chain) = (sequence.to_string(), EVM.to_string());
    let from = from.to_str().unwrap();
    let made = [
        "--from",
        from,
        "--chain",
        &chain,
        "--fleet",
        FLEET,
        "--sequence",
        &sequence,
    ];
    run(&[&made[..], &["--key", &keys[0]]].concat());
    run(&["--key", &keys[1]]);
}

fn key_file(folder: &Path, person: &str) -> String {
    let path = folder.join(format!("{person}.key"));
    let text = key(person).to_openssh(ssh_key::LineEnding::LF).unwrap();
    std::fs::write(&path, text.as_bytes()).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn an_address_is_paid_once_it_has_cooled_over_a_kill_and_no_longer_once_it_is_out() {
    let world = world(SHORT);
    let daemon = world.start();
    let (mut client, mut officer) = (world.walletd(), officer(&world));
    let from = sender(&mut client);
    let pay = |id: &str, nonce, to| transfer(id, &from, &Draft::transfer(nonce, to, 1));
    assert_eq!(
        client.refused(&pay("never", 0, CUSTOMER)).reasons[0].code,
        "uncovered"
    );
    assert_eq!(book(&mut officer).sequence, 0);
    let ben = Anvil::ACCOUNTS[2];
    sign_by_hand(
        &world,
        &format!("{ben} # ben\n\n{CUSTOMER}\n{CUSTOMER}\n"),
        1,
    );
    reload(&daemon);
    let loaded = book(&mut officer);
    assert_eq!(
        (loaded.sequence, loaded.addresses, loaded.is_there),
        (1, 2, true)
    );
    assert_eq!(loaded.cooling.len(), 1);
    let refused = client.refused(&pay("cooling", 0, CUSTOMER));
    assert_eq!(refused.reasons[0].code, "uncovered");
    // It may be gone from its folder by then: it is kept.
    daemon.kill();
    std::fs::remove_dir_all(world.books()).unwrap();
    std::fs::create_dir(world.books()).unwrap();
    let daemon = world.start();
    until_within(Duration::from_secs(120), "the book to cool", || {
        book(&mut officer).cooling.is_empty().then_some(())
    });
    client.reconnect();
    client.sign(&pay("cooled", 0, CUSTOMER));
    let left = lines(&[ben, STRANGER]);
    offer(&world, &update(2, &left), &left, &SIGNERS);
    reload(&daemon);
    assert_eq!(
        client.refused(&pay("out", 1, CUSTOMER)).reasons[0].code,
        "uncovered"
    );
    assert_eq!(
        client.refused(&pay("added", 1, STRANGER)).reasons[0].code,
        "uncovered"
    );
    client.sign(&pay("stayed", 1, ben));
    until_within(Duration::from_secs(120), "the book to cool again", || {
        book(&mut officer).cooling.is_empty().then_some(())
    });
    daemon.kill();
    let daemon = world.start();
    client.reconnect();
    client.sign(&pay("added-cooled", 2, STRANGER));
    assert_eq!(
        client.refused(&pay("out-cooled", 3, CUSTOMER)).reasons[0].code,
        "uncovered"
    );
    assert!(daemon.stop().success());
}

/// Updates that do not follow, each with its file and who signed it, and the name of why.
fn wrong(next: &BookUpdate, more: &str, good: &str) -> [Wrong; 9] {
    let other = |change: &dyn Fn(&mut BookUpdate)| {
        let mut update = next.clone();
        change(&mut update);
        update
    };
    let unsorted: String = more.lines().rev().map(|line| format!("{line}\n")).collect();
    [
        (
            "book-sequence",
            other(&|one| one.replaces = 0),
            more,
            &SIGNERS[..],
        ),
        (
            "book-sequence",
            other(&|one| one.replaces = 5),
            more,
            &SIGNERS[..],
        ),
        (
            "book-fleet",
            other(&|one| one.fleet = "other".parse().unwrap()),
            more,
            &SIGNERS[..],
        ),
        (
            "book-name",
            other(&|one| one.chain = tx::Chain::Evm(1)),
            more,
            &SIGNERS[..],
        ),
        ("book-quorum", next.clone(), more, &["ann"][..]),
        // Who govern, and are not both of the book's.
        ("book-quorum", next.clone(), more, &["ann", "ben"][..]),
        ("book-file-changed", next.clone(), good, &SIGNERS[..]),
        (
            "book-count",
            other(&|one| one.addresses = 3),
            more,
            &SIGNERS[..],
        ),
        (
            "book-file",
            update(2, &unsorted),
            unsorted.as_str(),
            &SIGNERS[..],
        ),
    ]
    .map(|(name, update, lines, signers)| Wrong {
        name,
        update,
        lines: lines.to_owned(),
        signers,
    })
}

struct Wrong {
    name: &'static str,
    update: BookUpdate,
    lines: String,
    signers: &'static [&'static str],
}

#[test]
fn a_book_that_does_not_follow_is_refused_by_name_and_the_old_one_stays() {
    let world = world("0s");
    let daemon = world.start();
    let (mut client, mut officer) = (world.walletd(), officer(&world));
    let from = sender(&mut client);
    let good = lines(&[CUSTOMER]);
    offer(&world, &update(1, &good), &good, &SIGNERS);
    reload(&daemon);
    let loaded = book(&mut officer);
    assert_eq!((loaded.sequence, loaded.cooling.len()), (1, 0));
    let more = lines(&[CUSTOMER, STRANGER]);
    let next = update(2, &more);
    let refused = wrong(&next, &more, &good);
    for one in &refused {
        offer(&world, &one.update, &one.lines, one.signers);
        reload(&daemon);
    }
    assert_eq!(book(&mut officer), loaded);
    let pay = |id: &str, nonce, to| transfer(id, &from, &Draft::transfer(nonce, to, 1));
    client.sign(&pay("known", 0, CUSTOMER));
    assert_eq!(
        client.refused(&pay("new", 1, STRANGER)).reasons[0].code,
        "uncovered"
    );
    offer(&world, &next, &more, &SIGNERS);
    reload(&daemon);
    client.sign(&pay("new", 1, STRANGER));
    assert!(daemon.stop().success());
    let said = records::read(&world.data()).into_iter();
    let said = said.filter_map(|record| match record.entry {
        Entry::PolicyRefused { reason } => Some(reason),
        _ => None,
    });
    let said: Vec<String> = said.collect();
    let names: Vec<&str> = said
        .iter()
        .filter_map(|one| one.split(": ").next())
        .collect();
    assert_eq!(names, refused.map(|one| one.name));
}

#[test]
fn one_officer_vetoes_what_was_added_over_a_restart() {
    let world = world(LONG);
    let daemon = world.start();
    let mut officer = officer(&world);
    let good = lines(&[CUSTOMER]);
    offer(&world, &update(1, &good), &good, &SIGNERS);
    reload(&daemon);
    let content = book(&mut officer).cooling.remove(0);
    let veto = |entry, person| {
        let veto = BookVeto {
            fleet: FLEET.parse().unwrap(),
            entry,
            book: "customers".parse().unwrap(),
        };
        let (text, namespace) = (veto.to_string(), veto.header().namespace());
        let signature = statement::sign(&text, &namespace, &key(person)).unwrap();
        api::signing::Statement {
            statement: text,
            signatures: vec![signature],
        }
    };
    // By a signer of the book who is no officer, and of another entry.
    assert_eq!(bring(&mut officer, &veto(content.entry, "dan")), 422);
    assert_eq!(bring(&mut officer, &veto(content.entry + 1, "cem")), 422);
    assert_eq!(bring(&mut officer, &veto(content.entry, "cem")), 200);
    assert_eq!(bring(&mut officer, &veto(content.entry, "cem")), 422);
    daemon.kill();
    let daemon = world.start();
    assert!(book(&mut officer).cooling[0].vetoed);
    assert!(daemon.stop().success());
}

fn bring(client: &mut Client, statement: &api::signing::Statement) -> u16 {
    let body = serde_json::to_vec(statement).unwrap();
    client.post("/v1/governance/statements", &body).status
}
