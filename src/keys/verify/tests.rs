//! libsecp256k1 against k256, and everything a bad device could answer.

use k256::ecdsa::{
    RecoveryId as K256RecoveryId, Signature as K256Signature, SigningKey, VerifyingKey,
    signature::hazmat::{PrehashSigner, PrehashVerifier},
};
use proptest::prelude::*;

use super::*;
use crate::key::KeyPurpose;

/// The order of secp256k1 (SEC 2), big-endian.
const ORDER: &str = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";

fn order() -> [u8; 32] {
    let mut order = [0; 32];
    hex::decode_to_slice(ORDER, &mut order).unwrap();
    order
}

fn key(seed: u8) -> (SigningKey, [u8; 33]) {
    let secret = SigningKey::from_slice(&[seed; 32]).unwrap();
    let public = secret.verifying_key().to_encoded_point(true);
    let public = public.as_bytes().try_into().unwrap();
    (secret, public)
}

/// n − s, by schoolbook subtraction.
fn negate(s: &[u8; 32]) -> [u8; 32] {
    let mut negated = [0; 32];
    let mut borrow = 0i16;
    for i in (0..32).rev() {
        let digit = i16::from(order()[i]) - i16::from(s[i]) - borrow;
        borrow = i16::from(digit < 0);
        negated[i] = u8::try_from(digit.rem_euclid(256)).unwrap();
    }
    negated
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// What k256 signs, with low and with high s, comes out as k256 has it, recovery id included.
    #[test]
    fn agrees_with_k256(seed in 1..=255u8, digest: [u8; 32]) {
        let (secret, public) = key(seed % 127 + 1);
        let (signature, id): (K256Signature, K256RecoveryId) =
            secret.sign_prehash_recoverable(&digest).unwrap();
        let raw: [u8; 64] = signature.to_bytes().into();
        let (r, s) = halves(&raw);
        let high = [r, negate(&s)].concat();
        for raw in [&raw[..], &high] {
            let checked = check_ecdsa(&public, &digest, raw).unwrap();
            prop_assert_eq!((checked.r, checked.s), (r, s));
            prop_assert_eq!(checked.recovery_id, id.to_byte());
            let recovered = VerifyingKey::recover_from_prehash(
                &digest,
                &K256Signature::from_scalars(checked.r, checked.s).unwrap(),
                K256RecoveryId::from_byte(checked.recovery_id).unwrap(),
            );
            prop_assert_eq!(&recovered.unwrap(), secret.verifying_key());
        }
    }

    /// No other 64 bytes pass: k256 and this module agree on every mutation.
    #[test]
    fn refuses_every_mutation(digest: [u8; 32], place in 0..64usize, flip in 1..=255u8) {
        let (secret, public) = key(9);
        let signature: K256Signature = secret.sign_prehash(&digest).unwrap();
        let mut raw: [u8; 64] = signature.to_bytes().into();
        raw[place] ^= flip;
        let second = K256Signature::from_slice(&raw)
            .is_ok_and(|s| secret.verifying_key().verify_prehash(&digest, &s).is_ok());
        prop_assert!(!second);
        prop_assert!(check_ecdsa(&public, &digest, &raw).is_err());
    }
}

#[test]
fn refuses_another_key_and_another_digest() {
    let (secret, public) = key(1);
    let (_, other) = key(2);
    let signature: K256Signature = secret.sign_prehash(&[7; 32]).unwrap();
    let raw: [u8; 64] = signature.to_bytes().into();
    assert!(check_ecdsa(&public, &[7; 32], &raw).is_ok());
    for (key, digest) in [(other, [7; 32]), (public, [8; 32])] {
        let error = check_ecdsa(&key, &digest, &raw).unwrap_err();
        assert_eq!(error, SignatureError::NotByThisKey);
    }
}

#[test]
fn refuses_wrong_lengths_and_ranges() {
    let (secret, public) = key(1);
    let signature: K256Signature = secret.sign_prehash(&[7; 32]).unwrap();
    let raw: [u8; 64] = signature.to_bytes().into();
    let (r, s) = halves(&raw);
    for length in [0, 63, 65, 70, 72] {
        let error = check_ecdsa(&public, &[7; 32], &vec![1; length]).unwrap_err();
        assert_eq!(error, SignatureError::Length { length });
    }
    let zero = [0; 32];
    let above = [0xff; 32];
    for (r, s) in [
        (zero, s),
        (r, zero),
        (zero, zero),
        (order(), s),
        (r, order()),
        (above, s),
        (r, above),
    ] {
        let error = check_ecdsa(&public, &[7; 32], &[r, s].concat()).unwrap_err();
        assert_eq!(error, SignatureError::OutOfRange);
    }
}

