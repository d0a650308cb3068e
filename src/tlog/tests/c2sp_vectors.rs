//! Foreign notes, checkpoints, cosignatures and requests, each with its source. Where the signer's key
//! is public, its signature is verified.

use ed25519_dalek::{Signer, SigningKey};
use sha2::{Digest, Sha256};
use strongroom_tlog::checkpoint::{Checkpoint, Origin, SignedCheckpoint};
use strongroom_tlog::cosignature::{Quorum, WitnessKey};
use strongroom_tlog::note::{self, Note, SignatureLine, VerifierKey, VerifyError};
use strongroom_tlog::tile::{Resource, TileId};
use strongroom_tlog::witness::{AddCheckpoint, Answer, Decision, Log, Refusal, decide};
use strongroom_tlog::{Hash, TreeHead, leaf_hash, verify_consistency, verify_inclusion};

/// golang.org/x/mod, sumdb/note, example_test.go and note_test.go.
mod go_note {
    pub const PETER: &str = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
    /// The private key of the example: public knowledge.
    pub const PETER_SEED: &str = "810a1402d5146c8d84f2443330f54080ebf98ee17d9c74f6252fc5d5c7283173";
    pub const ENOCH: &str = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop";
    pub const TEXT: &str = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
    pub const PETERS: &str = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
    pub const ENOCHS: &str = "— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n";
}

fn key(text: &str) -> VerifierKey {
    let key: VerifierKey = text.parse().unwrap();
    assert_eq!(key.to_string(), text);
    key
}

fn bytes<const N: usize>(hexadecimal: &str) -> [u8; N] {
    hex::decode_to_array(hexadecimal).unwrap()
}

fn hash(hexadecimal: &str) -> Hash {
    Hash::new(bytes(hexadecimal))
}

#[test]
fn gos_note_is_verified() {
    use go_note::{ENOCH, ENOCHS, PETER, PETERS, TEXT};
    let (peter, enoch) = (key(PETER), key(ENOCH));
    let note = Note::parse(format!("{TEXT}\n{PETERS}{ENOCHS}").as_bytes()).unwrap();
    assert_eq!(note.text(), TEXT);
    let keys = [enoch.clone(), peter.clone()];
    assert_eq!(note.verify(&keys[1..]).unwrap(), [&peter]);
    assert_eq!(note.verify(&keys).unwrap(), [&peter, &enoch]);
    assert_eq!(note.verify(&[]), Err(VerifyError::NoKnownKey));
}

#[test]
fn gos_note_is_signed_with_the_same_bytes() {
    use go_note::{PETER, PETER_SEED, PETERS, TEXT};
    let private = SigningKey::from_bytes(&bytes(PETER_SEED));
    let signature = private.sign(TEXT.as_bytes()).to_bytes();
    let line = note::sign(TEXT, &key(PETER), &signature).unwrap();
    assert_eq!(format!("{line}\n"), PETERS);
}

#[test]
fn gos_bad_notes_are_refused() {
    use go_note::{ENOCH, ENOCHS, PETER, PETERS, TEXT};
    let unended = PETERS.trim_end();
    let malformed = [
        TEXT.to_owned(),
        format!("{TEXT}\n"),
        format!("{TEXT}\n{unended}"),
        format!("\x01{TEXT}\n{PETERS}"),
        format!("{TEXT}\n{}", PETERS.replace("PeterNeumann", "Bad Name")),
        format!("{TEXT}\n{PETERS}Unexpected line.\n"),
        format!("{TEXT}\n{}", PETERS.repeat(101)),
    ];
    for note in malformed {
        assert!(Note::parse(note.as_bytes()).is_err(), "{note}");
    }
    // "ABCD" within a signature: bad under a known key, ignored under another.
    let longer = |line: &str| format!("{}ABCD{}", &line[..60], &line[60..]);
    let verify = |note: String| {
        let note = Note::parse(note.as_bytes()).unwrap();
        note.verify(&[key(PETER)]).map(|keys| keys.len())
    };
    let refused = verify(format!("{TEXT}\n{}", longer(PETERS)));
    assert!(matches!(refused, Err(VerifyError::BadSignature { .. })));
    let many = format!("{TEXT}\n{PETERS}{PETERS}{ENOCHS}{ENOCHS}{}", longer(ENOCHS));
    assert_eq!(verify(many), Ok(1));
    let _ = key(ENOCH);
}

