//! `strongroom witness serve`: what it cosigns, what it never does, and what it does not start with.

use std::{
    fs,
    io::Write as _,
    net::TcpStream,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use base64ct::{Base64, Encoding};
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};
use strongroom_softhsm_tests::{
    http, oracle::Oracle, program::until, random::Random, witness::Witness,
};
use tempfile::TempDir;
use tlog::{
    MemoryTree,
    checkpoint::{Checkpoint, SignedCheckpoint},
    consistency_proof, leaf_hash,
    note::VerifierKey,
    root_at,
    witness::{AddCheckpoint, Answer},
};

const ORIGIN: &str = "log.example/treasury";

/// A log in memory whose entries are told apart by a word from some size on.
struct MemoryLog {
    key: SigningKey,
    origin: &'static str,
    tree: MemoryTree,
}

impl MemoryLog {
    /// `size` entries; those from `fork` on are another history's.
    fn new(size: u64, fork: u64) -> Self {
        let mut log = Self {
            key: SigningKey::from_bytes(&[7; 32]),
            origin: ORIGIN,
            tree: MemoryTree::new(),
        };
        log.grow(size, fork);
        log
    }

    fn grow(&mut self, size: u64, fork: u64) {
        for index in self.tree.head().size..size {
            let word = if index < fork { "entry" } else { "other" };
            let entry = format!("{word} {index}");
            self.tree.append(leaf_hash(entry.as_bytes())).unwrap();
        }
    }

    fn verifier(&self) -> VerifierKey {
        let name = self.origin.parse().unwrap();
        VerifierKey::new(name, self.key.verifying_key().as_bytes()).unwrap()
    }

    fn signed(&self, size: u64) -> SignedCheckpoint {
        let root = root_at(&self.tree, size).unwrap();
        let head = tlog::TreeHead { size, root };
        let checkpoint = Checkpoint::new(self.origin.parse().unwrap(), head).unwrap();
        let signature = self.key.sign(checkpoint.to_string().as_bytes()).to_bytes();
        SignedCheckpoint::sign(checkpoint, &self.verifier(), &signature).unwrap()
    }

    fn request(&self, old: u64, size: u64) -> AddCheckpoint {
        let proof = match old {
            0 => Vec::new(),
            old => consistency_proof(&self.tree, old, size).unwrap(),
        };
        AddCheckpoint::new(old, proof, &self.signed(size)).unwrap()
    }
}

/// A witness of that log that runs.
fn witness(log: &MemoryLog) -> (TempDir, Witness) {
    let folder = tempfile::tempdir().unwrap();
    let mut witness = Witness::new(folder.path().join("w"), "w.example");
    witness.configure(&[log.verifier()], "");
    witness.begin();
    witness.start();
    (folder, witness)
}

fn status(answer: Option<Answer>) -> u16 {
    answer.expect("an answer").status()
}

/// Whether it is this witness's cosignature of that checkpoint.
fn is_cosigned(witness: &Witness, signed: &SignedCheckpoint, answer: Option<Answer>) -> bool {
    let Some(Answer::Cosigned(lines)) = answer else {
        return false;
    };
    let verified = |line| witness.key().verify(signed.checkpoint(), line).is_ok();
    lines.len() == 1 && lines.iter().all(verified)
}

#[test]
fn it_follows_a_log_that_grows_and_says_where_it_stands() {
    let log = MemoryLog::new(600, 600);
    let (_folder, mut witness) = witness(&log);
    let mut old = 0;
    for size in [1, 2, 3, 255, 256, 257, 600] {
        let answer = witness.add(&log.request(old, size));
        assert!(is_cosigned(&witness, &log.signed(size), answer), "{size}");
        old = size;
    }
    // The same again is no contradiction; an older one is one size behind.
    let again = witness.add(&log.request(600, 600));
    assert!(is_cosigned(&witness, &log.signed(600), again));
    for (old, size) in [(0, 600), (257, 600), (257, 300), (1, 2)] {
        let answer = witness.add(&log.request(old, size));
        assert_eq!(answer, Some(Answer::Stale { latest_size: 600 }));
    }
    assert!(
        witness
            .said()
            .contains("cosigned log.example/treasury 600 ")
    );
    witness.kill();
    witness.start();
    let answer = witness.add(&log.request(0, 1));
    assert_eq!(answer, Some(Answer::Stale { latest_size: 600 }));
}