/// What a prepared key confirms, and to which recovery id.
fn confirmed(key: &[u8; 33], digest: &[u8; 32], raw: &[u8; 64]) -> Option<u8> {
    let (r, s) = halves(raw);
    Prepared::of(key).unwrap().recovery_id(digest, &r, &s)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// A prepared key confirms exactly what recovering finds, to the same id.
    #[test]
    fn a_prepared_key_confirms_as_recovering_does(seed in 1..=127u8, digests: [[u8; 32]; 16]) {
        let (secret, public) = key(seed);
        let prepared = Prepared::of(&public).unwrap();
        for digest in digests {
            let signature: K256Signature = secret.sign_prehash(&digest).unwrap();
            let raw: [u8; 64] = signature.to_bytes().into();
            let (r, s) = halves(&raw);
            for s in [s, negate(&s)] {
                let signed = prepared.recovery_id(&digest, &r, &s);
                let raw: [u8; 64] = [r, s].concat().try_into().unwrap();
                prop_assert!(signed.is_some());
                prop_assert_eq!(signed, recovery_id(&public, &digest, &raw));
            }
        }
    }

    /// It confirms no mutation, nor the signature of another digest, nor by another key.
    #[test]
    fn a_prepared_key_confirms_nothing_else(
        digest: [u8; 32], other: [u8; 32], place in 0..64usize, flip in 1..=255u8,
    ) {
        let (secret, public) = key(9);
        let prepared = Prepared::of(&public).unwrap();
        let signature: K256Signature = secret.sign_prehash(&digest).unwrap();
        let mut raw: [u8; 64] = signature.to_bytes().into();
        let (r, s) = halves(&raw);
        prop_assume!(other != digest);
        prop_assert_eq!(prepared.recovery_id(&other, &r, &s), None);
        prop_assert_eq!(prepared.recovery_id(&digest, &s, &r), None);
        prop_assert_eq!(confirmed(&key(10).1, &digest, &raw), None);
        raw[place] ^= flip;
        let (r, s) = halves(&raw);
        prop_assert_eq!(prepared.recovery_id(&digest, &r, &s), None);
        prop_assert!(check_ecdsa_with(Some(&prepared), &public, &digest, &raw).is_err());
    }
}

/// Digests at and above the order count modulo the order, and 0 leaves out the generator.
#[test]
fn a_prepared_key_confirms_digests_at_the_edges() {
    let (secret, public) = key(5);
    let prepared = Prepared::of(&public).unwrap();
    let mut one = [0; 32];
    one[31] = 1;
    let mut above = order();
    above[31] += 1;
    for digest in [[0; 32], one, order(), above, [0xff; 32]] {
        let signature: K256Signature = secret.sign_prehash(&digest).unwrap();
        let raw: [u8; 64] = signature.to_bytes().into();
        let checked = check_ecdsa(&public, &digest, &raw).unwrap();
        let (r, s) = (checked.r, checked.s);
        assert_eq!(
            prepared.recovery_id(&digest, &r, &s),
            Some(checked.recovery_id)
        );
    }
}