#[test]
fn no_part_of_gos_key_is_a_key() {
    use go_note::PETER;
    for start in 0..PETER.len() {
        for end in start..=PETER.len() {
            let part = &PETER[start..end];
            assert_eq!(part.parse::<VerifierKey>().is_ok(), part == PETER, "{part}");
        }
    }
    for at in 0..PETER.len() {
        let mut changed = PETER.as_bytes().to_vec();
        changed[at] += 1;
        let changed = String::from_utf8(changed).unwrap();
        assert!(changed.parse::<VerifierKey>().is_err(), "{changed}");
    }
    for wrong in [
        // Longer, and of an unknown type, each with an id that fits.
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    ] {
        assert!(wrong.parse::<VerifierKey>().is_err(), "{wrong}");
    }
}

/// The example of C2SP signed-note; its key is not published.
#[test]
fn the_specifications_note_is_read() {
    let example = "Ognuno sta solo sul cuor della terra\n\
        trafitto da un raggio di sole:\n\
        \n\
        ed è subito sera.\n\
        \n\
        — quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n";
    let note = Note::parse(example.as_bytes()).unwrap();
    assert!(note.text().ends_with("sole:\n\ned è subito sera.\n"));
    let line = &note.signatures()[0];
    assert_eq!(line.name().as_str(), "quasimodo.example/salvatore");
    assert_eq!(line.id().to_string(), "367ba04b");
    assert_eq!(line.signature().len(), 64);
    assert_eq!(note.to_string(), example);
}

/// The checksum database of Go, sum.golang.org: its key is built into the `go` command, its tree heads
/// are C2SP checkpoints of the origin `go.sum database tree`.
#[test]
fn a_tree_head_of_the_go_checksum_database_is_verified() {
    let vkey = key("sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8");
    let origin: Origin = "go.sum database tree".parse().unwrap();
    let head = "go.sum database tree\n\
        63096908\n\
        8lHrQPRYe4KT4WQ9/Qk8/taKnD6IRHbFgfN7vQE2Y54=\n\
        \n\
        — sum.golang.org Az3gri/oVBN1jAhNZ/iS+W31psFAWRT20/GyrhpU6taFwulQGetBkH5S7wpGXdS935jiIGiUUAXBVHzT/P6fYhqAmAk=\n";
    let signed = SignedCheckpoint::open(head.as_bytes(), &origin, &[vkey]).unwrap();
    assert_eq!(signed.head().size, 63_096_908);
    assert_eq!(signed.to_string(), head);
}

/// The examples of C2SP tlog-checkpoint, tlog-cosignature and tlog-witness; their keys are not
/// published.
mod specification {
    pub const CHECKPOINT: &str = "example.com/behind-the-sofa\n\
        20852163\n\
        CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\
        \n\
        — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n";
    pub const COSIGNATURE: &str = "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n";
    pub const LINES: &str = "old 20852014\n\
        PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n\
        jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n\
        5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=\n\
        /6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=\n";
    pub const SECOND: &str = "— example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=\n";
    pub const ANSWER: &str = "— witness.example/w1 CMp+6LWBU0anHGH5aNDTJkH/gj79sG+T6+iP2ThYN5krrDJbR1HDnucjL39QsZTSvVjyQLrdk3DXDqI5G2HgLatVs0pWh6Up69HVOw==\n\
        — witness.example/w1 I7rEps0pvK2UqkS2gSpVUDhrhVtQV9lgF6pRrWAvjJHjyWpW7VcE3SiOlVlbQNt64vWhO+DlkL0+UfzuOBMh9ChdMkP1vi/lCAsmlw==\n\
        — witness.example/w2 AWui8Sk55XjYLOijihBjhqEH6nS1ndDymE0a+6idX7pLcnoB+dhnz0854aLZgrrKbYKA7nC3HNJhm/kWl7oJlqU3rXXvpysAdyP3wQ==\n";
}

#[test]
fn the_specifications_checkpoint_is_read() {
    let note = Note::parse(specification::CHECKPOINT.as_bytes()).unwrap();
    let checkpoint: Checkpoint = note.text().parse().unwrap();
    assert_eq!(checkpoint.origin().as_str(), "example.com/behind-the-sofa");
    assert_eq!(checkpoint.head().size, 20_852_163);
    let root = "0ac5186a91863e8e1d90c808014aa89bf5da8e3ee1d9f07630f0378f68f1ab62";
    assert_eq!(checkpoint.head().root, hash(root));
    assert_eq!(checkpoint.to_string(), note.text());
}

