//! The daemon on an encrypted keystore.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::{Command, Output},
    thread,
};

use alloy_primitives::U256;
use bitcoin::{ScriptBuf, WitnessProgram, WitnessVersion};
use rustix::process::{Signal, kill_process};
use serde_json::Value;
use strongroom_softhsm_tests::{
    anvil::Anvil,
    ask::units,
    coins::{Previous, foreign_script},
    evm::{Draft, ETHER, read_signed},
    keystore::PASSPHRASE,
    memory,
    program::{output, repository, run, until},
    records,
    signerd::{Role, log_of},
    world::{World, problem},
};
use tlog::{checkpoint::SignedCheckpoint, note::VerifierKey};

use crate::support::{BITCOIN, CUSTOMER, coin_scripts, payment, raw, sender, transfer};

/// A key's file by eth-keyfile, as `softhsm-tests/oracle/keystore` wrote it, and what it holds.
const FOREIGN: &str = "src/keys/keystore/vectors/eth-keyfile-scrypt.json";
const FOREIGN_PASSPHRASE: &str = "correct horse battery staple";
const FOREIGN_SECRET: &str = "7a28b5ba57c53603b0b07b56bba752f7784bf506fa95edc395f5cf6c7514fe9d";
const FOREIGN_ADDRESS: &str = "0x008AeEda4D805471dF9b2A5B0f38A0C3bCBA786b";

/// A world whose sender is a key that was made elsewhere.
fn imported() -> World {
    let world = World::on_keystore(&[]);
    let keystore = world.keystore();
    let text = fs::read_to_string(repository(FOREIGN)).unwrap();
    keystore.import("eth-1", &text, FOREIGN_PASSPHRASE);
    world
}

#[test]
fn payments_are_mined_and_checkpoints_signed_and_the_level_is_shown() {
    let world = World::on_keystore(&["eth-1"]).with_checkpoints();
    let anvil = Anvil::start(world.folder());
    let daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    anvil.fund(&from, U256::from(10 * ETHER));
    let answer = client.sign(&transfer(
        "pay",
        &from,
        &Draft::transfer(0, CUSTOMER, ETHER),
    ));
    let (signer, _) = read_signed(&raw(&answer));
    assert_eq!(signer, from);
    let receipt = anvil.send(&raw(&answer)).unwrap();
    assert_eq!(receipt["status"], "0x1", "{receipt}");
    assert_eq!(client.key("eth-1").assurance, "software");

    let key = client.keys().journal.unwrap().log_key.unwrap();
    let key: VerifierKey = key.parse().unwrap();
    let note = until("a checkpoint", || {
        let answer = client.get("/v1/journal/checkpoint");
        (answer.status == 200).then_some(answer)
    });
    let origin = key.name().as_str().parse().unwrap();
    let _ = SignedCheckpoint::open(note.text().as_bytes(), &origin, &[key]).unwrap();
    assert!(daemon.stop().success());
}

/// Where no key signs as BIP-340 has it.
#[test]
fn taproot_is_refused_by_name() {
    let world = World::on_keystore(&["coin-1", "coin-2", "coin-3"]);
    let _daemon = world.start();
    let mut client = world.walletd();
    let own = hex::decode(client.key("coin-1").public_key).unwrap();
    let program = WitnessProgram::new(WitnessVersion::V1, &own[1..]).unwrap();
    let taproot = ScriptBuf::new_witness_program(&program);
    let previous = [Previous::invented(1, 10_000_000, &taproot)];
    let outputs = [(9_990_000, foreign_script(1))];
    let (_, request) = payment("taproot", BITCOIN, &previous, &outputs);
    let refused = client.refused(&request);
    assert!(
        serde_json::to_string(&refused)
            .unwrap()
            .contains("utxo-input-taproot"),
        "{refused:?}"
    );
    // The same coin of the same key as P2WPKH is signed.
    let scripts = coin_scripts(&mut client);
    let previous = [Previous::invented(1, 10_000_000, &scripts[0])];
    let (_, request) = payment("segwit", BITCOIN, &previous, &outputs);
    client.sign(&request);
}

