//! Passkeys: an assertion of the very text, by the one page, counts as an SSH signature does; nothing else does.

use proptest::prelude::*;
use sha2::{Digest as _, Sha256};
use strongroom_policy::{
    Entry, Need, Passkeys, Person, Policy, StateError,
    approval::{Approval, Says},
    passkey::{ApprovalPage, Assertion, AssertionError, Passkey, PasskeyError},
    widenings,
};
use tx::Intent;

use crate::{
    approvals::{
        PEOPLE, asking, begun_with, is_pending, key, line, say, saying, the_intent, try_push,
    },
    authenticator::{Authenticator, Made, encoded},
    fixture::{Ask, Signer, name, need},
    hostile::runner,
};

const ORIGIN: &str = "https://approve.example.org:8443";

/// One of two, by whatever they have.
fn counting() -> Need {
    Need {
        passkeys: Passkeys::Count,
        ..need(1, &["alice", "bob"])
    }
}

fn alice() -> Authenticator {
    Authenticator::es256(1, ORIGIN)
}

fn bob() -> Authenticator {
    Authenticator::eddsa(2, ORIGIN)
}

fn page() -> ApprovalPage {
    ORIGIN.parse().unwrap()
}

/// Alice has an SSH key and a passkey, bob a passkey alone, the others keys.
fn with_passkeys(need: Need) -> Policy {
    let mut policy = asking(need);
    policy.approval_page = Some(page());
    let of = |device: &Authenticator| [Passkey::parse(&device.line()).unwrap()].into();
    policy.people.get_mut(&name("alice")).unwrap().passkeys = of(&alice());
    let bob = Person {
        passkeys: of(&bob()),
        ..Person::default()
    };
    policy.people.insert(name("bob"), bob);
    policy
}

fn begun(need: &Need) -> (Signer, Ask) {
    begun_with(with_passkeys(need.clone()))
}

fn assertion(made: Made) -> Assertion {
    Assertion {
        authenticator_data: made.authenticator_data,
        client_data: made.client_data,
        signature: made.signature,
    }
}

fn text(signer: &Signer, intent: &Intent, need: &Need, says: Says) -> String {
    let approval = saying(signer, intent, need, says);
    approval
        .text(signer.state.policy().unwrap(), intent)
        .unwrap()
}

/// Brings what somebody says, and has it journalled.
fn bring(signer: &mut Signer, intent: &Intent, text: &str, made: Made) -> Result<(), StateError> {
    let decided = signer
        .state
        .deciding_by_passkey(&intent.id, text, &assertion(made))?;
    try_push(signer, Entry::IntentDecided(Box::new(decided)))
}

/// Why an assertion of alice's for the right text counts for nothing.
fn refused(made: Made) -> StateError {
    let one = counting();
    let (mut signer, ask) = begun(&one);
    let intent = the_intent(&ask).intent.clone();
    let text = text(&signer, &intent, &one, Says::Approve);
    let refused = bring(&mut signer, &intent, &text, made).unwrap_err();
    assert!(is_pending(&signer, &ask));
    refused
}

/// The text of the approval that [`refused`] is about.
fn the_text() -> String {
    let one = counting();
    let (signer, ask) = begun(&one);
    text(&signer, &the_intent(&ask).intent, &one, Says::Approve)
}

fn because(made: Made) -> AssertionError {
    match refused(made) {
        StateError::Assertion(error) => error,
        other => panic!("{other}"),
    }
}

#[test]
fn an_assertion_of_the_text_approves_by_either_algorithm() {
    for device in [alice(), bob()] {
        let one = counting();
        let (mut signer, ask) = begun(&one);
        let intent = the_intent(&ask).intent.clone();
        let text = text(&signer, &intent, &one, Says::Approve);
        assert!(text.contains("\nrejection blocks\npasskeys count\nrejected-before "));
        assert!(is_pending(&signer, &ask));
        bring(&mut signer, &intent, &text, device.asserts(&text)).unwrap();
        assert!(!is_pending(&signer, &ask));
        let again = bring(&mut signer, &intent, &text, device.asserts(&text));
        assert_eq!(again, Err(StateError::SaidAlready));
    }
}

