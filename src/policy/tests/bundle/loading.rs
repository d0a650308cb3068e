//! Who may put a bundle in force.

use std::{collections::BTreeSet, fmt::Write as _};

use strongroom_policy::{
    BundleHash, Policy, SignedIntent,
    bundle::{self, LoadError, MANIFEST, ManifestError, SIGNATURES, Trust, VerifiedBundle, load},
    intent_signed,
    statement::{self, Signatures, intent_text},
};
use tx::{Amount, Intent, Name, Time};

use super::fixture::{
    self, Files, POLICY, files, key, line, manifest, people, person, replaced, signed,
};

fn names(names: &[&str]) -> BTreeSet<Name> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

/// The fixture, signed by these.
fn bundle(signers: &[u8], sequence: u64, answers: u64) -> Files {
    let files = files(POLICY);
    let manifest = manifest(&files, "main", sequence, answers);
    let keys: Vec<_> = signers.iter().map(|number| key(*number)).collect();
    signed(files, &manifest, &keys.iter().collect::<Vec<_>>())
}

fn hash(files: &Files) -> BundleHash {
    bundle::Manifest::parse(&files[MANIFEST]).unwrap().hash()
}

fn genesis(files: &Files) -> Result<VerifiedBundle, LoadError> {
    load(files, Trust::Pinned(hash(files)))
}

fn running() -> Policy {
    genesis(&bundle(&[1, 2], 4, 3)).unwrap().into_policy()
}

#[test]
fn genesis_takes_a_pinned_hash_and_its_own_officers() {
    let files = bundle(&[1, 3], 1, 0);
    let loaded = genesis(&files).unwrap();
    assert_eq!(loaded.signed_by(), &names(&["ann", "cem"]));
    assert_eq!(loaded.warnings(), []);
    assert_eq!(loaded.policy().hash, hash(&files));
    assert_eq!(loaded.policy().fleet.as_str(), "main");
    let other = load(&files, Trust::Pinned(BundleHash([1; 32])));
    assert!(matches!(other, Err(LoadError::Hash { .. })));
    assert!(matches!(
        genesis(&bundle(&[1], 1, 0)),
        Err(LoadError::Quorum { needed: 2, .. })
    ));
}

#[test]
fn a_person_counts_once_however_often_they_sign() {
    let Err(LoadError::Quorum {
        signed_by,
        officers,
        ..
    }) = genesis(&bundle(&[1, 1, 1], 1, 0))
    else {
        panic!("one person is no two");
    };
    assert_eq!(signed_by, names(&["ann"]));
    assert_eq!(officers, names(&["ann", "ben", "cem"]));

    let two_keys = people().replace(
        &format!("{:?}", [line(1)]),
        &format!("{:?}", [line(1), line(9)]),
    );
    let mut files = files(POLICY);
    files.insert("people.toml".into(), two_keys.into());
    let manifest = manifest(&files, "main", 1, 0);
    let both = signed(files.clone(), &manifest, &[&key(1), &key(9)]);
    assert!(matches!(genesis(&both), Err(LoadError::Quorum { .. })));
    let with_ben = signed(files, &manifest, &[&key(9), &key(2)]);
    assert_eq!(
        genesis(&with_ben).unwrap().signed_by(),
        &names(&["ann", "ben"])
    );
}

#[test]
fn only_officers_count() {
    // Dan is a person and no officer; 7 is nobody.
    assert!(matches!(
        genesis(&bundle(&[1, 4, 7], 1, 0)),
        Err(LoadError::Quorum { .. })
    ));
    let loaded = genesis(&bundle(&[1, 4, 7, 2], 1, 0)).unwrap();
    assert_eq!(loaded.signed_by(), &names(&["ann", "ben"]));
}