#[test]
fn a_wrong_passphrase_is_final_until_a_person_acts() {
    let world = World::on_keystore(&["eth-1"]);
    world.keystore().write_passphrase("another passphrase");
    let mark = world.data().join("pin-rejected");
    for _ in 0..2 {
        let mut daemon = world.launch();
        daemon.not_ready("rejected the PIN");
        until("the mark", || mark.exists().then_some(()));
        until("no key child", || {
            daemon.child(Role::KeyChild).is_none().then_some(())
        });
        assert!(daemon.stop().success());
    }
    let log = fs::read_to_string(log_of(&world.config())).unwrap();
    assert!(!log.contains("another passphrase"), "{log}");
    // The right one alone is not enough: a person says that it is right.
    world.keystore().write_passphrase(PASSPHRASE);
    let mut daemon = world.launch();
    daemon.not_ready("rejected the PIN");
    assert!(daemon.stop().success());
    fs::remove_file(mark).unwrap();
    let _daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    client.sign(&transfer("pay", &from, &Draft::transfer(0, CUSTOMER, 1)));
}

#[test]
fn a_key_child_that_is_killed_while_it_signs_costs_no_request() {
    let world = World::on_keystore(&["eth-1"]);
    let daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    let mut signed = 0;
    for nonce in 0..12 {
        let request = transfer(
            &format!("pay-{nonce}"),
            &from,
            &Draft::transfer(nonce, CUSTOMER, 1),
        );
        let killed = (nonce % 4 == 1).then(|| {
            let child = daemon.child(Role::KeyChild).unwrap();
            thread::spawn(move || kill_process(child, Signal::KILL))
        });
        until("a signature", || {
            let answer = client.send(&request);
            match answer.status {
                200 => Some(()),
                503 => None,
                _ => panic!("{}", answer.text()),
            }
        });
        signed += 1;
        if let Some(killed) = killed {
            killed.join().unwrap().unwrap();
        }
    }
    assert_eq!(client.used("eth-day"), units(signed));
    assert!(daemon.stop().success());
    assert_eq!(records::attempts(&records::read(&world.data())).len(), 12);
}

/// The key of a registered name is another one, enciphered by somebody who knows the passphrase.
#[test]
fn a_swapped_file_is_refused_by_the_pinned_public_key() {
    let world = World::on_keystore(&["eth-1"]);
    let daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    let pay = |id: &str, nonce| transfer(id, &from, &Draft::transfer(nonce, CUSTOMER, 1));
    client.sign(&pay("before", 0));
    let keystore = world.keystore();
    let own = fs::read(keystore.file("eth-1")).unwrap();
    fs::remove_file(keystore.file("eth-1")).unwrap();
    run(&mut keystore.command("generate", &["--name", "eth-1"]));
    // The running child holds its keys: nothing changes.
    let answer = client.sign(&pay("meanwhile", 1));
    assert_eq!(read_signed(&raw(&answer)).0, from);
    assert!(daemon.stop().success());

    let mut daemon = world.launch();
    daemon.not_ready("no device");
    client.reconnect();
    let refused = client.send(&pay("swapped", 2));
    assert_eq!(refused.status, 503, "{}", refused.text());
    problem(&refused);
    daemon.logged("strongroom:spend:eth-1");
    fs::write(keystore.file("eth-1"), own).unwrap();
    let daemon = daemon.ready();
    client.sign(&pay("after", 2));
    assert!(daemon.stop().success());
}