#[test]
fn a_rejection_by_passkey_rejects() {
    let one = counting();
    let (mut signer, ask) = begun(&one);
    let intent = the_intent(&ask).intent.clone();
    say(&mut signer, &intent, &one, Says::Approve, &["alice"]);
    assert!(!is_pending(&signer, &ask));
    let text = text(&signer, &intent, &one, Says::Reject);
    bring(&mut signer, &intent, &text, bob().asserts(&text)).unwrap();
    assert!(is_pending(&signer, &ask));
    // The word of approval from before it answers nothing any more.
    let registered = signer.state.registered(&intent.id).unwrap();
    assert_ne!(registered.rejected, 0);
}

#[test]
fn a_person_counts_once_whichever_of_their_keys_says_so() {
    let two = Need {
        passkeys: Passkeys::Count,
        ..need(2, &PEOPLE)
    };
    let (mut signer, ask) = begun(&two);
    let intent = the_intent(&ask).intent.clone();
    say(&mut signer, &intent, &two, Says::Approve, &["alice"]);
    let approve = text(&signer, &intent, &two, Says::Approve);
    let by_passkey = bring(&mut signer, &intent, &approve, alice().asserts(&approve));
    // It is said by another key now, and counts no more than before.
    assert_eq!(by_passkey, Ok(()));
    assert!(is_pending(&signer, &ask));
    bring(&mut signer, &intent, &approve, bob().asserts(&approve)).unwrap();
    assert!(!is_pending(&signer, &ask));
}

#[test]
fn no_passkey_counts_where_the_need_does_not_say_so() {
    let one = need(1, &["alice", "bob"]);
    let (mut signer, ask) = begun(&one);
    let intent = the_intent(&ask).intent.clone();
    let text = text(&signer, &intent, &one, Says::Approve);
    assert!(
        !text.contains("passkeys"),
        "the text of such a need is as ever"
    );
    let refused = bring(&mut signer, &intent, &text, alice().asserts(&text));
    let need = one.fingerprint();
    assert_eq!(refused, Err(StateError::PasskeysRefused { need }));
    assert_ne!(one.fingerprint(), counting().fingerprint());
}

#[test]
fn a_passkey_that_was_taken_away_takes_what_it_said() {
    let one = counting();
    let (mut signer, ask) = begun(&one);
    let intent = the_intent(&ask).intent.clone();
    let text = text(&signer, &intent, &one, Says::Approve);
    bring(&mut signer, &intent, &text, alice().asserts(&text)).unwrap();
    assert!(!is_pending(&signer, &ask));
    let mut edited = with_passkeys(one);
    edited
        .people
        .get_mut(&name("alice"))
        .unwrap()
        .passkeys
        .clear();
    (edited.hash, edited.sequence) = (strongroom_policy::BundleHash([2; 32]), 2);
    signer.activate(edited);
    assert!(is_pending(&signer, &ask));
}

#[test]
fn an_assertion_is_for_one_text_and_by_somebody_of_the_need() {
    let text = the_text();
    let other = text.replace("decision approve", "decision reject");
    assert_eq!(because(alice().asserts(&other)), AssertionError::Challenge);
    // Over the text itself, and over its hash in another spelling.
    let raw = alice().browser(&text).replace(
        &Assertion::challenge(&text),
        &hex::encode(Sha256::digest(&text)),
    );
    let raw = alice().made(&alice().device(), raw.as_bytes());
    assert_eq!(because(raw), AssertionError::Challenge);
    let stranger = Authenticator::es256(9, ORIGIN).asserts(&text);
    assert!(matches!(refused(stranger), StateError::NobodyCounts { .. }));
}