#[test]
fn a_signature_counts_for_its_text_and_namespace_alone() {
    let files = files(POLICY);
    let this = manifest(&files, "main", 1, 0);
    let mut foreign = vec![
        manifest(&files, "test", 1, 0),
        manifest(&files, "main", 2, 0),
        manifest(&files, "main", 2, 1),
    ];
    let mut fewer = this.clone();
    fewer.files.clear();
    foreign.push(fewer);
    for other in foreign {
        let mut mixed = signed(files.clone(), &other, &[&key(2)]);
        let ann = bundle::sign(&this, &key(1)).unwrap();
        mixed.get_mut(SIGNATURES).unwrap().extend(ann.bytes());
        mixed.insert(MANIFEST.into(), this.to_string().into());
        assert!(
            matches!(genesis(&mixed), Err(LoadError::Quorum { .. })),
            "{other}"
        );
    }
    for namespace in [
        "strongroom-bundle-v2",
        "strongroom-intent-v1",
        "file",
        "strongroom-bundle-v1\n",
    ] {
        let mut mixed = signed(files.clone(), &this, &[&key(1)]);
        let ben = statement::sign(&this.to_string(), namespace, &key(2)).unwrap();
        mixed.get_mut(SIGNATURES).unwrap().extend(ben.bytes());
        assert!(
            matches!(genesis(&mixed), Err(LoadError::Quorum { .. })),
            "{namespace:?}"
        );
    }
}

#[test]
fn the_running_policy_says_who_may_replace_it() {
    let running = running();
    let replace = |files: &Files| load(files, Trust::Running(&running));
    let next = replace(&bundle(&[2, 3], 5, 4)).unwrap();
    assert_eq!(
        (next.policy().sequence, next.signed_by()),
        (5, &names(&["ben", "cem"]))
    );
    // A gap is a decision of those who sign.
    assert_eq!(
        replace(&bundle(&[1, 2], 9, 4)).unwrap().policy().sequence,
        9
    );

    assert!(matches!(
        replace(&bundle(&[1, 2], 4, 3)),
        Err(LoadError::Answers {
            running: 4,
            answers: 3
        })
    ));
    assert!(matches!(
        replace(&bundle(&[1, 2], 3, 2)),
        Err(LoadError::Answers { .. })
    ));
    assert!(matches!(
        replace(&bundle(&[1, 2], 6, 5)),
        Err(LoadError::Answers { .. })
    ));
    assert!(matches!(
        replace(&bundle(&[1], 5, 4)),
        Err(LoadError::Quorum { .. })
    ));

    let files = files(POLICY);
    let other_fleet = manifest(&files, "test", 5, 4);
    let other_fleet = signed(files, &other_fleet, &[&key(1), &key(2)]);
    assert!(matches!(
        replace(&other_fleet),
        Err(LoadError::Fleet { .. })
    ));
}

#[test]
fn officers_do_not_appoint_themselves() {
    let running = running();
    let governance = "[governance]\ndelay = \"0s\"\nthreshold = 1\nofficers = [\"eve\"]\n";
    let usurped = format!("{governance}{}", person("eve", &[&line(7)]));
    let mut files = files(POLICY);
    files.insert("people.toml".into(), usurped.into());
    let manifest = manifest(&files, "main", 5, 4);
    let own = signed(files.clone(), &manifest, &[&key(7)]);
    assert!(matches!(
        load(&own, Trust::Running(&running)),
        Err(LoadError::Quorum { needed: 2, .. })
    ));
    // Those who govern may hand over, and then the new one is read again by its hash alone.
    let handed_over = signed(files, &manifest, &[&key(1), &key(2)]);
    let next = load(&handed_over, Trust::Running(&running)).unwrap();
    assert_eq!(next.policy().governance.officers, names(&["eve"]));
    let again = load(&handed_over, Trust::Activated(manifest.hash())).unwrap();
    assert_eq!(again.policy().hash, next.policy().hash);
    assert!(again.signed_by().is_empty());
    assert!(matches!(
        genesis(&handed_over),
        Err(LoadError::Quorum { .. })
    ));
}

#[test]
fn files_and_policy_are_checked() {
    let without = |path: &str| {
        let mut files = bundle(&[1, 2], 1, 0);
        let hash = hash(&files);
        files.remove(path);
        load(&files, Trust::Pinned(hash)).unwrap_err()
    };
    assert!(matches!(
        without(MANIFEST),
        LoadError::NoFile { file: MANIFEST }
    ));
    assert!(matches!(
        without(SIGNATURES),
        LoadError::NoFile { file: SIGNATURES }
    ));
    assert!(matches!(
        without("people.toml"),
        LoadError::Manifest(ManifestError::Missing { .. })
    ));

    let wrong = fixture::files(&replaced(POLICY, "10 eth", "1e1 eth"));
    let manifest = manifest(&wrong, "main", 1, 0);
    let wrong = signed(wrong, &manifest, &[&key(1), &key(2)]);
    let Err(LoadError::Policy(found)) = genesis(&wrong) else {
        panic!("an amount has no exponent");
    };
    assert_eq!(found.len(), 1);
}