#[test]
fn the_specifications_cosignature_is_framed_as_it_says() {
    let line: SignatureLine = specification::COSIGNATURE.trim_end().parse().unwrap();
    assert_eq!(line.signature().len(), 8 + 64);
    // Its signed message says `time 1679315147`.
    let time = u64::from_be_bytes(line.signature()[..8].try_into().unwrap());
    assert_eq!(time, 1_679_315_147);
}

#[test]
fn the_specifications_request_and_answer_are_read() {
    use specification::{ANSWER, CHECKPOINT, LINES, SECOND};
    let body = format!("{LINES}\n{CHECKPOINT}{SECOND}");
    let request = AddCheckpoint::parse(body.as_bytes()).unwrap();
    assert_eq!(request.old_size(), 20_852_014);
    assert_eq!(request.proof().len(), 4);
    assert_eq!(request.origin().as_str(), "example.com/behind-the-sofa");
    assert_eq!(request.to_string(), body);
    let answer = Answer::read(200, None, ANSWER.as_bytes()).unwrap();
    assert_eq!(answer.body(), ANSWER);
}

/// C2SP tlog-tiles, Merkle Tree: the path of index 1234067.
#[test]
fn the_specifications_path_is_written() {
    let id = TileId::new(0, 1_234_067, 256).unwrap();
    assert_eq!(Resource::Tile(id).to_string(), "tile/0/x001/x234/067");
}

/// The Sigsum test log `serviceberry`, cosigned by eight witnesses of seven operators, with their public
/// keys: mullvad/sigsum-rs 0.3.0, src/lib.rs and builtin-policies/sigsum-test-2025-3.
mod sigsum {
    pub const LOG: &str = "47e481606d8acba747a6b053d6c2d191605fb122175d410a1202a91430abce39";
    pub const SIZE: u64 = 381_382;
    pub const ROOT: &str = "901fefc6f1d978d2c2bedb82d448755bcdc7e8626e67ac7ee80873771be9b667";
    pub const SIGNATURE: &str = "8a8bf1fca60d1344fb6e2106e8f8906af833d3d75a21fe8d3af72be459f7a11f2ae6606ec6344a13b851cd454b3d281a2b1ae47732f7a8d6afbcc0134d1a2d00";
    pub const TIME: u64 = 1_770_193_051;
    /// Names, public keys and signatures.
    pub const WITNESSES: [(&str, &str, &str); 8] = [
        (
            "poc.sigsum.org/nisse",
            "1c25f8a44c635457e2e391d1efbca7d4c2951a0aef06225a881e46b98962ac6c",
            "a1ee1182b265204499cbef3ae59f3ea228b928b3cbda8817a4ed5a12776823e9ad8ef1ce986b9b98d9954f1798ec4315c1820704600a231c69038ccc9726d202",
        ),
        (
            "witness.stagemole.eu",
            "4a921b7caef58ae670cdc11ef4184f1c058f7b9259a9107a969f69fa54aa496f",
            "aaf642e81a54399777180f238573d74878b68c7b645d8011583621405bb450b4e7887fc76502a8142c493d64e3ed3e556d82dad1706411082e58805f64fa9d02",
        ),
        (
            "rgdd.se/poc-witness",
            "28c92a5a3a054d317c86fc2eeb6a7ab2054d6217100d0be67ded5b74323c5806",
            "f5953f406f5fd97d9c9d1328b00b07bf434a5eb76d8da359aeda98c414de29ca1ced1872971ea0f137508a7bb05c7d322548409425677af96433706319bc0801",
        ),
        (
            "remora.n621.de",
            "ebcdeb78e7fdb2ef9227b2c1ef11e94600b55b4d6d9a57877e31ee89e59adc36",
            "3434b4646904714f4983c8e7e976a45332711f10012b19fbeb5549b6c0c04fb4ed52feed2da829354623c52b22b90093776034a8d57d660f9ff27a118f5bf801",
        ),
        (
            "witness.navigli.sunlight.geomys.org",
            "dcbf728e02d479f5a7e20dc09adf525833ed6e797526517aeb07fc6854849fc6",
            "f0dce1bcdda3a2826479d62e6afedbe9ec06e8f990ae59d8cefa84d9a6ee68c12c2820fb00e1dbdc30044b16c7695a9d1047cec4788dc757f698d34ebaec4305",
        ),
        (
            "transparency.dev/DEV:witness-little-garden",
            "2b6eb0ec483503544cde4e8fc1ce6d1921db21dffccc186865f808f7625443cc",
            "b44c41f75566850003f7f655a6dc7bb38bb980e8e2c383871e29883805d3adec7782a08388b9386d9718380a4bb6900043e2b46080cff0fa75a500c36ef9df0a",
        ),
        (
            "tillitis.se/test-witness-1",
            "636582aec12f32c18a21733db9e3f718058ee7aaec6dbe4eb81781e0f4300c6e",
            "70697b4a6b07e79e49d0a8e41fd7450a593ee9df11da6244cebe4b0c15c8e52f28ad3931b95a806fc7f16b4ad90197971ddc087434c7985b8b3a0223c9fa3603",
        ),
        (
            "witness1.smartit.nu/witness1",
            "f4855a0f46e8a3e23bb40faf260ee57ab8a18249fa402f2ca2d28a60e1a3130e",
            "6610e5cf4ead2062d9783fbc19d2bae65eded35335495ad0cf0386277ed2d51854ced64efa21a6db0a398fdfb6761aa7d5659e54950a060d167fbdcb7b5ece05",
        ),
    ];
    /// The entry `Hello, Sigsum!`: signature and key hash of its submitter, and the audit path.
    pub const SUBMITTER: &str = "2c8d843ed6237e9ea033207113329fdd1428c75f8fd3c6782ae46c92c7a00c40";
    pub const SUBMITTED: &str = "38dd0b42cab5166611a4f8346db1c6ffe81ee2345f3ffe36a466eb8fce1d4b2879fbb5f26291d25e610b2dc7f30eaa603efd97739ae585657d0f7181726eec00";
    pub const PATH: [&str; 10] = [
        "d009c5dbeaaa5be1788ea9533f6f398747755a8245012165ac73f753b7917672",
        "fb515551fe18f6e53d7d7f49b80abbb5c702b9662ee74fc7730e4a7685000aa4",
        "e21e73ee8caf0d49cdcd2f334b3f64e85e4a151daf8d09b6034306bb21b88480",
        "f77bc4db00e509149b6e2fc0028d7107dd415929dc9972f32fe758ce39bcc9a0",
        "3acb38f01c633d917b899ed4e522a49a02bf20d358f98ca530e3a3065591e7f2",
        "889de80c543a5ae8e35430988dc120ac7edde74b776f9082f814ea88190a601f",
        "199f812b9f3667dec31f964098e32652477a2f3d458019b6f8f4acc645cf0131",
        "084580f8f6324d4ae42dbcb779502ab9fab77e0c2b92519fe089be72e38d60ed",
        "9ddbece4939d621df53f31e2729d5fa7802fd82f3edfb784483d8b7fa9cf41e2",
        "e1c7a90c09949c263807e5970aef47f9a06164b759995ab814aff94aff9dcd00",
    ];
}