#[test]
fn an_assertion_on_another_intent_or_with_signatures_beside_it_counts_for_nothing() {
    let one = counting();
    let (mut signer, ask) = begun(&one);
    let intent = the_intent(&ask).intent.clone();
    let text = text(&signer, &intent, &one, Says::Approve);
    let mut other = intent.clone();
    other.id.id = "other".parse().unwrap();
    let made = assertion(alice().asserts(&text));
    let elsewhere = signer.state.deciding_by_passkey(&other.id, &text, &made);
    assert_eq!(elsewhere, Err(StateError::NotRegistered));
    let decided = signer
        .state
        .deciding_by_passkey(&intent.id, &text, &made)
        .unwrap();
    let signature = strongroom_policy::statement::sign(&text, Approval::NAMESPACE, &key("alice"));
    let mut both = decided.clone();
    both.signatures = signature.unwrap();
    let both = try_push(&mut signer, Entry::IntentDecided(Box::new(both)));
    assert_eq!(both, Err(StateError::Statement));
    let mut by_another = decided.clone();
    by_another.signed_by = [(name("bob"), bob().line())].into();
    let by_another = try_push(&mut signer, Entry::IntentDecided(Box::new(by_another)));
    assert_eq!(by_another, Err(StateError::Statement));
    let mut as_ssh = decided.clone();
    as_ssh.signed_by = [(name("alice"), line("alice"))].into();
    let as_ssh = try_push(&mut signer, Entry::IntentDecided(Box::new(as_ssh)));
    assert_eq!(as_ssh, Err(StateError::Statement));
    // The entry as it stands in the journal is read as it was written.
    let entry = Entry::IntentDecided(Box::new(decided));
    let json = serde_json::to_string(&entry).unwrap();
    assert_eq!(serde_json::from_str::<Entry>(&json).unwrap(), entry);
    try_push(&mut signer, entry).unwrap();
}

#[test]
fn somebody_was_there_and_showed_who_they_are() {
    let text = the_text();
    let with = |flags| because(Authenticator { flags, ..alice() }.asserts(&text));
    assert_eq!(with(0x04), AssertionError::NotPresent);
    assert_eq!(with(0x01), AssertionError::NotVerified);
    for flags in [0x45, 0x85, 0x07, 0x25, 0x15] {
        assert_eq!(with(flags), AssertionError::Flags { flags });
    }
    // A key that may be copied, and one that was, is one.
    for flags in [0x0d, 0x1d] {
        let one = counting();
        let (mut signer, ask) = begun(&one);
        let device = Authenticator { flags, ..alice() };
        let intent = the_intent(&ask).intent.clone();
        bring(&mut signer, &intent, &text, device.asserts(&text)).unwrap();
    }
}

#[test]
fn the_page_and_the_relying_party_are_those_of_the_bundle() {
    let text = the_text();
    for origin in [
        "https://approve.example.org",
        "https://approve.example.org:8444",
        "http://approve.example.org:8443",
        "https://walletd.example.org:8443",
        "https://approve.example.org:8443/",
        "https://approve.example.org:8443.evil.example",
        "null",
    ] {
        let device = Authenticator {
            origin: origin.into(),
            ..alice()
        };
        let made = device.asserts(&text);
        assert_eq!(because(made), AssertionError::Origin, "{origin}");
    }
    for rp_id in ["example.org", "walletd.example.org", ORIGIN, ""] {
        let device = Authenticator {
            rp_id: rp_id.into(),
            ..alice()
        };
        assert_eq!(because(device.asserts(&text)), AssertionError::RelyingParty);
    }
    for more in [
        ",\"crossOrigin\":true",
        ",\"topOrigin\":\"https://evil.example\"",
        ",\"crossOrigin\":false,\"topOrigin\":\"https://evil.example\"",
    ] {
        let device = Authenticator {
            more: more.into(),
            ..alice()
        };
        assert_eq!(because(device.asserts(&text)), AssertionError::CrossOrigin);
    }
}