/// Each place and each digit of both scalars, one at a time: `s` is chosen so that one is as wanted.
#[test]
fn every_multiple_is_the_right_one() {
    use k256::{
        ProjectivePoint, Scalar,
        elliptic_curve::{Field, PrimeField, sec1::ToEncodedPoint},
    };
    let (secret, public) = key(6);
    let prepared = Prepared::of(&public).unwrap();
    let point = ProjectivePoint::from(*secret.verifying_key().as_affine());
    let confirm = |generator: Scalar, key: Scalar| {
        // R = generator·G + key·Q; then r = R.x, s = r/key, z = generator·s.
        let nonce = (ProjectivePoint::GENERATOR * generator + point * key).to_affine();
        let encoded = nonce.to_encoded_point(true);
        let r: [u8; 32] = encoded.as_bytes()[1..].try_into().unwrap();
        let s = Scalar::from_repr(r.into()).unwrap() * key.invert().unwrap();
        let digest = (generator * s).to_repr().into();
        let s: [u8; 32] = s.to_repr().into();
        let parity = encoded.as_bytes()[0] - 2;
        assert_eq!(prepared.recovery_id(&digest, &r, &s), Some(parity));
    };
    let two = Scalar::from(2u64);
    let digit = |n: u64, bit: u64| Scalar::from(n) * two.pow_vartime([bit]);
    for bit in (0..256).step_by(8) {
        for n in (1..256).step_by(if bit % 64 == 0 { 1 } else { 37 }) {
            confirm(digit(n, bit), Scalar::ONE);
        }
    }
    for bit in (0..256).step_by(5) {
        for n in 1..if bit == 255 { 2 } else { 32 } {
            confirm(Scalar::ZERO, digit(n, bit));
        }
    }
    for (generator, key) in [(Scalar::ZERO, Scalar::ONE), (-Scalar::ONE, -Scalar::ONE)] {
        confirm(generator, key);
    }
}

/// `R.x` above the order: recovery id 2 or 3, which no signature of ours may have, and `R` at infinity.
#[test]
fn a_prepared_key_does_not_confirm_what_has_no_id() {
    use k256::{
        ProjectivePoint, Scalar,
        elliptic_curve::{PrimeField, sec1::FromEncodedPoint},
    };
    // The first x above the order that is a point's: r = x − n is a small number.
    let (small, nonce) = (1u8..=255)
        .find_map(|small| {
            let mut x = order();
            let sum = x[31] as u16 + small as u16;
            x[31] = u8::try_from(sum & 0xff).unwrap();
            x[30] += u8::try_from(sum >> 8).unwrap();
            let encoded = [[2].as_slice(), &x].concat();
            let encoded = k256::EncodedPoint::from_bytes(encoded).unwrap();
            let point = k256::AffinePoint::from_encoded_point(&encoded);
            Option::<k256::AffinePoint>::from(point).map(|point| (small, point))
        })
        .unwrap();
    let mut r = [0; 32];
    r[31] = small;
    // With s = 1 and digest z: Q = (R − z·G)/r verifies it.
    let scalar = Scalar::from_repr(r.into()).unwrap();
    let digest: [u8; 32] = Scalar::from(7u64).to_repr().into();
    let key = ProjectivePoint::from(nonce) - ProjectivePoint::GENERATOR * Scalar::from(7u64);
    let key = VerifyingKey::from_affine((key * scalar.invert().unwrap()).to_affine()).unwrap();
    let mut s = [0; 32];
    s[31] = 1;
    let signature = K256Signature::from_scalars(r, s).unwrap();
    key.verify_prehash(&digest, &signature).unwrap();
    let public: [u8; 33] = key.to_encoded_point(true).as_bytes().try_into().unwrap();
    let raw: [u8; 64] = [r, s].concat().try_into().unwrap();
    assert_eq!(confirmed(&public, &digest, &raw), None);
    let prepared = Prepared::of(&public).unwrap();
    for prepared in [None, Some(&prepared)] {
        let error = check_ecdsa_with(prepared, &public, &digest, &raw).unwrap_err();
        assert_eq!(error, SignatureError::NotByThisKey);
    }
    // z = −r·d and any s: R is at infinity.
    let (secret, public) = self::key(3);
    let r = [1; 32];
    let d = *secret.as_nonzero_scalar().as_ref();
    let digest: [u8; 32] = (-(Scalar::from_repr(r.into()).unwrap() * d))
        .to_repr()
        .into();
    assert_eq!(confirmed(&public, &digest, &[1; 64]), None);
    let prepared = Prepared::of(&public).unwrap();
    let error = check_ecdsa_with(Some(&prepared), &public, &digest, &[1; 64]).unwrap_err();
    assert_eq!(error, SignatureError::NotByThisKey);
}

