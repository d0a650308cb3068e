//! What witnesses keep for auditors: encrypted, whole, once, and enough to audit a log whose signer is gone.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::atomic::{AtomicU64, Ordering},
};

use serde_json::Value;
use strongroom_softhsm_tests::{
    disk::SmallDisk,
    evm::Draft,
    http::{self, Answer},
    pki::Pki,
    program::{Running, binary, output, until},
    random::Random,
    signerd::Signerd,
    tls::Connection,
    witness::{FREE_BYTES, RELAY, Witness, Witnessed},
    world::Client,
};
use tlog::note::VerifierKey;

use crate::support::{CUSTOMER, sender, transfer};

/// An auditor's key in a folder; its public part.
fn keygen(path: &Path) -> String {
    let mut command = Command::new(binary("strongroom"));
    let made = output(command.args(["audit", "keygen", "--out"]).arg(path));
    assert!(made.status.success(), "{made:?}");
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}

fn pay(client: &mut Client, nonces: std::ops::Range<u64>) {
    let from = sender(client);
    for nonce in nonces {
        let draft = Draft::transfer(nonce, CUSTOMER, 1);
        let request = transfer(&format!("pay-{nonce}"), &from, &draft);
        until("a signature", || {
            (client.send(&request).status == 200).then_some(())
        });
    }
}

/// Waits until the log is covered, cosigned and kept to its end; gives how many entries that are.
fn caught_up(daemon: &Signerd, site: &Witnessed) -> u64 {
    let log = site.log_key.as_ref().unwrap();
    until("witnesses that keep all", || {
        // In this order: what is covered then is in the checkpoint that is looked at after.
        let is_quiet = daemon.metric("signerd_checkpoint_uncovered")? == 0;
        let size = daemon.metric("signerd_checkpoint_entries")?;
        let is_cosigned = daemon.metric("signerd_witnessed_entries")? == size;
        let keeps = |one: &Witness| one.kept(log).last().is_some_and(|last| last.1 == size);
        (is_quiet && is_cosigned && site.witnesses.iter().all(keeps)).then_some(size)
    })
}

/// `strongroom --json audit …`.
fn audit(arguments: &[&str]) -> Output {
    output(
        Command::new(binary("strongroom"))
            .args(["--json", "audit"])
            .args(arguments),
    )
}