#[test]
fn two_checkpoints_of_one_size_are_never_both_cosigned() {
    let (log, fork) = (MemoryLog::new(20, 20), MemoryLog::new(20, 9));
    let (_folder, mut witness) = witness(&log);
    assert_eq!(status(witness.add(&log.request(0, 10))), 200);
    for _ in 0..2 {
        // The same size with another root: with and without the right old size.
        assert_eq!(status(witness.add(&fork.request(10, 10))), 409);
        assert_eq!(status(witness.add(&fork.request(0, 10))), 409);
        // A longer one that the fork's own proof shows to continue the fork.
        assert_eq!(status(witness.add(&fork.request(10, 11))), 422);
        assert_eq!(status(witness.add(&fork.request(9, 11))), 409);
        // The true log's proof under the fork's checkpoint.
        let proof = consistency_proof(&log.tree, 10, 11).unwrap();
        let mixed = AddCheckpoint::new(10, proof, &fork.signed(11)).unwrap();
        assert_eq!(status(witness.add(&mixed)), 422);
        witness.kill();
        witness.start();
    }
    assert_eq!(status(witness.add(&log.request(10, 20))), 200);
}

#[test]
fn racing_forks_of_one_size_get_one_cosignature() {
    let log = MemoryLog::new(40, 40);
    let (_folder, witness) = witness(&log);
    let forks: Vec<MemoryLog> = (0..8).map(|fork| MemoryLog::new(40, 32 + fork)).collect();
    assert_eq!(status(witness.add(&log.request(0, 32))), 200);
    let answers: Vec<u16> = std::thread::scope(|scope| {
        let asked: Vec<_> = forks
            .iter()
            .map(|fork| scope.spawn(|| status(witness.add(&fork.request(32, 40)))))
            .collect();
        asked.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let cosigned = answers.iter().filter(|status| **status == 200).count();
    assert_eq!(cosigned, 1, "{answers:?}");
}

#[test]
fn what_is_no_request_or_not_of_its_logs_has_its_status() {
    let log = MemoryLog::new(20, 20);
    let (_folder, witness) = witness(&log);
    let stranger = MemoryLog {
        origin: "other.example",
        ..MemoryLog::new(20, 20)
    };
    assert_eq!(status(witness.add(&stranger.request(0, 5))), 404);
    let forged = MemoryLog {
        key: SigningKey::from_bytes(&[8; 32]),
        ..MemoryLog::new(20, 20)
    };
    assert_eq!(status(witness.add(&forged.request(0, 5))), 403);
    let good = log.request(0, 5).to_string();
    for wrong in [
        String::new(),
        "old 0\n".to_owned(),
        good.replacen("old 0", "old 00", 1),
        good.replacen("old 0", "old -1", 1),
        good.replacen("old 0", "old 18446744073709551616", 1),
        good.replacen("old 0\n", "old 0\nAAAA\n", 1),
        good.replace('\n', "\r\n"),
        good[..good.len() - 1].to_owned(),
        "\u{0}".repeat(5_000),
    ] {
        let answer = witness.post(wrong.as_bytes()).expect("an answer");
        assert_eq!(answer.status, 400, "{wrong:?}");
    }
    // A smaller checkpoint than what is said to be cosigned.
    let shrunk = good.replacen("old 0", "old 9", 1);
    assert_eq!(witness.post(shrunk.as_bytes()).unwrap().status, 400);
    let large = vec![b'a'; 300 << 10];
    assert!(
        witness
            .post(&large)
            .is_none_or(|answer| answer.status == 413)
    );
    for (method, path, expected) in [
        ("GET", "/add-checkpoint", 405),
        ("POST", "/other", 404),
        ("GET", "/latest/00", 404),
    ] {
        let mut stream = TcpStream::connect(witness.listen()).unwrap();
        let body = (method == "POST").then_some(b"x".as_slice());
        let answer = http::exchange(&mut stream, &http::request(method, path, body)).unwrap();
        assert_eq!(answer.status, expected, "{method} {path}");
    }
    assert_eq!(status(witness.add(&log.request(0, 5))), 200);
}

#[test]
fn requests_and_connections_are_bounded() {
    let log = MemoryLog::new(20, 20);
    let folder = tempfile::tempdir().unwrap();
    let mut witness = Witness::new(folder.path().join("w"), "w.example");
    let bounds = "[bounds]\nconnections = 4\nrequests_per_second = 1\n";
    witness.configure(&[log.verifier()], bounds);
    witness.begin();
    witness.start();
    let answers: Vec<_> = (0..8)
        .filter_map(|_| witness.add(&log.request(0, 5)))
        .collect();
    let throttled = |answer: &&Answer| answer.status() == 429;
    assert!(answers.iter().filter(throttled).count() >= 4, "{answers:?}");
    // Those who hold every place and say nothing.
    let held: Vec<TcpStream> = (0..4)
        .map(|_| {
            let mut stream = TcpStream::connect(witness.listen()).unwrap();
            stream.write_all(b"POST /add-").unwrap();
            stream
        })
        .collect();
    until("a witness without a place", || {
        witness.post(b"x").is_none().then_some(())
    });
    drop(held);
    until("a witness with a place", || witness.post(b"x").map(drop));
}

#[test]
fn killed_at_any_point_it_contradicts_nothing_after_its_restart() {
    let mut log = MemoryLog::new(1, u64::MAX);
    let (_folder, mut witness) = witness(&log);
    let mut random = Random(11);
    // The highest size whose cosignature came out.
    let mut known = 0;
    for round in 0..25 {
        let start = until("where it stands", || {
            match witness.add(&log.request(0, 1))? {
                Answer::Stale { latest_size } => Some(latest_size),
                Answer::Cosigned(_) => Some(1),
                Answer::Refused { .. } => None,
            }
        });
        assert!(
            start >= known,
            "round {round}: it forgot {known} for {start}"
        );
        known = start;
        // A fork from the last entry that was cosigned, however it is asked for.
        let fork = MemoryLog::new(known + 3, known - 1);
        for (old, size) in [(known, known), (known, known + 3), (known - 1, known)] {
            let answer = status(witness.add(&fork.request(old, size)));
            assert!(matches!(answer, 409 | 422), "round {round}: {answer}");
        }
        log.grow(start + 400, u64::MAX);
        known = flood_and_kill(&mut witness, &log, start, 1 + random.below(12)).max(known);
        witness.start();
    }
    assert!(known > 100, "only {known}");
}

/// Sends one checkpoint after the other, and kills the witness while it is at work on one after
/// `answers`. Returns the last size that was cosigned.
fn flood_and_kill(witness: &mut Witness, log: &MemoryLog, start: u64, answers: u64) -> u64 {
    let (cosigned, over) = (AtomicU64::new(start), Arc::new(AtomicBool::new(false)));
    let listen = witness.listen();
    std::thread::scope(|scope| {
        let flood = scope.spawn(|| {
            for size in start + 1..start + 400 {
                let body = log.request(size - 1, size).to_string();
                let sent = TcpStream::connect(listen).and_then(|mut stream| {
                    let request = http::request("POST", "/add-checkpoint", Some(body.as_bytes()));
                    http::exchange(&mut stream, &request)
                });
                match sent {
                    Ok(answer) => assert_eq!(answer.status, 200, "{size}"),
                    Err(_) => break,
                }
                cosigned.store(size, Ordering::Release);
            }
            over.store(true, Ordering::Release);
        });
        until("some cosignatures", || {
            let enough = cosigned.load(Ordering::Acquire) >= start + answers;
            (enough || over.load(Ordering::Acquire)).then_some(())
        });
        witness.kill();
        flood.join().unwrap();
    });
    cosigned.load(Ordering::Acquire)
}

/// Why a witness does not start, as the type of its error.
fn refused(witness: &Witness) -> String {
    let ended = witness.command("serve");
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(2), "{said}");
    let line = said.lines().find(|line| line.starts_with("{\"error\""));
    let error: Value = serde_json::from_str(line.unwrap_or_else(|| panic!("{said}"))).unwrap();
    error["error"]["type"].as_str().unwrap().to_owned()
}

fn state(witness: &Witness) -> std::path::PathBuf {
    let mut files = fs::read_dir(witness.folder().join("data")).unwrap();
    files.next().unwrap().unwrap().path()
}

#[test]
fn a_state_that_is_missing_torn_or_another_s_does_not_start() {
    let log = MemoryLog::new(20, 20);
    let (folder, mut witness) = witness(&log);
    assert_eq!(status(witness.add(&log.request(0, 10))), 200);
    // It runs: nobody else gets its folder, or its key.
    assert_eq!(refused(&witness), "witness-in-use");
    let (path, key) = (
        witness.folder().join("witness.toml"),
        witness.folder().join("key"),
    );
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("\"data\"", "\"elsewhere\"")).unwrap();
    assert_eq!(refused(&witness), "witness-in-use");
    fs::write(&path, &text).unwrap();
    witness.kill();

    let file = state(&witness);
    let good = fs::read(&file).unwrap();
    let copy = good.len() / 2;
    let used = good.iter().position(|byte| *byte == 0).unwrap();
    assert!((300..copy).contains(&used), "{used}");
    for place in (0..used).step_by(7) {
        // In both copies, else it is made good.
        let mut flipped = good.clone();
        flipped[place] ^= 1;
        flipped[copy + place] ^= 1;
        for bad in [&flipped, &good[..place], &good[..copy + place]] {
            fs::write(&file, bad).unwrap();
            assert_eq!(refused(&witness), "witness-state", "{place}");
        }
    }
    fs::remove_file(&file).unwrap();
    assert_eq!(refused(&witness), "witness-no-state");
    fs::remove_dir_all(file.parent().unwrap()).unwrap();
    assert_eq!(refused(&witness), "witness-system");
    fs::create_dir(file.parent().unwrap()).unwrap();

    // Of another witness, and of another log.
    let other = Witness::new(folder.path().join("other"), "w.example");
    other.configure(&[log.verifier()], "");
    other.begin();
    fs::copy(state(&other), &file).unwrap();
    assert_eq!(refused(&witness), "witness-state");
    fs::write(&file, &good).unwrap();
    let origin = format!("origin = \"{ORIGIN}\"");
    fs::write(
        &path,
        text.replace(&origin, "origin = \"log.example/other\""),
    )
    .unwrap();
    assert_eq!(refused(&witness), "witness-no-state");
    fs::write(&path, &text).unwrap();
    open_to_others(&key);
    assert_eq!(refused(&witness), "file-exposed");
    fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();

    // To begin again changes nothing that is there.
    witness.begin();
    assert_eq!(fs::read(&file).unwrap(), good);
    witness.start();
    let answer = witness.add(&log.request(0, 20));
    assert_eq!(answer, Some(Answer::Stale { latest_size: 10 }));
}

