//! What a key on a token must be.

use super::{
    device::TestDevice,
    softhsm::{SoftHsm, in_own_process, spend},
};
use crate::{
    KeyAlgorithm, MemberId, PoolConfig,
    pool::CallError,
    protocol::{Failure, KeyAttribute},
    token,
};

/// A second reader's word on a generated key.
#[tokio::test]
async fn a_generated_key_is_what_opensc_says_it_is() {
    let softhsm = SoftHsm::with_token();
    let key = spend("hot");
    let (pool, _events, _child) = softhsm.pool(PoolConfig::default(), 1, &[&key]).await;
    let shown = softhsm.pkcs11_tool(&["--list-objects", "--type", "privkey"]);
    let text = String::from_utf8(shown.stdout).unwrap();
    assert!(text.contains("label:      strongroom:spend:hot"), "{text}");
    assert!(text.contains("Usage:      sign\n"), "{text}");
    let access = "Access:     sensitive, always sensitive, never extractable, local\n";
    assert!(text.contains(access), "{text}");
    assert!(text.contains("Allowed mechanisms: ECDSA\n"), "{text}");
    let again = pool.generate(&key, KeyAlgorithm::Secp256k1).await;
    assert_eq!(again.unwrap_err(), CallError::Failed(Failure::KeyExists));
    let absent = pool.find(MemberId::FIRST, &spend("absent")).await;
    assert_eq!(absent.unwrap_err(), CallError::Failed(Failure::KeyUnknown));
}

#[tokio::test]
async fn a_key_made_by_another_tool_is_refused() {
    let softhsm = SoftHsm::with_token();
    let label = ["--label", "strongroom:spend:foreign"];
    let make = ["--keypairgen", "--key-type", "EC:secp256k1"];
    softhsm.pkcs11_tool(&[&make[..], &label].concat());
    let (pool, _events, _child) = softhsm.pool(PoolConfig::default(), 1, &[]).await;
    let refused = pool
        .find(MemberId::FIRST, &spend("foreign"))
        .await
        .unwrap_err();
    assert!(
        matches!(
            refused,
            CallError::Failed(Failure::KeyRefused {
                attribute: KeyAttribute::Modifiable,
                ..
            })
        ),
        "{refused:?}"
    );
    // A second one of that label.
    softhsm.pkcs11_tool(&[&make[..], &label].concat());
    let (pool, _events, _child) = softhsm.pool(PoolConfig::default(), 1, &[]).await;
    let refused = pool
        .find(MemberId::FIRST, &spend("foreign"))
        .await
        .unwrap_err();
    assert_eq!(refused, CallError::Failed(Failure::KeyAmbiguous));
}

#[tokio::test]
async fn a_key_without_its_public_object_is_refused() {
    let softhsm = SoftHsm::with_token();
    let key = spend("hot");
    let (pool, _events, child) = softhsm.pool(PoolConfig::default(), 1, &[&key]).await;
    drop(pool);
    child.ended();
    let object = ["--type", "pubkey", "--label", "strongroom:spend:hot"];
    softhsm.pkcs11_tool(&[&["--delete-object"][..], &object].concat());
    let (pool, _events, _child) = softhsm.pool(PoolConfig::default(), 1, &[]).await;
    let refused = pool.find(MemberId::FIRST, &key).await.unwrap_err();
    assert_eq!(refused, CallError::Failed(Failure::PublicKeyUnreadable));
}

#[test]
fn every_wrong_attribute_is_refused_by_name() {
    let test = every_wrong_attribute_is_refused_by_name;
    let part = token::tests::every_wrong_attribute_is_refused_by_name;
    in_own_process(test, SoftHsm::with_token, part);
}

#[test]
fn an_imported_key_is_refused() {
    let part = token::tests::an_imported_key_is_refused;
    in_own_process(an_imported_key_is_refused, SoftHsm::with_token, part);
}

#[test]
fn the_device_signs_as_its_profile_says() {
    let test = the_device_signs_as_its_profile_says;
    let part = token::tests::the_device_signs_as_its_profile_says;
    in_own_process(test, SoftHsm::with_token, part);
}