fn answer(output: &Output) -> Value {
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The stable name of why a command failed.
fn failed(output: &Output) -> String {
    assert!(!output.status.success(), "{output:?}");
    let error: Value = serde_json::from_slice(&output.stderr).unwrap();
    error["error"]["type"].as_str().unwrap().to_owned()
}

struct Auditor {
    identity: PathBuf,
    ca: PathBuf,
    log_key: String,
}

impl Auditor {
    fn restore(&self, from: &str, out: &Path) -> Output {
        let identity = self.identity.to_str().unwrap();
        let (out, ca) = (out.to_str().unwrap(), self.ca.to_str().unwrap());
        let mut arguments = vec!["restore", "--from", from, "--identity", identity];
        arguments.extend(["--log-key", &self.log_key, "--out", out]);
        if from.starts_with("https") {
            arguments.extend(["--ca", ca]);
        }
        audit(&arguments)
    }

    fn verify(&self, folder: &Path) -> Value {
        let arguments = ["verify", "--log-key", &self.log_key];
        let folder = folder.to_str().unwrap();
        answer(&audit(&[&arguments[..], &[folder]].concat()))
    }
}

fn auditor(site: &Witnessed, identity: PathBuf) -> Auditor {
    Auditor {
        identity,
        ca: site.world.pki.authority(),
        log_key: site.log_key.as_ref().unwrap().to_string(),
    }
}

/// Chunks follow one another without a gap, and none stands there twice.
fn is_in_a_row(kept: &[(u64, u64)]) {
    let mut end = 0;
    for (from, to) in kept {
        assert!(*from == end && from < to, "{kept:?}");
        end = *to;
    }
}

fn copy(from: &Path, to: &Path) {
    let copied = output(Command::new("cp").arg("-a").arg(from).arg(to));
    assert!(copied.status.success(), "{copied:?}");
}

#[test]
fn a_log_whose_signer_is_gone_is_audited_from_one_witness_alone() {
    let folder = tempfile::tempdir().unwrap();
    let identity = folder.path().join("auditor.key");
    let mut site = Witnessed::keeping(3, &[keygen(&identity)]);
    let (daemon, relay) = site.start();
    let log = site.log_key.clone().unwrap();
    let mut client = site.world.walletd();
    let _relay = kill_again_and_again(&mut site, relay, 140);
    let size = caught_up(&daemon, &site);
    assert!(size > 256, "{size}");

    let signed = log_root(&mut client, size);
    daemon.kill();
    fs::remove_dir_all(site.world.data()).unwrap();
    let auditor = auditor(&site, identity);
    for (number, witness) in site.witnesses.iter().enumerate() {
        is_in_a_row(&witness.kept(&log));
        let out = folder.path().join(format!("restored-{number}"));
        let restored = answer(&auditor.restore(&site.url(witness), &out));
        assert_eq!(
            (&restored["size"], &restored["beyond"]),
            (&size.into(), &0.into())
        );
        let report = auditor.verify(&out);
        assert_eq!(report["root"], *signed, "{report}");
        assert_eq!(report["signatures"], 140, "{report}");
        assert_eq!(report["witnesses"]["needed"], 2, "{report}");
    }
    nothing_is_readable(&site.witnesses[0].bodies(&log));
    // A copy of the folder, as on a disk that was sent, does as well; and it is carried on.
    let sent = folder.path().join("sent");
    copy(&site.witnesses[1].bodies(&log), &sent);
    let out = folder.path().join("from-disk");
    answer(&auditor.restore(sent.to_str().unwrap(), &out));
    let again = answer(&auditor.restore(sent.to_str().unwrap(), &out));
    assert_eq!(again["from"], size);
    assert_eq!(auditor.verify(&out)["root"], *signed);
}

/// Pays while the relay and the witnesses are killed at whatever they do, one after the other, and started
/// again. Gives the last relay.
fn kill_again_and_again(site: &mut Witnessed, relay: Running, payments: u64) -> Running {
    let (mut relay, mut random) = (Some(relay), Random(7));
    let mut client = site.world.walletd();
    let paid = AtomicU64::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for nonce in 0..payments {
                pay(&mut client, nonce..nonce + 1);
                paid.store(nonce + 1, Ordering::Release);
            }
        });
        for round in 1..8 {
            let some = payments * round / 8 - random.below(10);
            until("some payments", || {
                (paid.load(Ordering::Acquire) >= some).then_some(())
            });
            match round % 4 {
                0 => {
                    drop(relay.take());
                    relay = Some(site.relay());
                }
                witness => {
                    let witness = &mut site.witnesses[witness as usize - 1];
                    witness.kill();
                    let more = some + random.below(10);
                    until("more payments", || {
                        (paid.load(Ordering::Acquire) >= more).then_some(())
                    });
                    witness.start();
                }
            }
        }
    });
    relay.expect("a relay")
}

