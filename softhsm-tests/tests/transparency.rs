//! Logs as others see them: Go's `sumdb/tlog` and `sumdb/note` on everything of C2SP that they know,
//! `sigsum` on cosignatures.

use std::{fs, path::Path};

use base64ct::{Base64, Encoding};
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use strongroom_softhsm_tests::{oracle::Oracle, random::Random};
use tempfile::TempDir;
use tlog::{
    Hash, MemoryTree, NodeSource, TreeHead,
    checkpoint::{Checkpoint, Origin, SignedCheckpoint},
    consistency_proof,
    cosignature::{Timestamp, WitnessKey},
    inclusion_proof, leaf_hash,
    note::{self, Note, VerifierKey},
    root_at,
    tile::{
        Resource, Tile, TileId, TileReader, bundles_for, decode_bundle, encode_bundle, tiles_for,
    },
    verify_consistency, verify_inclusion,
    witness::{AddCheckpoint, Decision, Log, decide},
};

const ORIGIN: &str = "log.example/treasury";

/// A log of random entries here and in the oracle.
struct Both {
    folder: TempDir,
    oracle: Oracle,
    entries: Vec<Vec<u8>>,
    tree: MemoryTree,
    random: Random,
}

impl Both {
    fn new(seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            oracle: Oracle::start(folder.path(), Path::new(env!("CARGO_TARGET_TMPDIR"))),
            folder,
            entries: Vec::new(),
            tree: MemoryTree::new(),
            random: Random(seed),
        }
    }

    fn ask(&mut self, question: Value) -> Value {
        self.oracle
            .ask(&question)
            .unwrap_or_else(|error| panic!("{question}: {error}"))
    }

    /// Appends entries like ours, of 33 bytes, and some of other lengths.
    fn grow(&mut self, size: usize) {
        let before = self.entries.len();
        while self.entries.len() < size {
            let length = match self.random.below(4) {
                0 => self.random.below(300) as usize,
                _ => 33,
            };
            let entry: Vec<u8> = (0..length).map(|_| self.random.draw() as u8).collect();
            self.tree.append(leaf_hash(&entry)).unwrap();
            self.entries.push(entry);
        }
        let new: Vec<_> = self.entries[before..]
            .iter()
            .map(|one| base64(one))
            .collect();
        self.ask(json!({"do": "append", "entries": new}));
    }

    /// Sizes around the edges of tiles, and some others.
    fn sizes(&mut self) -> Vec<u64> {
        let all = self.entries.len() as u64;
        let mut sizes = vec![1, 2, 255, 256, 257, 511, 512, 513, all - 1, all];
        sizes.extend((0..30).map(|_| 1 + self.random.below(all)));
        sizes
    }

    fn head(&self, size: u64) -> TreeHead {
        let root = root_at(&self.tree, size).unwrap();
        TreeHead { size, root }
    }
}

fn base64(bytes: &[u8]) -> String {
    Base64::encode_string(bytes)
}

fn hash(value: &Value) -> Hash {
    let mut bytes = [0; 32];
    Base64::decode(value.as_str().unwrap(), &mut bytes).unwrap();
    Hash::new(bytes)
}

fn bytes(value: &Value) -> Vec<u8> {
    Base64::decode_vec(value.as_str().unwrap()).unwrap()
}

fn proof(answer: &Value) -> Vec<Hash> {
    let hashes = answer.get("proof").and_then(Value::as_array);
    hashes.into_iter().flatten().map(hash).collect()
}

fn texts(hashes: &[Hash]) -> Vec<String> {
    hashes.iter().map(|hash| base64(hash.as_ref())).collect()
}