#[test]
fn what_the_browser_says_is_one_json_object() {
    let text = the_text();
    let said = alice().browser(&text);
    let made = |browser: &str| alice().made(&alice().device(), browser.as_bytes());
    let challenge = Assertion::challenge(&text);
    for browser in [
        "",
        "null",
        "{}",
        &format!("[\"webauthn.get\",\"{challenge}\",\"{ORIGIN}\",false]"),
        &format!(" {said}"),
        &format!("\u{feff}{said}"),
        &format!("{said}{said}"),
        &format!("{said}\0"),
        &said.replace("\"webauthn.get\"", "7"),
        &said.replace("{\"type\"", "{\"type\":\"webauthn.get\",\"type\""),
        &said.replace(
            ",\"origin\"",
            ",\"origin\":\"https://evil.example\",\"origin\"",
        ),
        &said.replace(",\"crossOrigin\":false", ",\"crossOrigin\":null"),
        &said.replace(",\"crossOrigin\":false", ",\"crossOrigin\":0"),
        &said.replace(
            ",\"crossOrigin\":false",
            ",\"crossOrigin\":false,\"crossOrigin\":false",
        ),
    ] {
        let refused = because(made(browser));
        assert_eq!(refused, AssertionError::ClientData, "{browser}");
    }
    for other in ["webauthn.create", "payment.get", "Webauthn.get"] {
        let browser = said.replace("webauthn.get", other);
        assert_eq!(because(made(&browser)), AssertionError::Type);
    }
    // What a browser adds, and leaves out, changes nothing.
    for more in [
        "",
        ",\"crossOrigin\":false,\"other_keys_can_be_added_here\":\"do not compare\"",
    ] {
        let one = counting();
        let (mut signer, ask) = begun(&one);
        let device = Authenticator {
            more: more.into(),
            ..alice()
        };
        let intent = the_intent(&ask).intent.clone();
        bring(&mut signer, &intent, &text, device.asserts(&text)).unwrap();
    }
}

#[test]
fn nothing_stands_behind_and_every_part_has_one_spelling() {
    let text = the_text();
    let (device, browser) = (alice().device(), alice().browser(&text));
    for found in [0, 36, 38, 47] {
        let mut data = device.clone();
        data.resize(found, 0);
        let made = alice().made(&data, browser.as_bytes());
        assert_eq!(because(made), AssertionError::Length { found });
    }
    let good = alice().asserts(&text);
    let mut signature = p256_der(&good);
    signature.push(0);
    let behind = signature;
    // DER with a number that is longer than it need be.
    let mut longer = p256_der(&good);
    longer.splice(3..4, [longer[3] + 1, 0]);
    longer[1] += 1;
    for signature in [behind, longer] {
        let signature = encoded(&signature);
        let refused = refused(Made {
            signature,
            ..good.clone()
        });
        // The longest of all is refused for its length already.
        let too_long = AssertionError::Encoding { part: "signature" };
        assert!(
            matches!(&refused, StateError::NobodyCounts { .. })
                || refused == StateError::Assertion(too_long),
            "{refused}"
        );
    }
    let spelt = [
        |made: &mut Made| made.signature.push('='),
        |made: &mut Made| made.client_data = "{}".into(),
        |made: &mut Made| made.authenticator_data = "+/+/".into(),
        |made: &mut Made| made.client_data = "A".repeat(4_000),
    ];
    for spell in spelt {
        let mut made = good.clone();
        spell(&mut made);
        assert!(matches!(because(made), AssertionError::Encoding { .. }));
    }
}

fn p256_der(made: &Made) -> Vec<u8> {
    use base64ct::{Base64UrlUnpadded, Encoding as _};
    Base64UrlUnpadded::decode_vec(&made.signature).unwrap()
}