/// The root of so many entries, as the signer signed it.
fn log_root(client: &mut Client, size: u64) -> String {
    let note = client.get("/v1/journal/checkpoint").text();
    let lines: Vec<_> = note.lines().collect();
    assert_eq!(lines[1], size.to_string());
    use base64ct::{Base64, Encoding};
    let root = Base64::decode_vec(lines[2]).unwrap();
    root.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// None of what the entries say stands in what a witness keeps.
fn nothing_is_readable(bodies: &Path) {
    let mut chunks = 0;
    for file in fs::read_dir(bodies).unwrap() {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        chunks += usize::from(bytes.starts_with(b"age-encryption.org/v1\n"));
        for clear in ["pay-1", CUSTOMER, "commitment", "salt", "strongroom-bodies"] {
            let found = bytes
                .windows(clear.len())
                .any(|part| part == clear.as_bytes());
            assert!(!found, "{clear}");
        }
    }
    assert!(chunks > 1);
}

#[test]
fn what_is_wrong_with_a_chunk_is_named_and_another_witness_helps() {
    let folder = tempfile::tempdir().unwrap();
    let identity = folder.path().join("auditor.key");
    let mut site = Witnessed::keeping(1, &[keygen(&identity)]);
    let (daemon, _relay) = site.start();
    let log = site.log_key.clone().unwrap();
    let mut client = site.world.walletd();
    // A pause each, so that there are several chunks.
    for nonce in 0..3 {
        pay(&mut client, nonce..nonce + 1);
        caught_up(&daemon, &site);
    }
    let good = site.witnesses[0].bodies(&log);
    let kept = site.witnesses[0].kept(&log);
    assert!(kept.len() >= 3, "{kept:?}");
    let auditor = auditor(&site, identity);
    let file = |(from, to): (u64, u64)| format!("{from:020}-{to:020}.age");
    let (one, other) = (file(kept[0]), file(kept[1]));
    let bad = folder.path().join("bad");
    let out = folder.path().join("out");
    let refused = |damage: &dyn Fn(&Path)| {
        let _absent = fs::remove_dir_all(&bad);
        copy(&good, &bad);
        damage(&bad);
        failed(&auditor.restore(bad.to_str().unwrap(), &out))
    };
    let edit = |name: &str, edit: &dyn Fn(&mut Vec<u8>)| {
        refused(&|folder: &Path| {
            let path = folder.join(name);
            let mut bytes = fs::read(&path).unwrap();
            edit(&mut bytes);
            fs::write(&path, bytes).unwrap();
        })
    };
    let length = fs::read(good.join(&other)).unwrap().len();
    for place in [0, 30, 60, 150, length / 2, length - 1] {
        let flipped = edit(&other, &|bytes| bytes[place] ^= 1);
        assert_eq!(flipped, "chunk-changed", "{place}");
        let cut = edit(&other, &|bytes| bytes.truncate(place));
        assert_eq!(cut, "chunk-truncated", "{place}");
    }
    let missing = refused(&|folder| fs::remove_file(folder.join(&other)).unwrap());
    assert_eq!(missing, "chunk-missing");
    let swapped = refused(&|folder| {
        fs::rename(folder.join(&one), folder.join("aside")).unwrap();
        fs::rename(folder.join(&other), folder.join(&one)).unwrap();
        fs::rename(folder.join("aside"), folder.join(&other)).unwrap();
    });
    assert_eq!(swapped, "chunk-swapped");
    let left_out = edit("index", &|bytes| {
        let text = String::from_utf8(bytes.clone()).unwrap();
        let lines: Vec<_> = text.lines().collect();
        *bytes = [&lines[..1], &lines[2..], &[""]].concat().join("\n").into();
    });
    assert_eq!(left_out, "chunk-missing");
    assert_eq!(edit("index", &|bytes| bytes.clear()), "no-chunks");
    assert_eq!(edit("index", &|bytes| bytes[0] = b'x'), "chunk-index");
    let foreign = Auditor {
        identity: folder.path().join("other.key"),
        ca: auditor.ca.clone(),
        log_key: auditor.log_key.clone(),
    };
    keygen(&foreign.identity);
    let other = foreign.restore(good.to_str().unwrap(), &folder.path().join("nothing"));
    assert_eq!(failed(&other), "chunk-identity");
    // What was copied before the damage is carried on from where nothing is wrong.
    answer(&auditor.restore(good.to_str().unwrap(), &out));
    assert_eq!(auditor.verify(&out)["signatures"], 3);
}

/// `PUT` of a chunk at a witness by who has this certificate, or none.
fn put(site: &Witnessed, client: Option<&str>, (from, to): (u64, u64), body: &[u8]) -> Answer {
    let (witness, pki) = (&site.witnesses[0], &site.world.pki);
    let config = match client {
        Some(name) => pki.config(name),
        None => {
            strongroom_softhsm_tests::tls::client(&pki.authority(), None, &rustls::version::TLS13)
        }
    };
    let mut connection = Connection::open(witness.listen(), &config).unwrap();
    let log = witness.bodies(site.log_key.as_ref().unwrap());
    let log = log.file_name().unwrap().to_str().unwrap();
    let request = http::request("PUT", &format!("/bodies/{log}/{from}-{to}"), Some(body));
    connection.exchange(&request).unwrap()
}

#[test]
fn only_a_relay_puts_and_what_is_kept_is_not_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let identity = folder.path().join("auditor.key");
    let mut site = Witnessed::keeping(1, &[keygen(&identity)]);
    let (daemon, relay) = site.start();
    let log: VerifierKey = site.log_key.clone().unwrap();
    pay(&mut site.world.walletd(), 0..1);
    let end = caught_up(&daemon, &site);
    drop(relay);
    let kept = site.witnesses[0].kept(&log);
    let path = site.witnesses[0].bodies(&log);
    let name = |(from, to): (u64, u64)| path.join(format!("{from:020}-{to:020}.age"));
    let first = fs::read(name(kept[0])).unwrap();

    for client in [None, Some("walletd")] {
        let refused = put(&site, client, (end, end + 1), b"x");
        assert_eq!(refused.status, 403, "{client:?}: {}", refused.text());
        assert!(refused.text().starts_with("bodies-not-granted"));
    }
    let relay = |range, body: &[u8]| {
        let answer = put(&site, Some(RELAY), range, body);
        let said = answer.text();
        let word = said.split(':').next().unwrap_or_default();
        (answer.status, word.trim().to_owned())
    };
    let named = |status: u16, word: &str| (status, word.to_owned());
    assert_eq!(relay(kept[0], &first), named(200, ""));
    assert_eq!(relay(kept[0], b"another"), named(409, "bodies-conflict"));
    assert_eq!(relay((0, end + 1), b"x"), named(409, "bodies-conflict"));
    assert_eq!(relay((end + 1, end + 2), b"x"), named(409, "bodies-gap"));
    let said = site.witnesses[0].said();
    assert!(said.contains("refused entries") && said.contains("bodies-conflict"));
    assert_eq!(fs::read(name(kept[0])).unwrap(), first);
    assert_eq!(relay((end, end + 1), b"x"), named(201, ""));
    assert_eq!(site.witnesses[0].kept(&log).last(), Some(&(end, end + 1)));
}