fn private(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn verifier(name: &str, key: &SigningKey) -> VerifierKey {
    VerifierKey::new(name.parse().unwrap(), key.verifying_key().as_bytes()).unwrap()
}

fn signed(key: &SigningKey, origin: &str, head: TreeHead) -> SignedCheckpoint {
    let checkpoint = Checkpoint::new(origin.parse().unwrap(), head).unwrap();
    let signature = key.sign(checkpoint.to_string().as_bytes()).to_bytes();
    SignedCheckpoint::sign(checkpoint, &verifier(origin, key), &signature).unwrap()
}

fn write(folder: &Path, resource: Resource, bytes: &[u8]) {
    let path = folder.join(resource.to_string());
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Writes what a log of ours serves when it has grown, and nothing that it wrote before.
fn export(both: &Both, folder: &Path, old: u64, new: u64) {
    for id in tiles_for(old, new) {
        let tile = Tile::read(id, &both.tree).unwrap();
        write(folder, Resource::Tile(id), &tile.encode());
    }
    for id in bundles_for(old, new) {
        let start = id.index() as usize * 256;
        let entries = &both.entries[start..start + usize::from(id.width())];
        write(
            folder,
            Resource::Entries(id),
            &encode_bundle(entries).unwrap(),
        );
    }
    let checkpoint = signed(&private(7), ORIGIN, both.head(new)).to_string();
    write(folder, Resource::Checkpoint, checkpoint.as_bytes());
}

/// A tree that is read from files.
fn reader(folder: &Path, head: TreeHead) -> impl NodeSource<Error: std::fmt::Debug> + '_ {
    TileReader::new(head, |ids: &[TileId]| {
        ids.iter()
            .map(|id| fs::read(folder.join(Resource::Tile(*id).to_string())))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| error.to_string())
    })
}

#[test]
fn roots_tiles_and_proofs_are_those_of_go() {
    let mut both = Both::new(41);
    both.grow(1_300);
    for size in both.sizes() {
        let answer = both.ask(json!({"do": "root", "size": size}));
        assert_eq!(hash(&answer["root"]), both.head(size).root);
        let index = both.random.below(size);
        let answer = both.ask(json!({"do": "prove record", "size": size, "index": index}));
        let ours = inclusion_proof(&both.tree, index, size).unwrap();
        assert_eq!(proof(&answer), ours, "leaf {index} of {size}");
        let old = 1 + both.random.below(size);
        let answer = both.ask(json!({"do": "prove tree", "size": size, "old": old}));
        let ours = consistency_proof(&both.tree, old, size).unwrap();
        assert_eq!(proof(&answer), ours, "{old} to {size}");
        // Go names every partial tile that there was on the way.
        let answer = both.ask(json!({"do": "new tiles", "size": size, "old": old}));
        let theirs = answer.get("paths").and_then(Value::as_array);
        let all: Vec<_> = theirs.into_iter().flatten().collect();
        let ours: Vec<_> = tiles_for(old, size).collect();
        for id in &ours {
            let path = Resource::Tile(*id).to_string();
            assert!(all.iter().any(|theirs| **theirs == path), "{path}");
            let answer = both.ask(json!({"do": "tile", "path": path}));
            let tile = Tile::read(*id, &both.tree).unwrap();
            assert_eq!(bytes(&answer["data"]), tile.encode(), "{path}");
        }
        for path in all {
            let Ok(Resource::Tile(id)) = path.as_str().unwrap().parse() else {
                panic!("{path}")
            };
            let last = TileId::in_tree(id.level(), id.index(), size) == Some(id);
            let before = TileId::in_tree(id.level(), id.index(), old) == Some(id);
            assert_eq!(ours.contains(&id), last && !before, "{path}");
        }
    }
}

#[test]
fn damaged_proofs_are_refused_here_as_in_go() {
    let mut both = Both::new(42);
    both.grow(700);
    let (mut accepted, mut refused) = (0, 0);
    for _ in 0..600 {
        let size = 1 + both.random.below(700);
        let (index, old) = (both.random.below(size), 1 + both.random.below(size));
        let head = both.head(size);
        let included = both.random.below(2) == 0;
        let mut hashes = match included {
            true => inclusion_proof(&both.tree, index, size).unwrap(),
            false => consistency_proof(&both.tree, old, size).unwrap(),
        };
        let place = both.random.below(hashes.len() as u64 + 1) as usize;
        match both.random.below(5) {
            0 => hashes.insert(place, leaf_hash(b"more")),
            1 if place < hashes.len() => drop(hashes.remove(place)),
            2 if place < hashes.len() => {
                let mut bytes = *hashes[place].as_bytes();
                bytes[both.random.below(32) as usize] ^= 1 << both.random.below(8);
                hashes[place] = Hash::new(bytes);
            }
            3 if place > 1 => hashes.swap(place - 1, place - 2),
            _ => {}
        }
        let mut question = json!({
            "proof": texts(&hashes), "size": size, "root": base64(head.root.as_ref()),
        });
        let ours = if included {
            let leaf = leaf_hash(&both.entries[index as usize]);
            question["do"] = "check record".into();
            question["index"] = index.into();
            question["leaf"] = base64(leaf.as_ref()).into();
            verify_inclusion(leaf, index, &head, &hashes).is_ok()
        } else {
            let before = both.head(old);
            question["do"] = "check tree".into();
            question["old"] = old.into();
            question["oldRoot"] = base64(before.root.as_ref()).into();
            verify_consistency(&before, &head, &hashes).is_ok()
        };
        let theirs = both.oracle.ask(&question);
        assert_eq!(ours, theirs.is_ok(), "{question}: {theirs:?}");
        match ours {
            true => accepted += 1,
            false => refused += 1,
        }
    }
    assert!(accepted > 100 && refused > 100, "{accepted} {refused}");
}