#[test]
fn a_signature_file_is_armour_and_nothing_else() {
    let good = bundle(&[1, 2], 1, 0);
    let text = String::from_utf8(good[SIGNATURES].clone()).unwrap();
    let with = |text: String| {
        let mut files = good.clone();
        files.insert(SIGNATURES.into(), text.into());
        genesis(&files)
    };
    assert!(with(format!("\n{text}\n\n")).is_ok());
    for bad in [
        format!("hello\n{text}"),
        format!("{text}hello"),
        text.replace("-----END SSH SIGNATURE-----\n-----BEGIN", "-----BEGIN"),
        text.trim_end().trim_end_matches('-').to_owned(),
        text.replace("U1NIU0lH", "U1NIU0lI"),
        text.repeat(33),
        "x".repeat(Signatures::BYTES_MAX + 1),
    ] {
        assert!(
            matches!(with(bad.clone()), Err(LoadError::Signatures(_))),
            "{bad}"
        );
    }
    assert!(matches!(with(String::new()), Err(LoadError::Quorum { .. })));
}

fn intent() -> Intent {
    let asset: tx::Asset = "eip155:1/native".parse().unwrap();
    Intent {
        id: serde_json::from_str(r#"{"source":"payouts","id":"w-1"}"#).unwrap(),
        destination: tx::Address::parse(asset.chain, "0x70997970C51812dc3A010C7d01b50e0d17dc79C8")
            .unwrap(),
        epoch: 1,
        asset,
        amount: Amount::from(7u64),
        tag: None,
        max_fee: Amount::from(9u64),
        expires: Time::from_millis(1_800_000_000_000),
    }
}

fn sign_intent(fleet: &str, intent: &Intent, number: u8) -> SignedIntent {
    let text = intent_text(&fleet.parse().unwrap(), intent);
    let signature = statement::sign(&text, "strongroom-intent-v1", &key(number)).unwrap();
    SignedIntent {
        intent: intent.clone(),
        signatures: vec![signature],
    }
}

#[test]
fn an_intents_text_is_for_ever() {
    let text = intent_text(&"main".parse().unwrap(), &intent());
    let mut expected = "strongroom-intent-v1\nfleet main\n".to_owned();
    writeln!(expected, "answers intent {}", intent().payload()).unwrap();
    expected.push_str(
        "source payouts\nid w-1\nepoch 1\nasset eip155:1/native\namount 7\n\
         destination 0x70997970C51812dc3A010C7d01b50e0d17dc79C8\nno tag\nmax-fee 9\n\
         expires 2027-01-15T08:00:00Z\n",
    );
    assert_eq!(text, expected);
}

#[test]
fn intents_of_a_source_with_signers_are_signed() {
    let unsigned = SignedIntent {
        intent: intent(),
        signatures: Vec::new(),
    };
    assert!(
        intent_signed(&running(), &unsigned),
        "a source without signers signs nothing"
    );

    let signers = format!(
        "clients = [\"walletd\"]\nsigners = {:?}",
        [line(20), line(21)]
    );
    let text = replaced(POLICY, "clients = [\"walletd\"]", &signers);
    let files = files(&text);
    let policy = bundle::parse(&files)
        .unwrap()
        .under(&manifest(&files, "main", 1, 0));
    assert!(!intent_signed(&policy, &unsigned));
    for number in [20, 21] {
        assert!(intent_signed(
            &policy,
            &sign_intent("main", &intent(), number)
        ));
    }
    // An officer is no signer of intents, and another fleet's signature is none of this one's.
    assert!(!intent_signed(&policy, &sign_intent("main", &intent(), 1)));
    assert!(!intent_signed(&policy, &sign_intent("test", &intent(), 20)));
    let mut changed = sign_intent("main", &intent(), 20);
    changed.intent.amount = Amount::from(8u64);
    assert!(!intent_signed(&policy, &changed));
    let mut garbled = sign_intent("main", &intent(), 20);
    garbled.signatures.push("garbage".into());
    assert!(!intent_signed(&policy, &garbled));
    let mut unknown = sign_intent("main", &intent(), 20);
    unknown.intent.id = serde_json::from_str(r#"{"source":"other","id":"w-1"}"#).unwrap();
    assert!(!intent_signed(&policy, &unknown));
}
