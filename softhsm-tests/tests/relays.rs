//! What reaches a signer from whoever brings cosignatures: lies, half of it, too little for what came later, or the
//! same once more.

use std::{fs, net::SocketAddr};

use api::{
    journal::{CosignaturesAnswer, CosignaturesRequest},
    problem::ProblemKind,
    signing::{RequestAnswer, RequestStatus, SignAnswer, SignRequest},
};
use rustix::process::{Signal, kill_process};
use strongroom_softhsm_tests::{
    cable::Cable,
    http::Answer,
    program::{self, until},
    signerd::Signerd,
    witness::{RELAY, Witnessed, cosign, log},
    world::{Client, problem},
};
use tlog::checkpoint::SignedCheckpoint;

use crate::witnesses::{is_unwitnessed, open, payment};

/// A daemon with three witnesses that do not run, and a client that brings whatever it likes.
struct Lying {
    site: Witnessed,
    daemon: Signerd,
    client: Client,
    relay: Client,
}

fn lying() -> Lying {
    let mut site = Witnessed::new(3);
    let daemon = site.launch();
    let (client, relay) = (site.world.walletd(), site.world.client(RELAY));
    Lying {
        site,
        daemon,
        client,
        relay,
    }
}

impl Lying {
    /// The newest checkpoint, once it covers an entry.
    fn covering(&mut self, entry: u64) -> SignedCheckpoint {
        let note = until("a checkpoint", || {
            let answer = self
                .relay
                .get(&format!("/v1/journal/checkpoint?covers={entry}"));
            (answer.status == 200).then(|| answer.text())
        });
        open(&self.site, &note)
    }

    fn line(&self, witness: usize, signed: &SignedCheckpoint) -> String {
        let key = self.site.log_key.as_ref().unwrap();
        cosign(&self.site.witnesses[witness], key, signed)
    }

    /// Asks for signatures, and brings what two witnesses say of each checkpoint meanwhile.
    fn released(&mut self, request: &SignRequest) -> SignAnswer {
        let mut client = self.site.world.walletd();
        std::thread::scope(|scope| {
            let asked = scope.spawn(move || client.sign(request));
            until("an answer", || {
                let witnessed = log(&mut self.client).witnesses.unwrap().witnessed;
                let path = format!("/v1/journal/checkpoint?covers={witnessed}");
                let newest = self.relay.get(&path);
                if newest.status == 200 {
                    let newest = open(&self.site, &newest.text());
                    let lines = [0, 1].map(|witness| self.line(witness, &newest));
                    let _counted = self.bring(newest.head().size, &lines);
                }
                asked.is_finished().then_some(())
            });
            asked.join().unwrap()
        })
    }

    /// How many transactions a device has signed.
    fn is_signed(&self, times: u64) {
        let signed = self.daemon.metric("signerd_signed_total");
        assert_eq!(signed, Some(times));
    }

    fn bring(&mut self, size: u64, cosignatures: &[String]) -> Answer {
        let request = CosignaturesRequest {
            size,
            cosignatures: cosignatures.to_vec(),
        };
        let body = serde_json::to_vec(&request).unwrap();
        self.relay.post("/v1/journal/cosignatures", &body)
    }
}

impl Lying {
    /// Brings what is worth nothing: of two checkpoints, each with all its cosignatures.
    fn tries_everything(&mut self, of: [(u64, &[String]); 2], second: &SignedCheckpoint) {
        let [(older, good), (newer, of_it)] = of;
        let stranger = Witnessed::new(1);
        let log_key = self.site.log_key.clone().unwrap();
        let strange = cosign(&stranger.witnesses[0], &log_key, second);
        let mut flipped = of_it[0].clone();
        let at = flipped.len() - 40;
        let other = if &flipped[at..=at] == "A" { "B" } else { "A" };
        flipped.replace_range(at..=at, other);
        let garbage = "\u{2014} w1.example AAAA".to_owned();
        let spaced = of_it[1].clone() + " ";
        let malformed = [
            // Of another checkpoint.
            (newer, good[..2].to_vec()),
            (older, of_it[..2].to_vec()),
            (newer, vec![strange]),
            (newer, vec![flipped]),
            (newer, vec![garbage]),
            (newer, vec![String::new()]),
            (newer, vec!["x".repeat(100_000)]),
            (newer, Vec::new()),
            (newer, vec![of_it[0].clone(); 17]),
            // A good one beside a bad one: neither counts.
            (newer, vec![of_it[0].clone(), good[1].clone()]),
            (newer, vec![of_it[0].clone(), spaced]),
        ];
        for (size, lines) in malformed {
            let refused = problem(&self.bring(size, &lines));
            assert_eq!(refused.kind, ProblemKind::Malformed, "{size} {lines:?}");
        }
        for size in [0, newer + 1_000, u64::MAX] {
            let refused = problem(&self.bring(size, of_it));
            assert_eq!(refused.kind, ProblemKind::NotFound, "{size}");
        }
    }
}