#[test]
fn a_client_in_go_believes_what_we_serve_and_nothing_else() {
    let mut both = Both::new(43);
    both.grow(1_100);
    let served = both.folder.path().join("log");
    let key = private(7);
    let question = json!({
        "do": "client", "folder": &served, "origin": ORIGIN,
        "vkeys": [verifier(ORIGIN, &key).to_string()],
    });
    let mut size = 0;
    for step in [1, 254, 1, 1, 300, 211, 256, 76] {
        export(&both, &served, size, size + step);
        size += step;
        let answer = both.ask(question.clone());
        assert_eq!(answer["size"], size);
        assert_eq!(hash(&answer["root"]), both.head(size).root);
    }
    assert_eq!(size, 1_100);
    // One bit of any file that the client needs.
    let mut files: Vec<Resource> = bundles_for(0, size).map(Resource::Entries).collect();
    files.extend(tiles_for(0, size).map(Resource::Tile));
    files.push(Resource::Checkpoint);
    for file in files {
        let path = served.join(file.to_string());
        let good = fs::read(&path).unwrap();
        let mut bad = good.clone();
        let at = both.random.below(bad.len() as u64) as usize;
        bad[at] ^= 1 << both.random.below(8);
        fs::write(&path, bad).unwrap();
        let answer = both.oracle.ask(&question);
        assert!(answer.is_err(), "{file}, byte {at}: {answer:?}");
        fs::write(&path, good).unwrap();
    }
    both.ask(question);
}

#[test]
fn we_believe_what_go_serves_and_nothing_else() {
    let mut both = Both::new(44);
    both.grow(900);
    let key = both.ask(json!({"do": "generate", "name": ORIGIN, "seed": base64(&[9; 64])}));
    let vkey: VerifierKey = key["vkey"].as_str().unwrap().parse().unwrap();
    let origin: Origin = ORIGIN.parse().unwrap();
    for size in [1_u64, 255, 256, 257, 700, 900] {
        let served = both.folder.path().join(size.to_string());
        both.ask(json!({
            "do": "serve", "folder": &served, "origin": ORIGIN, "size": size,
            "skeys": [&key["skey"]],
        }));
        let checkpoint = fs::read(served.join("checkpoint")).unwrap();
        let keys = [vkey.clone()];
        let signed = SignedCheckpoint::open(&checkpoint, &origin, &keys).unwrap();
        assert_eq!(*signed.head(), both.head(size));
        let tiles = reader(&served, *signed.head());
        for id in bundles_for(0, size) {
            let bundle = fs::read(served.join(Resource::Entries(id).to_string())).unwrap();
            let entries = decode_bundle(id, &bundle).unwrap();
            let start = id.index() as usize * 256;
            for (place, entry) in entries.into_iter().enumerate().step_by(40) {
                let index = (start + place) as u64;
                assert_eq!(entry, both.entries[start + place]);
                let proof = inclusion_proof(&tiles, index, size).unwrap();
                verify_inclusion(leaf_hash(entry), index, signed.head(), &proof).unwrap();
            }
        }
        let old = 1 + both.random.below(size);
        let proof = consistency_proof(&tiles, old, size).unwrap();
        verify_consistency(&both.head(old), signed.head(), &proof).unwrap();
        // One bit of any tile on the way to the root.
        for id in tiles_for(0, size).filter(|id| !id.is_full()) {
            let path = served.join(Resource::Tile(id).to_string());
            let mut bad = fs::read(&path).unwrap();
            let at = both.random.below(bad.len() as u64) as usize;
            bad[at] ^= 1 << both.random.below(8);
            fs::write(&path, bad).unwrap();
            assert!(root_at(&tiles, size).is_err(), "{size}: {path:?}");
        }
    }
}