#[test]
fn lines_of_passkeys_have_one_spelling_and_hold_a_key() {
    for device in [alice(), bob()] {
        let line = device.line();
        assert_eq!(Passkey::parse(&line).unwrap().as_str(), line);
        let commented = format!("{line} alice's phone, the black one");
        assert_eq!(Passkey::parse(&commented).unwrap().as_str(), line);
    }
    let es256 = alice().line();
    let point = es256.strip_prefix("es256 ").unwrap();
    let off = encoded(&[&[2_u8][..], &[0xff; 32]].concat());
    let long = {
        let key = p256::ecdsa::SigningKey::from_slice(&[1; 32]).unwrap();
        encoded(key.verifying_key().to_encoded_point(false).as_bytes())
    };
    let weak = encoded(&[&[1_u8][..], &[0; 31]].concat());
    for (line, error) in [
        (String::new(), PasskeyError::Form),
        ("es256".into(), PasskeyError::Form),
        (format!(" {es256}"), PasskeyError::Algorithm),
        (format!("es256  {point}"), PasskeyError::Key),
        (format!("es256 {point}="), PasskeyError::Form),
        (
            format!("es256 {}", point.replacen('A', "+", 1)),
            PasskeyError::Form,
        ),
        (format!("{es256} {}", "x".repeat(300)), PasskeyError::Form),
        (format!("ES256 {point}"), PasskeyError::Algorithm),
        (format!("rs256 {point}"), PasskeyError::Algorithm),
        (format!("eddsa {point}"), PasskeyError::Key),
        (format!("es256 {off}"), PasskeyError::Key),
        (format!("es256 {long}"), PasskeyError::Key),
        (format!("eddsa {weak}"), PasskeyError::Key),
        ("es256 AA".into(), PasskeyError::Key),
    ] {
        assert_eq!(Passkey::parse(&line), Err(error), "{line}");
    }
    assert!(
        Passkey::parse(&line("alice")).is_err(),
        "an SSH key is none"
    );
}

#[test]
fn more_passkeys_are_wider_and_fewer_are_not() {
    let running = with_passkeys(counting());
    assert!(widenings(&running, &running).is_empty());
    let mut fewer = running.clone();
    fewer
        .people
        .get_mut(&name("alice"))
        .unwrap()
        .passkeys
        .clear();
    assert!(widenings(&running, &fewer).is_empty());
    assert!(!widenings(&fewer, &running).is_empty());
    let mut pageless = running.clone();
    pageless.approval_page = None;
    assert!(widenings(&running, &pageless).is_empty());
    assert!(!widenings(&pageless, &running).is_empty());
    let mut elsewhere = running.clone();
    elsewhere.approval_page = Some("https://walletd.example.org".parse().unwrap());
    assert!(!widenings(&running, &elsewhere).is_empty());
    let mut by_ssh = running.clone();
    by_ssh.requires[0].says.need.passkeys = Passkeys::Refused;
    assert!(widenings(&running, &by_ssh).is_empty());
    assert!(!widenings(&by_ssh, &running).is_empty());
}

#[test]
fn of_changed_assertions_none_counts() {
    let one = counting();
    let (signer, ask) = begun(&one);
    let intent = the_intent(&ask).intent.clone();
    let text = text(&signer, &intent, &one, Says::Approve);
    let good = alice().asserts(&text);
    let parts = [&good.authenticator_data, &good.client_data, &good.signature];
    let parts = parts.map(|part| {
        use base64ct::{Base64UrlUnpadded, Encoding as _};
        Base64UrlUnpadded::decode_vec(part).unwrap()
    });
    runner(512)
        .run(
            &(0..3_usize, any::<prop::sample::Index>(), 1..=255_u8),
            |(part, place, change)| {
                let mut parts = parts.clone();
                let place = place.index(parts[part].len());
                parts[part][place] ^= change;
                let [authenticator_data, client_data, signature] = parts.map(|part| encoded(&part));
                let changed = Assertion {
                    authenticator_data,
                    client_data,
                    signature,
                };
                let taken = signer
                    .state
                    .deciding_by_passkey(&intent.id, &text, &changed);
                prop_assert!(taken.is_err());
                Ok(())
            },
        )
        .unwrap();
}