/// Sigsum's tree head as the C2SP checkpoint that its log and witnesses signed.
fn sigsum_checkpoint() -> SignedCheckpoint {
    let public: [u8; 32] = bytes(sigsum::LOG);
    let name = format!("sigsum.org/v1/tree/{}", hex::encode(Sha256::digest(public)));
    let log = VerifierKey::new(name.parse().unwrap(), &public).unwrap();
    let head = TreeHead {
        size: sigsum::SIZE,
        root: hash(sigsum::ROOT),
    };
    let checkpoint = Checkpoint::new(name.parse().unwrap(), head).unwrap();
    SignedCheckpoint::sign(checkpoint, &log, &bytes(sigsum::SIGNATURE)).unwrap()
}

fn sigsum_witness(name: &str, public: &str) -> WitnessKey {
    WitnessKey::new(name.parse().unwrap(), &bytes(public)).unwrap()
}

#[test]
fn cosignatures_of_eight_public_witnesses_are_verified() {
    let mut signed = sigsum_checkpoint();
    let mut keys = Vec::new();
    for (name, public, signature) in sigsum::WITNESSES {
        let key = sigsum_witness(name, public);
        let mut line = sigsum::TIME.to_be_bytes().to_vec();
        line.extend(bytes::<64>(signature));
        let line = SignatureLine::new(key.name().clone(), key.id(), line).unwrap();
        let cosignature = signed.add_cosignature(&key, &line).unwrap();
        assert_eq!(cosignature.time().secs(), sigsum::TIME);
        keys.push(key);
    }
    let quorum = Quorum::new(keys, 8).unwrap();
    let witnessed = quorum.witnessed(signed).unwrap();
    assert_eq!(witnessed.cosignatures().len(), 8);
}