#[test]
fn a_full_disk_takes_no_bodies_and_cosigning_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let identity = folder.path().join("auditor.key");
    let mut site = Witnessed::keeping(1, &[keygen(&identity)]);
    let disk = SmallDisk::mount(site.witnesses[0].folder().to_owned(), "8m");
    let (daemon, _relay) = site.start();
    let log = site.log_key.clone().unwrap();
    let mut client = site.world.walletd();
    pay(&mut client, 0..1);
    let before = caught_up(&daemon, &site);
    let filler = site.witnesses[0].folder().join("much");
    let much = usize::try_from(8 * 1024 * 1024 - FREE_BYTES / 2).unwrap();
    fs::write(&filler, vec![7; much]).unwrap();
    pay(&mut client, 1..5);
    let witness = &site.witnesses[0];
    until("a refusal", || {
        witness.said().contains("bodies-full").then_some(())
    });
    pay(&mut client, 5..9);
    assert_eq!(witness.kept(&log).last().map(|last| last.1), Some(before));
    fs::remove_file(&filler).unwrap();
    let size = caught_up(&daemon, &site);
    assert!(size > before);
    is_in_a_row(&site.witnesses[0].kept(&log));
    drop(site.witnesses.remove(0));
    drop(disk);
}

#[test]
fn a_relay_brings_nothing_to_a_witness_that_another_authority_certifies() {
    let folder = tempfile::tempdir().unwrap();
    let identity = folder.path().join("auditor.key");
    let mut site = Witnessed::keeping(1, &[keygen(&identity)]);
    let daemon = site.launch();
    // The same name and address, of an authority that is not pinned.
    let foreign = Pki::found(folder.path().join("pki"), "test");
    let witness = &site.witnesses[0];
    let name = witness.key().name().as_str();
    let (certificate, key) = site.world.pki.files(name);
    let own = fs::read(&certificate).unwrap();
    let own_key = fs::read(&key).unwrap();
    let (other, other_key) = foreign.server_named(name, witness.listen().ip());
    fs::copy(other, &certificate).unwrap();
    fs::copy(other_key, &key).unwrap();
    site.start_witnesses();
    let relay = site.relay();
    until("a relay that says why", || {
        relay
            .said()
            .contains("there is no TLS with it")
            .then_some(())
    });
    let kept = site.witnesses[0].kept(site.log_key.as_ref().unwrap());
    assert_eq!(kept, []);
    assert_eq!(daemon.metric("signerd_witnessed_entries"), Some(0));
    // It is asked again, and is who it should be by now.
    site.witnesses[0].kill();
    fs::write(&certificate, own).unwrap();
    fs::write(&key, own_key).unwrap();
    site.witnesses[0].start();
    let daemon = daemon.ready();
    caught_up(&daemon, &site);
}