#[test]
fn notes_are_verified_here_as_in_go() {
    let mut both = Both::new(45);
    let names = ["a", "log.example/treasury", "é.example"];
    let theirs = names.map(|name| {
        let seed: Vec<u8> = (0..32).map(|_| both.random.draw() as u8).collect();
        both.ask(json!({"do": "generate", "name": name, "seed": base64(&seed)}))
    });
    let vkeys = theirs
        .clone()
        .map(|key| key["vkey"].as_str().unwrap().to_owned());
    let known = vkeys
        .clone()
        .map(|vkey| vkey.parse::<VerifierKey>().unwrap());
    let skeys = theirs.map(|key| key["skey"].clone());
    let (mut accepted, mut refused) = (0, 0);
    for round in 0..400 {
        let text = format!("{ORIGIN}\n{round}\n\nè {}\n", both.random.draw());
        let signers = 1 + both.random.below(3) as usize;
        let note = if round % 2 == 0 {
            let answer = both.ask(json!({"do": "sign", "text": text, "skeys": &skeys[..signers]}));
            bytes(&answer["note"])
        } else {
            let lines = skeys[..signers].iter().zip(&known).map(|(skey, key)| {
                let seed =
                    Base64::decode_vec(skey.as_str().unwrap().splitn(5, '+').last().unwrap());
                let private = SigningKey::from_bytes(seed.unwrap()[1..].try_into().unwrap());
                note::sign(&text, key, &private.sign(text.as_bytes()).to_bytes()).unwrap()
            });
            Note::new(text.clone(), lines.collect())
                .unwrap()
                .to_string()
                .into_bytes()
        };
        let mut note = note;
        let mut flipped = None;
        if both.random.below(2) == 0 {
            let at = both.random.below(note.len() as u64) as usize;
            note[at] ^= 1 << both.random.below(8);
            flipped = Some(at);
        }
        let ours = Note::parse(&note).ok().and_then(|note| {
            let names = note.verify(&known).ok()?;
            let names: Vec<_> = names.iter().map(|key| key.name().to_string()).collect();
            Some((names, note.text().to_owned()))
        });
        let question = json!({"do": "open", "note": base64(&note), "vkeys": &vkeys});
        let theirs = both.oracle.ask(&question);
        match (ours, theirs) {
            (Some((names, text)), Ok(answer)) => {
                assert_eq!(answer["names"], json!(names));
                assert_eq!(answer["text"], text);
                accepted += 1;
            }
            (None, Err(_)) => refused += 1,
            // Go also reads base64 with bits after the last byte; we read one spelling only.
            (None, Ok(_)) => {
                assert_eq!(flipped.map(|at| note[at + 1]), Some(b'='), "{question}");
                refused += 1;
            }
            (Some(ours), Err(error)) => panic!("{ours:?} is {error}"),
        }
    }
    assert!(accepted > 150 && refused > 150, "{accepted} {refused}");
}

/// What Sigsum's verifier is given: a checkpoint of ours with cosignatures, and an entry's place in it.
struct Cosigned {
    log: SigningKey,
    submitter: SigningKey,
    witnesses: Vec<SigningKey>,
    lines: Vec<String>,
    proof: Vec<Hash>,
    message: [u8; 32],
    leaf_signature: [u8; 64],
    index: u64,
    signed: SignedCheckpoint,
}

/// A log of Sigsum's form with one entry that it can verify, cosigned by three witnesses of ours.
fn cosigned() -> Cosigned {
    let (log, submitter) = (private(1), private(2));
    let message: [u8; 32] = Sha256::digest(b"a payout").into();
    let checksum: [u8; 32] = Sha256::digest(message).into();
    let statement = [b"sigsum.org/v1/tree-leaf\0".as_slice(), &checksum].concat();
    let leaf_signature = submitter.sign(&statement).to_bytes();
    let submitted_by = Sha256::digest(submitter.verifying_key());
    let entry = [checksum.as_slice(), &leaf_signature, &submitted_by].concat();
    let (index, size) = (77, 300);
    let mut tree = MemoryTree::new();
    for other in 0..size {
        let leaf = match other {
            77 => leaf_hash(&entry),
            _ => leaf_hash(&[other as u8]),
        };
        tree.append(leaf).unwrap();
    }
    let origin = format!(
        "sigsum.org/v1/tree/{}",
        hex::encode(Sha256::digest(log.verifying_key()))
    );
    let signed = signed(&log, &origin, tree.head());
    let witnesses: Vec<_> = (3..6).map(private).collect();
    let lines = witnesses
        .iter()
        .enumerate()
        .map(|(number, key)| {
            let time = Timestamp::new(1_700_000_000 + number as u64).unwrap();
            cosign(&signed, key, time)
        })
        .collect();
    Cosigned {
        proof: inclusion_proof(&tree, index, size).unwrap(),
        log,
        submitter,
        witnesses,
        lines,
        message,
        leaf_signature,
        index,
        signed,
    }
}