#[test]
fn an_entry_of_the_sigsum_log_is_included() {
    let message = Sha256::digest(b"Hello, Sigsum!\n");
    let mut leaf = Sha256::digest(message).to_vec();
    leaf.extend(bytes::<64>(sigsum::SUBMITTED));
    leaf.extend(bytes::<32>(sigsum::SUBMITTER));
    let path = sigsum::PATH.map(hash);
    let head = *sigsum_checkpoint().head();
    verify_inclusion(leaf_hash(&leaf), sigsum::SIZE - 1, &head, &path).unwrap();
}

/// The key of the witness `remora.n621.de` as transparency-dev/formats has it
/// (note/note_cosigv1_test.go), and as Sigsum's policy has it.
#[test]
fn a_public_witness_key_is_read() {
    let text = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2";
    let (name, public, _) = sigsum::WITNESSES[3];
    assert_eq!(text.parse(), Ok(sigsum_witness(name, public)));
    assert_eq!(sigsum_witness(name, public).to_string(), text);
    // transparency-dev/witness, a key for notes that its tests turn into a witness's.
    let note: VerifierKey = key("witness+f13a86db+AdYV1Ztajd9BvyjP2HgpwrqYL6TjOwIjGMOq8Bu42xbN");
    let witness = WitnessKey::new(note.name().clone(), note.public_key()).unwrap();
    assert_ne!(witness.id(), note.id());
}

/// Three requests to litewitness and what becomes of them: FiloSottile/torchwood,
/// internal/witness/witness_test.go (TestRace). Its trees are hashes, not entries.
mod litewitness {
    pub const ORIGIN: &str =
        "sigsum.org/v1/tree/4d6d8825a6bb689d459628312889dfbb0bcd41b5211d9e1ce768b0ff0309e562";
    pub const LOG: &str = "ffdc2d4d98e4124d3feaf788c0c2f9abfd796083d1f0495437f302ec79cf100f";
    pub const FIRST: &str = "old 0\n\nsigsum.org/v1/tree/4d6d8825a6bb689d459628312889dfbb0bcd41b5211d9e1ce768b0ff0309e562\n1\nKgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n— sigsum.org/v1/tree/4d6d8825a6bb689d459628312889dfbb0bcd41b5211d9e1ce768b0ff0309e562 UgIom7fPZTqpxWWhyjWduBvTvGVqsokMbqTArsQilegKoFBJQjUFAmQ0+YeSPM3wfUQMFSzVnnNuWRTYrajXpNUbIQY=\n";
    pub const TO_THREE: &str = "old 1\nKgEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nKgIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\nsigsum.org/v1/tree/4d6d8825a6bb689d459628312889dfbb0bcd41b5211d9e1ce768b0ff0309e562\n3\nRcCI1Nk56ZcSmIEfIn0SleqtV7uvrlXNccFx595Iwl0=\n\n— sigsum.org/v1/tree/4d6d8825a6bb689d459628312889dfbb0bcd41b5211d9e1ce768b0ff0309e562 UgIom2VbtIcdFbwFAy1n7s6IkAxIY6J/GQOTuZF2ORV39d75cbAj2aQYwyJre36kezNobZs4SUUdrcawfAB8WVrx6go=\n";
    pub const TO_FIVE: &str = "old 1\nKgEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n+fUDV+k970B4I3uKrqJM4aP1lloPZP8mvr2Z4wRw2LI=\nKgQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\nsigsum.org/v1/tree/4d6d8825a6bb689d459628312889dfbb0bcd41b5211d9e1ce768b0ff0309e562\n5\nQrtXrQZCCvpIgsSmOsah7HdICzMLLyDfxToMql9WTjY=\n\n— sigsum.org/v1/tree/4d6d8825a6bb689d459628312889dfbb0bcd41b5211d9e1ce768b0ff0309e562 UgIomw/EOJmWi0i1FQsOj+etB7F8IccFam/jgd6wzRns4QPVmyEZtdvl1U2KEmLOZ/ASRcWJi0tW90dJWAShei7sDww=\n";
}