#[test]
fn a_relay_that_lies_gets_nothing_released() {
    let mut lying = lying();
    let first = lying.covering(0);
    let size = first.head().size;
    let good: Vec<String> = (0..3).map(|witness| lying.line(witness, &first)).collect();
    // Two of them are enough, and release what this checkpoint covers: the start, and no payment.
    let answer: CosignaturesAnswer = lying.bring(size, &good[..2]).json();
    assert_eq!(
        (answer.cosigned, answer.needed, answer.witnessed),
        (2, 2, size)
    );
    lying.daemon = lying.daemon.ready();

    let request = payment(&mut lying.client, 0);
    is_unwitnessed(&lying.client.send(&request));
    let second = lying.covering(size);
    let newer = second.head().size;
    let of_it: Vec<String> = (0..3).map(|witness| lying.line(witness, &second)).collect();
    lying.tries_everything([(size, &good), (newer, &of_it)], &second);
    // One witness, however often it says so, is one.
    for _ in 0..3 {
        let same = vec![of_it[0].clone(), of_it[0].clone()];
        let answer: CosignaturesAnswer = lying.bring(newer, &same).json();
        assert_eq!((answer.cosigned, answer.witnessed), (1, size));
    }
    is_unwitnessed(&lying.client.send(&request));
    let newest = lying.covering(newer - 1);
    assert_eq!(log(&mut lying.client).witnesses.unwrap().witnessed, size);

    // No device was asked.
    lying.is_signed(0);

    // The second one's word, and the decision counts as known.
    let answer: CosignaturesAnswer = lying.bring(newer, &of_it[1..2]).json();
    assert_eq!((answer.cosigned, answer.witnessed), (2, newer));
    assert!(newest.head().size >= newer);
    assert_eq!(lying.client.get("/v1/requests/pay-0").status, 200);
    lying.released(&request);
    assert_eq!(lying.daemon.metric("signerd_sealed"), Some(0));
    // Late ones change nothing any more, and an older checkpoint's take nothing back.
    let _late = lying.bring(newer, &of_it);
    let _older = lying.bring(size, &good);
    lying.client.sign(&request);
}

/// A copy of the machine from between the two would release what was frozen since, otherwise.
#[test]
fn a_decision_that_is_cosigned_releases_no_signatures_that_came_later() {
    let mut lying = lying();
    let first = lying.covering(0);
    let size = first.head().size;
    let lines = [0, 1].map(|witness| lying.line(witness, &first));
    let _counted = lying.bring(size, &lines);
    lying.daemon = lying.daemon.ready();

    let request = payment(&mut lying.client, 0);
    let (mut signing, mut asking) = (lying.site.world.walletd(), lying.site.world.walletd());
    let (answer, told) = std::thread::scope(|scope| {
        let answer = scope.spawn(|| signing.send(&request));
        // Whoever asks what became of it waits for the witnesses, too.
        let told = scope.spawn(|| {
            until("the decision", || {
                let answer = asking.get("/v1/requests/pay-0");
                (answer.status != 404).then_some(answer)
            })
        });
        let decision = lying.covering(size);
        let lines = [0, 1].map(|witness| lying.line(witness, &decision));
        let counted: CosignaturesAnswer = lying.bring(decision.head().size, &lines).json();
        assert_eq!(counted.witnessed, decision.head().size);
        // Only now a device is asked.
        (answer.join().unwrap(), told.join().unwrap())
    });
    let told: RequestAnswer = told.json();
    assert_eq!(told.status, RequestStatus::Committed);
    is_unwitnessed(&answer);
    lying.is_signed(1);
    is_unwitnessed(&lying.client.send(&request));

    let counted = log(&mut lying.client).witnesses.unwrap().witnessed;
    let newest = lying.covering(counted);
    let lines = [1, 2].map(|witness| lying.line(witness, &newest));
    let _counted = lying.bring(newest.head().size, &lines);
    lying.client.sign(&request);
}

