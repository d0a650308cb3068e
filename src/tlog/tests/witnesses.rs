//! What a witness cosigns, and what it answers.

use proptest::prelude::*;
use strongroom_tlog::checkpoint::SignedCheckpoint;
use strongroom_tlog::cosignature::Quorum;
use strongroom_tlog::witness::{
    AddCheckpoint, Answer, Consistent, Decision, Log, MAX_PROOF_LINES, MAX_REQUEST_BYTES, Refusal,
    RequestError, SIZE_CONTENT_TYPE, decide,
};
use strongroom_tlog::{
    Hash, MemoryTree, ProofError, TreeHead, consistency_proof, empty_root, leaf_hash,
};

use crate::keys::{Key, checkpoint, grown, head, log, origin, time, witnesses};

fn known() -> Log {
    Log {
        origin: origin(),
        keys: vec![log().verifier()],
    }
}

fn request(old_size: u64, proof: Vec<Hash>, new: TreeHead) -> AddCheckpoint {
    let signed = log().checkpoint(checkpoint(new));
    AddCheckpoint::new(old_size, proof, &signed).unwrap()
}

/// An honest request between two sizes of one tree.
fn honest(tree: &MemoryTree, old: u64, new: u64) -> AddCheckpoint {
    let proof = consistency_proof(tree, old, new).unwrap();
    request(old, proof, head(tree, new))
}

fn cosigned(decision: Decision) -> Box<Consistent> {
    match decision {
        Decision::Cosign(consistent) => consistent,
        other => panic!("{other:?}"),
    }
}