#[test]
fn litewitness_requests_are_decided_as_there() {
    use litewitness::{FIRST, LOG, ORIGIN, TO_FIVE, TO_THREE};
    let log = Log {
        origin: ORIGIN.parse().unwrap(),
        keys: vec![VerifierKey::new(ORIGIN.parse().unwrap(), &bytes(LOG)).unwrap()],
    };
    let ask = |latest: Option<&TreeHead>, body: &str| {
        let request = AddCheckpoint::parse(body.as_bytes()).unwrap();
        assert_eq!(request.to_string(), body);
        decide(Some(&log), latest, request)
    };
    let head = |decision: Decision| match decision {
        Decision::Cosign(consistent) => *consistent.signed().head(),
        other => panic!("{other:?}"),
    };
    let one = head(ask(None, FIRST));
    let five = head(ask(Some(&one), TO_FIVE));
    let root = "42bb57ad06420afa4882c4a63ac6a1ec77480b330b2f20dfc53a0caa5f564e36";
    assert_eq!((five.size, five.root), (5, hash(root)));
    // Both were proved from one leaf; the slower one comes too late.
    assert_eq!(head(ask(Some(&one), TO_THREE)).size, 3);
    let late = Decision::Refuse(Refusal::Stale { latest_size: 5 });
    assert_eq!(ask(Some(&five), TO_THREE), late);
}

/// transparency-dev/witness, internal/witness/witness_test.go: checkpoints of `monkeys` and the proof
/// between them.
#[test]
fn the_monkeys_checkpoints_are_consistent() {
    let monkeys = key("monkeys+db4d9f7e+AULaJMvTtDLHPUcUrjdDad9vDlh/PTfC2VV60JUtCfWT");
    let bananas = key("bananas+cf639f13+AaPjhFnPCQnid/Ql32KWhmh+uk72FVRfK+2DLmO3BI3M");
    let origin: Origin = "Log Checkpoint v0".parse().unwrap();
    let open = |note: &str, key: &VerifierKey| {
        SignedCheckpoint::open(note.as_bytes(), &origin, std::slice::from_ref(key))
    };
    let five = "Log Checkpoint v0\n5\n41smjBUiAU70EtKlT6lIOIYtRTYxYXsDB+XHfcvu/BE=\n\n— monkeys 202ffu1mJ0hrPIodgN0YQV7uZk9CAEzh+hOQyRjkf9CDY1IOr/oiH6WkzGIy7aEF0rw/9SHiZztjDiTOb53i6CE/zQ8=\n";
    let of_bananas = "Log Checkpoint v0\n5\n41smjBUiAU70EtKlT6lIOIYtRTYxYXsDB+XHfcvu/BE=\n\n— bananas z2OfE18+NwUjjJBXH7m+fh67bu29p1Jbypr4GFUQohgQgCeuPJZtGTvfR9Pquh2Iebfq+6bhl3G/77lsKiGIea6NAwE=\n";
    let eight = "Log Checkpoint v0\n8\nV8K9aklZ4EPB+RMOk1/8VsJUdFZR77GDtZUQq84vSbo=\n\n— monkeys 202ffm1n5/h7F3x0D6CCysNnqiL2WBu7iubseJggohhX6JBbeLts5NWKY/g0r6yNRVN/k+QJJx1Sii0MzbMUTnmO+wA=\n";
    let (old, new) = (
        open(five, &monkeys).unwrap(),
        open(eight, &monkeys).unwrap(),
    );
    let proof = [
        "b9e1d62618f7fee8034e4c5010f727ab24d8e4705cb296c374bf2025a87a10d2",
        "aac66cd7a79ce4012d80762fe8eec3a77f22d1ca4145c3f4cee022e7efcd599d",
        "89d0f753f66a290c483b39cd5e9eafb12021293395fad3d4a2ad053cfbcfdc9e",
        "29e40bb79c966f4c6fe96aff6f30acfce5f3e8d84c02215175d6e018a5dee833",
    ]
    .map(hash);
    verify_consistency(old.head(), new.head(), &proof).unwrap();
    assert_eq!(open(of_bananas, &bananas).unwrap().head(), old.head());
    assert!(open(of_bananas, &monkeys).is_err());
    let frog = "Frog Checkpoint v0\n8\nV8K9aklZ4EPB+RMOk1/8VsJUdFZR77GDtZUQq84vSbo=\n\n— monkeys 202ffgCVdfZmrroccRdQoEfn2TfmXHez4R++GvVrFvFiaI85O12aTV5GpNOvWsuQW77eNxQ2b7ggYeglzF/QSy/EBws=\n";
    assert!(open(frog, &monkeys).is_err());
}