/// The secret is in the key child, in locked pages that no core dump has, and nowhere in the
/// processes that strangers speak to. Only the superuser can look.
#[test]
fn a_secret_is_in_the_key_child_and_never_in_the_server() {
    let world = imported();
    let daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    assert_eq!(from, FOREIGN_ADDRESS);
    for nonce in 0..20 {
        let id = format!("pay-{nonce}");
        client.sign(&transfer(&id, &from, &Draft::transfer(nonce, CUSTOMER, 1)));
    }
    let secret = hex::decode(FOREIGN_SECRET).unwrap();
    let child = daemon.child(Role::KeyChild).unwrap();
    let (found, _) = memory::search(child, &secret);
    let kept: Vec<_> = found
        .iter()
        .filter(|(mapping, _)| {
            ["lo", "dd"]
                .iter()
                .all(|flag| mapping.flags.iter().any(|f| f == flag))
        })
        .collect();
    assert_eq!(kept.len(), 1, "{found:?}");
    assert_eq!(found.len(), 1, "{found:?}");
    let server = daemon.child(Role::Server).unwrap();
    for pid in [server, daemon.pid()] {
        for wanted in [secret.as_slice(), FOREIGN_SECRET.as_bytes()] {
            let (found, looked_at) = memory::search(pid, wanted);
            assert!(found.is_empty(), "{found:?}");
            assert!(looked_at > 100_000, "{looked_at}");
        }
    }
    // The passphrase is the supervisor's to read, and the child's for as long as it opens the files.
    let (found, _) = memory::search(server, PASSPHRASE.as_bytes());
    assert!(found.is_empty(), "{found:?}");
    assert!(!daemon.said().contains(FOREIGN_SECRET));
}

/// anvil derives its accounts from a recovery phrase, too: one that has money there is one of the signer's.
#[test]
fn a_derived_key_is_the_account_that_a_node_derives() {
    let world = World::on_keystore(&[]);
    let keystore = world.keystore();
    let seed = keystore.seed("anvil", Anvil::PHRASE);
    assert!(seed.status.success(), "{seed:?}");
    let derived = keystore.derive("eth-1", "anvil", Anvil::PATH, "secp256k1");
    assert!(derived.status.success(), "{derived:?}");
    let anvil = Anvil::start(world.folder());
    let daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    assert_eq!(from, Anvil::ACCOUNTS[0]);
    let answer = client.sign(&transfer(
        "pay",
        &from,
        &Draft::transfer(0, CUSTOMER, ETHER),
    ));
    let receipt = anvil.send(&raw(&answer)).unwrap();
    assert_eq!(receipt["status"], "0x1", "{receipt}");
    // The signer has the key, and not what other keys would follow from. It is the one of BIP-39 for that phrase.
    let seed = "9dfc3c64c2f8bede1533b6a79f8570e5943e0b8fd1cf77107adf7b72cef42185\
                d564a3aee24cab43f80e3c4538087d70fc824eabbad596a23c97b6ee8322ccc0";
    let seed = hex::decode(seed).unwrap();
    let child = daemon.child(Role::KeyChild).unwrap();
    for pid in [child, daemon.child(Role::Server).unwrap(), daemon.pid()] {
        let (found, looked_at) = memory::search(pid, &seed[..32]);
        assert!(found.is_empty(), "{found:?}");
        assert!(looked_at > 100_000, "{looked_at}");
    }
    assert!(daemon.stop().success());
}

/// BIP-39's first test vector, whose passphrase is "TREZOR", and the file that another implementation wrote.
#[test]
fn seeds_come_from_phrases_with_a_passphrase_and_from_other_keystores() {
    let world = World::on_keystore(&["eth-1"]);
    let keystore = world.keystore();
    let file = |name: &str, text: &str| {
        let path = world.folder().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    };
    let phrase = file("words", &("abandon ".repeat(11) + "about"));
    let seed = |name: &str, passphrase: &str| {
        let mut command = keystore.command("seed", &["--name", name]);
        command.arg("--phrase-file").arg(&phrase);
        command.arg("--phrase-passphrase-file");
        output(command.arg(file("beside", passphrase)))
    };
    let said = |output: &Output| String::from_utf8(output.stdout.clone()).unwrap();
    let made = seed("trezor", "TREZOR");
    assert_eq!(said(&made), "seed trezor (fingerprint b4e3f5ed)\n");
    let refused = seed("other", "tr\u{e9}sor");
    let why = String::from_utf8(refused.stderr).unwrap();
    assert!(
        !refused.status.success() && why.contains("not ASCII"),
        "{why}"
    );

    let other = repository("src/keys/keystore/vectors/seed.treasury.json");
    let taken = |passphrase: &str| {
        let mut command = keystore.command("seed", &["--name", "taken"]);
        command.arg("--file").arg(&other);
        command.arg("--file-pin-file");
        output(command.arg(file("theirs", passphrase)))
    };
    let refused = taken(PASSPHRASE);
    let why = String::from_utf8(refused.stderr).unwrap();
    assert!(
        why.contains("does not open") && why.contains("not the keystore's"),
        "{why}"
    );
    let made = taken(FOREIGN_PASSPHRASE);
    assert_eq!(said(&made), "seed taken (fingerprint 73c5da0a)\n");
}