fn refused(decision: Decision) -> (Refusal, u16) {
    match decision {
        Decision::Refuse(refusal) => {
            let status = Answer::from(&refusal).status();
            (refusal, status)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_log_that_grows_is_cosigned() {
    let tree = grown(300);
    let mut latest: Option<TreeHead> = None;
    for size in [0, 0, 1, 1, 2, 255, 256, 300, 300] {
        let old = latest.map_or(0, |head| head.size);
        let decision = decide(Some(&known()), latest.as_ref(), honest(&tree, old, size));
        let consistent = cosigned(decision);
        assert_eq!(consistent.old_size(), old);
        latest = Some(*consistent.signed().head());
        assert_eq!(latest, Some(head(&tree, size)));
    }
}

#[test]
fn what_a_witness_answers_makes_a_quorum() {
    let tree = grown(9);
    let all = witnesses(3);
    let mut signed = log().checkpoint(checkpoint(tree.head()));
    let quorum = Quorum::majority(all.iter().map(Key::witness).collect()).unwrap();
    for witness in &all[..2] {
        let consistent = cosigned(decide(Some(&known()), None, honest(&tree, 0, 9)));
        let now = time(1_700_000_000);
        let signature = witness.sign(&consistent.message(now));
        let key = witness.witness();
        let cosignature = consistent.cosign(&key, now, &signature).unwrap();
        // Another key's signature, and one of another time, are refused.
        assert!(
            consistent
                .cosign(&all[2].witness(), now, &signature)
                .is_err()
        );
        assert!(consistent.cosign(&key, time(1), &signature).is_err());
        let answer = Answer::from(&cosignature);
        let (body, content_type) = (answer.body(), answer.content_type());
        let read = Answer::read(answer.status(), content_type, body.as_bytes()).unwrap();
        assert_eq!(read, answer);
        let Answer::Cosigned(lines) = read else {
            panic!("{body}")
        };
        let added = signed.add_cosignature(&key, &lines[0]).unwrap();
        assert_eq!(added, cosignature);
    }
    assert_eq!(quorum.witnessed(signed).unwrap().cosignatures().len(), 2);
}

#[test]
fn an_unknown_log_is_not_found() {
    let tree = grown(3);
    let (refusal, status) = refused(decide(None, None, honest(&tree, 0, 3)));
    assert_eq!((refusal, status), (Refusal::UnknownLog, 404));
    let other = Log {
        origin: "log.example/other".parse().unwrap(),
        ..known()
    };
    let (refusal, _) = refused(decide(Some(&other), None, honest(&tree, 0, 3)));
    assert_eq!(refusal, Refusal::UnknownLog);
}

#[test]
fn what_the_log_did_not_sign_is_forbidden() {
    let tree = grown(3);
    let strangers = Log {
        keys: vec![Key::new("log.example/treasury", 9).verifier()],
        ..known()
    };
    let (refusal, status) = refused(decide(Some(&strangers), None, honest(&tree, 0, 3)));
    assert_eq!((refusal, status), (Refusal::Unsigned, 403));
    // A known key's name and id over another text.
    let body = honest(&tree, 0, 3).to_string().replace("\n3\n", "\n2\n");
    let request = AddCheckpoint::parse(body.as_bytes()).unwrap();
    let (refusal, _) = refused(decide(Some(&known()), None, request));
    assert_eq!(refusal, Refusal::Unsigned);
}

#[test]
fn a_rotated_key_is_one_of_the_logs_keys() {
    let keys = vec![Key::new("log.example/old", 9).verifier(), log().verifier()];
    let rotated = Log { keys, ..known() };
    let _ = cosigned(decide(Some(&rotated), None, honest(&grown(3), 0, 3)));
}

#[test]
fn a_log_that_says_it_shrank_is_a_bad_request() {
    let tree = grown(5);
    let latest = head(&tree, 5);
    let shrunk = request(5, Vec::new(), head(&tree, 4));
    let (refusal, status) = refused(decide(Some(&known()), Some(&latest), shrunk));
    assert_eq!((refusal, status), (Refusal::Shrunk, 400));
}

#[test]
fn a_request_from_another_size_learns_the_latest() {
    let tree = grown(9);
    let latest = head(&tree, 5);
    for old in [0, 4, 6, 9] {
        let decision = decide(Some(&known()), Some(&latest), honest(&tree, old, 9));
        let (refusal, status) = refused(decision);
        assert_eq!(
            (&refusal, status),
            (&Refusal::Stale { latest_size: 5 }, 409)
        );
        let answer = Answer::from(&refusal);
        assert_eq!(answer.body(), "5\n");
        assert_eq!(answer.content_type(), Some(SIZE_CONTENT_TYPE));
        let read = Answer::read(409, Some(SIZE_CONTENT_TYPE), b"5\n").unwrap();
        assert_eq!(read, answer);
    }
    // A witness that never saw the log says 0.
    let (refusal, _) = refused(decide(Some(&known()), None, honest(&tree, 5, 9)));
    assert_eq!(refusal, Refusal::Stale { latest_size: 0 });
}

#[test]
fn a_fork_at_the_latest_size_has_its_own_name() {
    let tree = grown(5);
    let forged = TreeHead {
        size: 5,
        root: leaf_hash(b"fork"),
    };
    let fork = request(5, Vec::new(), forged);
    let (refusal, status) = refused(decide(Some(&known()), Some(&tree.head()), fork));
    assert_eq!((&refusal, status), (&Refusal::Forked { size: 5 }, 409));
    // Not the size of the latest one: the client would only try again.
    let answer = Answer::from(&refusal);
    assert_eq!(
        (answer.content_type(), answer.body()),
        (None, String::new())
    );
    let read = Answer::read(409, None, b"").unwrap();
    assert_eq!(read, Answer::Refused { status: 409 });
}

#[test]
fn what_is_not_proved_is_unprocessable() {
    let tree = grown(9);
    let latest = head(&tree, 5);
    let proof = consistency_proof(&tree, 5, 9).unwrap();
    let forged = TreeHead {
        size: 9,
        root: leaf_hash(b"fork"),
    };
    let longer = [proof.as_slice(), &[leaf_hash(b"")]].concat();
    for request in [
        request(5, proof.clone(), forged),
        request(5, proof[1..].to_vec(), tree.head()),
        request(5, longer, tree.head()),
        request(5, Vec::new(), tree.head()),
        request(5, proof, grown(10).head()),
        // The same tree needs no proof.
        request(5, vec![leaf_hash(b"")], latest),
    ] {
        let (refusal, status) = refused(decide(Some(&known()), Some(&latest), request));
        assert!(matches!(refusal, Refusal::Unproved { .. }));
        assert_eq!(status, 422);
    }
    // From nothing, too, the proof must be empty.
    let from_nothing = request(0, vec![leaf_hash(b"")], tree.head());
    let (refusal, _) = refused(decide(Some(&known()), None, from_nothing));
    let source = ProofError::TooLong;
    assert_eq!(refusal, Refusal::Unproved { source });
}

#[test]
fn a_tree_of_no_leaves_has_one_root() {
    let empty = TreeHead {
        size: 0,
        root: empty_root(),
    };
    let wrong = TreeHead {
        root: leaf_hash(b""),
        ..empty
    };
    let _ = cosigned(decide(Some(&known()), None, request(0, Vec::new(), empty)));
    let again = request(0, Vec::new(), empty);
    let _ = cosigned(decide(Some(&known()), Some(&empty), again));
    for latest in [None, Some(&empty)] {
        let forged = request(0, Vec::new(), wrong);
        let (refusal, status) = refused(decide(Some(&known()), latest, forged));
        assert!(matches!(refusal, Refusal::Unproved { .. }));
        assert_eq!(status, 422);
    }
}

#[test]
fn what_is_no_request_is_a_bad_request() {
    let tree = grown(9);
    let body = honest(&tree, 5, 9).to_string();
    let (lines, note) = body.split_once("\n\n").unwrap();
    let hash = lines.lines().last().unwrap();
    let mut refused = vec![
        String::new(),
        note.to_owned(),
        lines.to_owned(),
        format!("{lines}\n{note}"),
        format!("{lines}\n\n"),
        format!("\n{body}"),
        format!("{lines}\n\n\n{note}"),
        body.replace("old 5", "old 05"),
        body.replace("old 5", "old  5"),
        body.replace("old 5", "old -5"),
        body.replace("old 5", "old 5 "),
        body.replace("old 5", "Old 5"),
        body.replace("old 5", "old 9223372036854775808"),
        body.replace("old 5", "old"),
        body.replace("old 5\n", ""),
        body.replacen('\n', "\r\n", 1),
        body.replace(hash, hash.trim_end_matches('=')),
        body.replace(hash, &format!("{hash} ")),
        body.replace(hash, "AA=="),
        body.trim_end().to_owned(),
        body.replace("\n9\n", "\nnine\n"),
    ];
    let too_many = format!("{hash}\n").repeat(MAX_PROOF_LINES + 1);
    refused.push(format!("old 5\n{too_many}\n{note}"));
    let long = body.clone() + &" ".repeat(MAX_REQUEST_BYTES);
    let error = AddCheckpoint::parse(long.as_bytes());
    assert_eq!(error, Err(RequestError::TooLong));
    refused.push(long);
    for body in refused {
        let error = AddCheckpoint::parse(body.as_bytes()).unwrap_err();
        assert_eq!(Answer::from(&error).status(), 400, "{body:?}");
    }
    assert!(AddCheckpoint::parse(b"old 5\xff\n\n").is_err());
    let most = format!("{hash}\n").repeat(MAX_PROOF_LINES);
    let request = AddCheckpoint::parse(format!("old 5\n{most}\n{note}").as_bytes()).unwrap();
    assert_eq!(request.proof().len(), MAX_PROOF_LINES);
    let signed = log().checkpoint(checkpoint(tree.head()));
    let proof = vec![leaf_hash(b""); MAX_PROOF_LINES + 1];
    let refused = AddCheckpoint::new(0, proof, &signed);
    assert_eq!(refused, Err(RequestError::Proof));
}

#[test]
fn an_answer_that_cannot_be_is_refused() {
    let size = Some(SIZE_CONTENT_TYPE);
    for (status, content_type, body) in [
        (200, None, "".as_bytes()),
        (200, None, b"\n"),
        (200, None, b"ok\n"),
        (200, None, "\u{2014} w AAAAAAE=".as_bytes()),
        (200, None, "\u{2014} w AAAAAAE=\n\n".as_bytes()),
        (200, None, b"\xff\n"),
        (409, size, b""),
        (409, size, b"5"),
        (409, size, b"05\n"),
        (409, size, b"-5\n"),
        (409, size, b"5\n\n"),
        (409, size, b"9223372036854775808\n"),
    ] {
        assert!(
            Answer::read(status, content_type, body).is_err(),
            "{body:?}"
        );
    }
    let many = "\u{2014} w AAAAAAE=\n".repeat(101);
    assert!(Answer::read(200, None, many.as_bytes()).is_err());
    let one = Answer::read(200, None, "\u{2014} w AAAAAAE=\n".as_bytes()).unwrap();
    assert!(matches!(one, Answer::Cosigned(lines) if lines.len() == 1));
    for status in [302, 400, 403, 404, 422, 429, 500] {
        let read = Answer::read(status, None, b"whatever").unwrap();
        assert_eq!(read, Answer::Refused { status });
    }
}

/// A request of one of several kinds between two sizes.
fn drawn(trees: &[MemoryTree; 2], draw: (usize, u64, u64, bool)) -> AddCheckpoint {
    let (tree, old, new, lie) = draw;
    let (old, new) = (old.min(new), old.max(new));
    let mut proof = consistency_proof(&trees[tree], old, new).unwrap();
    if lie {
        proof.pop();
    }
    request(old, proof, head(&trees[tree], new))
}

proptest! {
    /// Whatever is asked in whatever order, what was cosigned is one history.
    #[test]
    fn no_two_inconsistent_checkpoints_are_cosigned(
        draws in prop::collection::vec((0_usize..2, 0_u64..12, 0_u64..12, any::<bool>()), 1..20),
    ) {
        // Two logs that fork after four leaves.
        let mut fork = grown(4);
        for index in 0..8 {
            fork.append(leaf_hash(format!("fork {index}").as_bytes())).unwrap();
        }
        let trees = [grown(12), fork];
        let mut latest: Option<TreeHead> = None;
        let mut cosigned: Vec<TreeHead> = Vec::new();
        for draw in draws {
            let request = drawn(&trees, draw);
            let body = request.to_string();
            prop_assert_eq!(AddCheckpoint::parse(body.as_bytes()).unwrap(), request.clone());
            let old = request.old_size();
            if let Decision::Cosign(consistent) = decide(Some(&known()), latest.as_ref(), request) {
                prop_assert_eq!(consistent.old_size(), latest.map_or(0, |head| head.size));
                prop_assert_eq!(old, consistent.old_size());
                latest = Some(*consistent.signed().head());
                cosigned.extend(latest);
            }
        }
        let one_history = trees.iter().any(|tree| cosigned.iter().all(|one| head(tree, one.size) == *one));
        prop_assert!(one_history, "{:?}", cosigned);
        prop_assert!(cosigned.is_sorted_by_key(|head| head.size));
    }

    #[test]
    fn no_flipped_bit_is_cosigned(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let tree = grown(9);
        let latest = head(&tree, 5);
        let mut body = honest(&tree, 5, 9).to_string().into_bytes();
        let at = at.index(body.len());
        body[at] ^= 1_u8 << bit;
        if let Ok(request) = AddCheckpoint::parse(&body) {
            let _ = refused(decide(Some(&known()), Some(&latest), request));
        }
    }

    #[test]
    fn no_prefix_is_a_request(at in any::<prop::sample::Index>()) {
        let body = honest(&grown(9), 5, 9).to_string();
        let at = at.index(body.len());
        prop_assert!(AddCheckpoint::parse(&body.as_bytes()[..at]).is_err());
    }
}

#[test]
fn what_is_kept_can_be_read_again() {
    let consistent = cosigned(decide(Some(&known()), None, honest(&grown(4), 0, 4)));
    let bytes = consistent.signed().to_string();
    let read = SignedCheckpoint::open(bytes.as_bytes(), &origin(), &known().keys).unwrap();
    assert_eq!(&read, consistent.signed());
}