/// Why a relay does not run with this witness, as the type of the error and what it says.
fn relay_refuses(site: &Witnessed, witness: &str) -> (String, String) {
    let config = site.world.folder().join("wrong.toml");
    let log_key = site.log_key.as_ref().unwrap().to_string();
    let key = site.witnesses[0].key().to_string();
    let text = format!("log_key = {log_key:?}\n[[witness]]\nkey = {key:?}\n{witness}\n");
    fs::write(&config, text).unwrap();
    let (certificate, private) = site.world.pki.files(RELAY);
    let mut command = Command::new(binary("strongroom"));
    command.args(["--json", "witness", "relay", "--connect", "127.0.0.1:1"]);
    command.arg("--ca").arg(site.world.pki.authority());
    command.arg("--certificate").arg(certificate);
    command.arg("--key").arg(private);
    let ended = output(command.arg("--config").arg(config));
    let error: Value = serde_json::from_slice(&ended.stderr).unwrap();
    let kind = error["error"]["type"].as_str().unwrap().to_owned();
    (kind, error.to_string())
}

#[test]
fn what_would_go_over_a_network_in_clear_is_no_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let identity = folder.path().join("auditor.key");
    let mut site = Witnessed::keeping(1, &[keygen(&identity)]);
    let _daemon = site.launch();
    let ca = format!("ca = {:?}", site.world.pki.authority());
    for (witness, says) in [
        (
            "url = \"http://w1.example\"".to_owned(),
            "on one machine only",
        ),
        (
            "url = \"http://10.0.0.1:7380\"".to_owned(),
            "on one machine only",
        ),
        ("url = \"https://w1.example\"".to_owned(), "ca is missing"),
        (
            format!("url = \"http://127.0.0.1:1\"\n{ca}"),
            "ca is of https:// alone",
        ),
        (
            "url = \"http://127.0.0.1:1\"\nbodies = true".to_owned(),
            "bodies are put over https:// alone",
        ),
    ] {
        let (kind, said) = relay_refuses(&site, &witness);
        assert_eq!(kind, "witness-config", "{witness}");
        assert!(said.contains(says), "{witness}: {said}");
    }
    let witness = &site.witnesses[0];
    let log = site.log_key.clone().unwrap();
    let bodies = "[bodies]\nfolder = \"b\"\nrelays = [\"urn:x\"]\n";
    for tables in [bodies, "[bodies]\nfolder = \"b\"\nrelays = []\n"] {
        witness.configure(std::slice::from_ref(&log), tables);
        assert_eq!(failed(&witness.command("serve")), "witness-config");
    }
}