#[test]
fn seeds_and_paths_are_refused_by_name() {
    let world = World::on_keystore(&["eth-1"]);
    let keystore = world.keystore();
    let refused = |output: &Output, why: &str| {
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(why), "{said}");
        assert!(!said.contains("junk"), "{said}");
    };
    let words = Anvil::PHRASE;
    refused(
        &keystore.seed("anvil", &words.replace("junk", "test")),
        "checksum",
    );
    refused(
        &keystore.seed("anvil", &words.replace("junk", "junkyard")),
        "unknown word",
    );
    refused(&keystore.seed("anvil", "test junk"), "word count");
    assert!(keystore.seed("anvil", words).status.success());
    refused(&keystore.seed("anvil", words), "exists already");
    for (path, algorithm, why) in [
        ("m/44'/60'/x", "secp256k1", "not spelt"),
        ("m", "bip340", "no step"),
        ("m/44'/501'/0'/0", "ed25519", "hardened"),
    ] {
        refused(&keystore.derive("two", "anvil", path, algorithm), why);
    }
    let path = "m/44'/501'/0'";
    refused(
        &keystore.derive("two", "nobody", path, "ed25519"),
        "seed.nobody.json",
    );
    refused(
        &keystore.derive("eth-1", "anvil", path, "ed25519"),
        "exists already",
    );
    assert!(
        keystore
            .derive("sol", "anvil", path, "ed25519")
            .status
            .success()
    );
    let listed = run(&mut keystore.command("list", &[]));
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains("seed anvil (fingerprint "), "{listed}");
    assert!(!listed.contains("not used"), "{listed}");
}

/// Node's own scrypt and AES, and the Keccak of js-sha3, on what the command line wrote.
#[test]
fn another_tool_reads_what_was_generated() {
    let world = World::on_keystore(&["eth-1"]);
    let keystore = world.keystore();
    let script = repository("softhsm-tests/oracle/keystore/read.cjs");
    let mut node = Command::new("node");
    let read = run(node.arg(script).arg(keystore.file("eth-1")).arg(PASSPHRASE));
    let read: Value = serde_json::from_slice(&read.stdout).unwrap();
    assert_eq!(
        (&read["n"], &read["r"], &read["p"]),
        (&262_144.into(), &8.into(), &1.into())
    );
    let _daemon = world.start();
    let from = sender(&mut world.walletd());
    let address = from.trim_start_matches("0x").to_lowercase();
    assert_eq!(read["address"], address);
    let secret = hex::decode(read["secret"].as_str().unwrap()).unwrap();
    let secret = bitcoin::secp256k1::SecretKey::from_slice(&secret).unwrap();
    let public = secret.public_key(&bitcoin::secp256k1::Secp256k1::new());
    assert_eq!(world.walletd().key("eth-1").public_key, public.to_string());
}

#[test]
fn the_command_line_refuses_by_name() {
    let world = World::on_keystore(&["eth-1"]);
    let keystore = world.keystore();
    let refused = |command: &mut Command, why: &str| {
        let output = output(command);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(why), "{said}");
    };
    refused(&mut keystore.command("init", &[]), "not empty");
    refused(
        &mut keystore.command("generate", &["--name", "eth-1"]),
        "exists already",
    );
    refused(
        keystore
            .command("list", &[])
            .args(["--module", "a", "--token", "b"]),
        "cannot be used with",
    );
    keystore.write_passphrase("short");
    refused(&mut keystore.command("list", &[]), "rejected");
    let empty = world.folder().join("empty");
    let mut init = Command::new(strongroom_softhsm_tests::program::binary("strongroom"));
    init.args(["keys", "init", "--keystore"]).arg(&empty);
    init.arg("--profile")
        .arg(strongroom_softhsm_tests::keystore::profile());
    init.arg("--pin-file").arg(keystore.pin_file());
    refused(&mut init, "less than 12 characters");
    assert!(!empty.exists());
}