#[test]
fn what_is_damaged_in_one_copy_is_not_forgotten() {
    let mut log = MemoryLog::new(1, u64::MAX);
    let (_folder, mut witness) = witness(&log);
    let file = state(&witness);
    for size in 2..14 {
        log.grow(size, u64::MAX);
        assert_eq!(status(witness.add(&log.request(size - 2, size - 1))), 200);
        let copies = until("two equal copies", || {
            let bytes = fs::read(&file).unwrap();
            let (first, second) = bytes.split_at(bytes.len() / 2);
            (first == second).then_some(bytes)
        });
        witness.kill();
        let mut damaged = copies.clone();
        let used = copies.iter().position(|byte| *byte == 0).unwrap();
        let round = usize::try_from(size).unwrap();
        damaged[round % 2 * copies.len() / 2 + round * used / 16] ^= 4;
        fs::write(&file, &damaged).unwrap();
        witness.start();
        assert!(fs::read(&file).unwrap() == copies, "{size}");
        let latest_size = size - 1;
        let answer = witness.add(&log.request(0, 1));
        assert_eq!(answer, Some(Answer::Stale { latest_size }));
    }
}

fn open_to_others(path: &Path) {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    fs::set_permissions(path, mode).unwrap();
}

#[test]
fn a_client_in_go_is_answered_as_c2sp_says() {
    let folder = tempfile::tempdir().unwrap();
    let mut oracle = Oracle::start(folder.path(), Path::new(env!("CARGO_TARGET_TMPDIR")));
    let ask = |oracle: &mut Oracle, question: Value| {
        let answer = oracle.ask(&question);
        answer.unwrap_or_else(|error| panic!("{question}: {error}"))
    };
    let seed = Base64::encode_string(&[9; 64]);
    let made = ask(
        &mut oracle,
        json!({"do": "generate", "name": ORIGIN, "seed": seed}),
    );
    let log: VerifierKey = made["vkey"].as_str().unwrap().parse().unwrap();
    let mut witness = Witness::new(folder.path().join("w"), "w.example");
    witness.configure(&[log], "");
    witness.begin();
    witness.start();
    let entries: Vec<_> = (0..300_u16)
        .map(|n| Base64::encode_string(&n.to_be_bytes()))
        .collect();
    ask(&mut oracle, json!({"do": "append", "entries": entries}));
    let add = |oracle: &mut Oracle, old: u64, size: u64, skey: &Value| {
        let question = json!({
            "do": "add checkpoint", "url": format!("http://{}", witness.listen()),
            "origin": ORIGIN, "old": old, "size": size, "skeys": [skey],
            "vkeys": [witness.key().to_string()],
        });
        ask(oracle, question)
    };
    let mut old = 0;
    for size in [1, 7, 256, 300] {
        let answer = add(&mut oracle, old, size, &made["skey"]);
        assert_eq!(answer["status"], 200);
        assert_eq!(answer["names"], json!(["w.example"]), "{answer}");
        old = size;
    }
    let behind = add(&mut oracle, 7, 300, &made["skey"]);
    assert_eq!(
        (&behind["status"], &behind["size"]),
        (&json!(409), &json!(300))
    );
    let other = ask(
        &mut oracle,
        json!({"do": "generate", "name": ORIGIN, "seed": Base64::encode_string(&[8; 64])}),
    );
    assert_eq!(add(&mut oracle, 300, 300, &other["skey"])["status"], 403);
}