/// What our witness answers to our log, as a line of Sigsum's.
fn cosign(signed: &SignedCheckpoint, key: &SigningKey, time: Timestamp) -> String {
    let origin = signed.checkpoint().origin();
    let log = Log {
        origin: origin.clone(),
        keys: vec![verifier(origin.as_str(), &private(1))],
    };
    let request = AddCheckpoint::new(0, Vec::new(), signed).unwrap();
    let Decision::Cosign(consistent) = decide(Some(&log), None, request) else {
        panic!("not cosigned")
    };
    let public = key.verifying_key().to_bytes();
    let witness = WitnessKey::new("witness.example".parse().unwrap(), &public).unwrap();
    let signature = key.sign(&consistent.message(time)).to_bytes();
    let cosignature = consistent.cosign(&witness, time, &signature).unwrap();
    let (time, signature) = cosignature.line().signature().split_at(8);
    let time = u64::from_be_bytes(time.try_into().unwrap());
    let (by, signature) = (hex::encode(Sha256::digest(public)), hex::encode(signature));
    format!("cosignature={by} {time} {signature}")
}

impl Cosigned {
    /// The proof in Sigsum's form.
    fn ascii(&self) -> String {
        let head = self.signed.head();
        let by = hex::encode(Sha256::digest(self.submitter.verifying_key()));
        let nodes: Vec<_> = self
            .proof
            .iter()
            .map(|hash| format!("node_hash={hash}"))
            .collect();
        format!(
            "version=2\nlog={}\nleaf={by} {}\n\nsize={}\nroot_hash={}\nsignature={}\n{}\n\nleaf_index={}\n{}\n",
            hex::encode(Sha256::digest(self.log.verifying_key())),
            hex::encode(self.leaf_signature),
            head.size,
            head.root,
            hex::encode(self.signed.note().signatures()[0].signature()),
            self.lines.join("\n"),
            self.index,
            nodes.join("\n"),
        )
    }

    /// Whether Sigsum believes it under our log's key, with all three of the witnesses.
    fn believed(&self) -> bool {
        let mut policy = sigsum::PolicyBuilder::new();
        let log = self.log.verifying_key().to_bytes();
        policy.add_log(log.into(), None).unwrap();
        let names: Vec<_> = (0..self.witnesses.len()).map(|n| format!("w{n}")).collect();
        for (name, key) in names.iter().zip(&self.witnesses) {
            let key = key.verifying_key().to_bytes();
            policy.add_witness(name.clone(), key.into(), None).unwrap();
        }
        policy.add_group("all".into(), names.len(), names).unwrap();
        policy.set_quorum("all".into()).unwrap();
        let proof = sigsum::SigsumSignature::from_ascii(&self.ascii()).unwrap();
        let submitter = self.submitter.verifying_key().to_bytes().into();
        let message = sigsum::Hash::from(self.message);
        sigsum::verify(&message, &proof, &[submitter], &policy.build()).is_ok()
    }
}

#[test]
fn sigsum_believes_our_checkpoints_proofs_and_cosignatures() {
    let good = cosigned();
    assert!(good.believed());
    // All three are needed, each for this checkpoint and at its time.
    let mut fewer = cosigned();
    fewer.lines.pop();
    assert!(!fewer.believed());
    let mut later = cosigned();
    later.lines[1] = later.lines[1].replace(" 1700000001 ", " 1700000002 ");
    assert!(!later.believed());
    let mut elsewhere = cosigned();
    elsewhere.index = 78;
    assert!(!elsewhere.believed());
    let mut damaged = cosigned();
    damaged.proof[3] = leaf_hash(b"");
    assert!(!damaged.believed());
    let mut by_another = cosigned();
    by_another.log = private(9);
    assert!(!by_another.believed());
}