/// RFC 6979's well-known vector for secp256k1: key 1, SHA-256 of "Satoshi Nakamoto".
#[test]
fn satoshi_nakamoto_vector() {
    use sha2::{Digest, Sha256};
    let mut secret = [0; 32];
    secret[31] = 1;
    let secret = SigningKey::from_slice(&secret).unwrap();
    let public = secret.verifying_key().to_encoded_point(true);
    let public = public.as_bytes().try_into().unwrap();
    let digest = Sha256::digest(b"Satoshi Nakamoto").into();
    let raw = hex::decode(concat!(
        "934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d8",
        "2442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5",
    ))
    .unwrap();
    let checked = check_ecdsa(&public, &digest, &raw).unwrap();
    assert_eq!([checked.r, checked.s].concat(), raw);
}

/// RFC 8032 §7.1, test 2.
#[test]
fn rfc8032_test_2_vector() {
    let mut key = [0; 32];
    hex::decode_to_slice(
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        &mut key,
    )
    .unwrap();
    let mut raw = hex::decode(concat!(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da",
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ))
    .unwrap();
    assert!(check_ed25519(&key, &[0x72], &raw).is_ok());
    assert!(check_ed25519(&key, &[0x73], &raw).is_err());
    raw[0] ^= 1;
    assert!(check_ed25519(&key, &[0x72], &raw).is_err());
    assert!(check_ed25519(&key, &[0x72], &raw[..63]).is_err());
}

/// The first two of BIP-340's test vectors, and what else a device could answer.
#[test]
fn bip_340_vectors() {
    let bytes = |text: &str| hex::decode(text).unwrap();
    let vectors = [
        (
            "f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9",
            "0000000000000000000000000000000000000000000000000000000000000000",
            "e907831f80848d1069a5371b402410364bdf1c5f8307b0084c55f1ce2dca821525f66a4a85ea8b71e482a74f382d2ce5\
             ebeee8fdb2172f477df4900d310536c0",
        ),
        (
            "dff1d77f2a671c5f36183726db2341be58feae1da2deced843240f7b502ba659",
            "243f6a8885a308d313198a2e03707344a4093822299f31d0082efa98ec4e6c89",
            "6896bd60eeae296db48a229ff71dfe071bde413e6d43f917dc8dcf8c78de33418906d11ac976abccb20b091292bff4ea\
             897efcb639ea871cfa95f6de339e4b0a",
        ),
    ];
    for (key, message, signature) in vectors {
        let public = PublicKey::new(KeyAlgorithm::Bip340, &bytes(key)).unwrap();
        let mut other: [u8; 32] = bytes(message).try_into().unwrap();
        let input = SignInput::Bip340(other);
        let raw = bytes(signature);
        let SignatureValue::Bip340(value) = check(&public, &input, &raw).unwrap() else {
            panic!("another algorithm");
        };
        assert_eq!([value.r, value.s].concat(), raw);
        for bit in 0..512 {
            let mut changed = raw.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let refused = check(&public, &input, &changed);
            assert_eq!(refused, Err(SignatureError::NotByThisKey), "bit {bit}");
        }
        other[31] ^= 1;
        let refused = check(&public, &SignInput::Bip340(other), &raw);
        assert_eq!(refused, Err(SignatureError::NotByThisKey));
        let length = 65;
        let long = [raw.as_slice(), &[1]].concat();
        let refused = check(&public, &SignInput::Bip340(other), &long);
        assert_eq!(refused, Err(SignatureError::Length { length }));
        let refused = check(&public, &SignInput::Digest(other), &raw);
        let algorithm = KeyAlgorithm::Bip340;
        assert_eq!(refused, Err(SignatureError::Algorithm { algorithm }));
    }
}

#[test]
fn an_input_of_another_algorithm_is_refused() {
    let (_, public) = key(1);
    let message = SignInput::Message(crate::protocol::Bytes::new(&[1]).unwrap());
    assert_eq!(
        check(&PublicKey::Secp256k1(public), &message, &[1; 64]),
        Err(SignatureError::Algorithm {
            algorithm: KeyAlgorithm::Secp256k1
        })
    );
}

#[test]
fn a_signature_names_its_call_and_key() {
    let key = KeyId {
        purpose: KeyPurpose::Spend,
        name: "a".parse().unwrap(),
    };
    let value = SignatureValue::Ed25519([0; 64]);
    let signature = Signature {
        call: 3,
        key: key.clone(),
        value,
    };
    assert_eq!((signature.call(), signature.key()), (3, &key));
    assert_eq!(signature.ecdsa(), None);
}