/// Under load each witness is at another checkpoint most of the time.
#[test]
fn witnesses_that_cosign_different_checkpoints_speak_for_what_both_contain() {
    let mut lying = lying();
    let first = lying.covering(0);
    let size = first.head().size;
    let line = lying.line(0, &first);
    let answer: CosignaturesAnswer = lying.bring(size, &[line]).json();
    assert_eq!((answer.cosigned, answer.witnessed), (1, 0));

    let request = payment(&mut lying.client, 0);
    is_unwitnessed(&lying.client.send(&request));
    let second = lying.covering(size);
    let longer = second.head().size;
    let line = lying.line(1, &second);
    let answer: CosignaturesAnswer = lying.bring(longer, &[line]).json();
    assert_eq!((answer.cosigned, answer.witnessed), (1, size));
    lying.daemon = lying.daemon.ready();
    is_unwitnessed(&lying.client.send(&request));

    let next = payment(&mut lying.client, 1);
    is_unwitnessed(&lying.client.send(&next));
    let third = lying.covering(longer);
    let longest = third.head().size;
    let line = lying.line(2, &third);
    let what_became = "/v1/requests/pay-0";
    is_unwitnessed(&lying.client.get(what_became));
    let answer: CosignaturesAnswer = lying.bring(longest, &[line]).json();
    assert_eq!((answer.cosigned, answer.witnessed), (1, longer));
    assert_eq!(lying.client.get(what_became).status, 200);
    // Who trusts the witnesses is shown one that enough of them have cosigned.
    let path = "/v1/journal/checkpoint";
    let none = problem(&lying.relay.get(path));
    assert_eq!(none.kind, ProblemKind::NoCheckpoint, "{}", none.detail);
    let line = lying.line(0, &third);
    let answer: CosignaturesAnswer = lying.bring(longest, &[line]).json();
    assert_eq!((answer.cosigned, answer.witnessed), (2, longest));
    let shown = open(&lying.site, &lying.relay.get(path).text());
    assert_eq!(shown.head(), third.head());
}

#[test]
fn cosignatures_of_an_earlier_start_count_for_nothing() {
    let mut lying = lying();
    let request = payment(&mut lying.client, 0);
    let first = lying.covering(0);
    is_unwitnessed(&lying.client.send(&request));
    let second = lying.covering(first.head().size);
    assert!(lying.daemon.stop().success());
    lying.daemon = lying.site.launch();
    lying.client.reconnect();
    lying.relay = lying.site.world.client(RELAY);
    for signed in [&first, &second] {
        let lines: Vec<String> = (0..3).map(|witness| lying.line(witness, signed)).collect();
        let refused = problem(&lying.bring(signed.head().size, &lines));
        assert_eq!(refused.kind, ProblemKind::NotFound, "{}", refused.detail);
    }
    is_unwitnessed(&lying.client.send(&request));
}

#[test]
fn only_a_client_with_the_grant_brings_cosignatures_and_it_gets_nothing_else() {
    let mut lying = lying();
    let signed = lying.covering(0);
    let size = signed.head().size;
    let request = CosignaturesRequest {
        size,
        cosignatures: vec![lying.line(0, &signed)],
    };
    let body = serde_json::to_vec(&request).unwrap();
    let refused = problem(&lying.client.post("/v1/journal/cosignatures", &body));
    assert_eq!(refused.kind, ProblemKind::NotGranted);
    let payment = payment(&mut lying.client, 0);
    for answer in [
        lying.relay.send(&payment),
        lying.relay.get("/v1/keys"),
        lying.relay.get("/v1/requests"),
        lying.relay.get("/v1/requests/pay-0"),
    ] {
        assert_eq!(problem(&answer).kind, ProblemKind::NotGranted);
    }
    assert_eq!(log(&mut lying.client).witnesses.unwrap().witnessed, 0);
}

#[test]
fn a_cosignature_that_does_not_reach_the_signer_is_brought_again() {
    let mut site = Witnessed::new(1);
    let daemon = site.launch();
    site.start_witnesses();
    let witness = &site.witnesses[0];
    program::pause(witness.pid());
    let cable = Cable::to(site.world.api());
    let relay = site.relay_of("cut", cable.address());
    until("a checkpoint that waits at the witness", || {
        has_unread(witness.listen()).then_some(())
    });
    cable.cut();
    kill_process(witness.pid(), Signal::CONT).unwrap();
    let trouble = "the signer does not take its cosignature";
    until("word of it", || {
        relay.said().contains(trouble).then_some(())
    });
    cable.mend();
    let _daemon = daemon.ready();
    let mut client = site.world.walletd();
    let witnessed = log(&mut client).witnesses.unwrap().witnessed;
    assert!(witnessed > 0, "{}", relay.said());
}

/// Whether a connection to this address has bytes that nobody has read.
fn has_unread(address: SocketAddr) -> bool {
    let SocketAddr::V4(address) = address else {
        panic!("{address}");
    };
    let host = u32::from_le_bytes(address.ip().octets());
    let local = format!("{host:08X}:{:04X}", address.port());
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    table.lines().any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        // The queues of bytes to send and to read, of an established connection.
        fields.get(1) == Some(&local.as_str())
            && fields.get(3) == Some(&"01")
            && fields
                .get(4)
                .is_some_and(|queues| !queues.ends_with(":00000000"))
    })
}
