//! Keys with one wrong attribute each, made on a real token. Run in processes of their own: see
//! `tests::softhsm`.

use cryptoki::{
    mechanism::{Mechanism, MechanismType},
    object::{Attribute, ObjectClass},
};

use super::{point::Curve, *};
use crate::{
    key::{KeyAlgorithm, KeyId},
    protocol::{Found, KeyAttribute, Pin},
    tests::softhsm,
};

fn open() -> (Token, Session) {
    let profile = softhsm::profile().essentials().unwrap();
    let module = load(Path::new(softhsm::MODULE)).unwrap();
    let token = Token::select(module, &softhsm::selector(), profile).unwrap();
    let session = token.open(Access::ReadWrite).unwrap();
    let login = Login::new(&Pin::new(softhsm::PIN).unwrap());
    assert_eq!(login.ensure(&session), Ok(LoggedIn::Anew));
    assert_eq!(login.ensure(&session), Ok(LoggedIn::Already));
    (token, session)
}

fn templates(token: &Token, key: &KeyId) -> (Vec<Attribute>, Vec<Attribute>) {
    let curve = Curve::Secp256k1;
    let mut public = find::labelled(ObjectClass::PUBLIC_KEY, key);
    public.extend(attributes::public_template(curve, token.profile()));
    let mut private = find::labelled(ObjectClass::PRIVATE_KEY, key);
    private.extend(attributes::private_template(curve, token.profile()));
    (public, private)
}

/// Makes a key whose private template has `wrong` in the place of what stands there.
fn refusal_of(token: &Token, session: &Session, wrong: Attribute) -> Failure {
    let key = softhsm::spend("wrong");
    let (public, mut private) = templates(token, &key);
    let kind = wrong.attribute_type();
    let place = private.iter_mut().find(|a| a.attribute_type() == kind);
    *place.unwrap() = wrong;
    session
        .generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private)
        .unwrap();
    let refusal = find(session, &key, token.profile()).unwrap_err();
    destroy(session, &key, token.profile()).unwrap();
    refusal
}

/// One key for each attribute that a template can get wrong.
pub(crate) fn every_wrong_attribute_is_refused_by_name() {
    let (token, session) = open();
    let cases = [
        (
            Attribute::Private(false),
            KeyAttribute::Private,
            Found::False,
        ),
        (
            Attribute::Sensitive(false),
            KeyAttribute::Sensitive,
            Found::False,
        ),
        (
            Attribute::Extractable(true),
            KeyAttribute::Extractable,
            Found::True,
        ),
        (
            Attribute::Modifiable(true),
            KeyAttribute::Modifiable,
            Found::True,
        ),
        (
            Attribute::Copyable(true),
            KeyAttribute::Copyable,
            Found::True,
        ),
        (Attribute::Sign(false), KeyAttribute::Sign, Found::False),
        (
            Attribute::SignRecover(true),
            KeyAttribute::SignRecover,
            Found::True,
        ),
        (Attribute::Decrypt(true), KeyAttribute::Decrypt, Found::True),
        (Attribute::Unwrap(true), KeyAttribute::Unwrap, Found::True),
        (Attribute::Derive(true), KeyAttribute::Derive, Found::True),
        (
            Attribute::AlwaysAuthenticate(true),
            KeyAttribute::AlwaysAuthenticate,
            Found::True,
        ),
        (
            Attribute::AllowedMechanisms(vec![MechanismType::ECDSA, MechanismType::ECDH1_DERIVE]),
            KeyAttribute::AllowedMechanisms,
            Found::Other,
        ),
    ];
    for (wrong, attribute, found) in cases {
        assert_eq!(
            refusal_of(&token, &session, wrong),
            Failure::KeyRefused { attribute, found }
        );
    }
    drop(session);
    token.finalize().unwrap();
}

/// A key that was made outside and imported (`C_CreateObject`).
pub(crate) fn an_imported_key_is_refused() {
    let (token, session) = open();
    let key = softhsm::spend("imported");
    let (_, mut private) = templates(&token, &key);
    let params = point::params(Curve::Secp256k1, token.profile().edwards_params);
    private.push(Attribute::EcParams(params.to_vec()));
    private.push(Attribute::Value(vec![7; 32]));
    session.create_object(&private).unwrap();
    assert!(matches!(
        find(&session, &key, token.profile()),
        Err(Failure::KeyRefused {
            attribute: KeyAttribute::AlwaysSensitive
                | KeyAttribute::NeverExtractable
                | KeyAttribute::Local,
            found: Found::False,
        })
    ));
    drop(session);
    token.finalize().unwrap();
}

/// Half of the raw signatures have a high s, and a long digest is cut.
pub(crate) fn the_device_signs_as_its_profile_says() {
    let (token, session) = open();
    let key = generate(
        &session,
        &softhsm::spend("raw"),
        KeyAlgorithm::Secp256k1,
        token.profile(),
    )
    .unwrap();
    let mut high = 0;
    for call in 0..200 {
        let input = crate::protocol::SignInput::Digest(softhsm::digest(call));
        let raw = sign(&session, &key, &input).unwrap();
        let signature = k256::ecdsa::Signature::from_slice(raw.as_bytes()).unwrap();
        high += u32::from(signature.normalize_s().is_some());
        let value = crate::verify::check(&key.description.public, &input, raw.as_bytes());
        let crate::verify::SignatureValue::Ecdsa(value) = value.unwrap() else {
            panic!("another algorithm");
        };
        let low = k256::ecdsa::Signature::from_scalars(value.r, value.s).unwrap();
        assert_eq!(low.normalize_s(), None, "s is low");
    }
    let longer = [&softhsm::digest(1)[..], &[7; 16]].concat();
    let cut = session.sign(&Mechanism::Ecdsa, key.handle, &longer);
    let input = crate::protocol::SignInput::Digest(softhsm::digest(1));
    crate::verify::check(&key.description.public, &input, &cut.unwrap())
        .expect("a longer digest is cut without a word");
    // 200 coins: outside of this once in 10^11 runs.
    assert!((53..=147).contains(&high), "{high} of 200");
    drop(session);
    token.finalize().unwrap();
}
