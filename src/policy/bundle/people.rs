//! People, governance, clients and sources: who may say and ask what.

use std::collections::{BTreeMap, BTreeSet};

use tx::Name;

use super::{
    draft::Draft,
    groups,
    names::Taken,
    table::{Table, Value},
    units,
};
use crate::{
    Client, ClientIdentity, Governance, Need, Passkeys, Person, Policy, Rejection, Source, Verb,
    passkey::Passkey, statement::PublicKeyLine,
};

/// The most passkeys of a person: each is tried when an assertion comes.
const PASSKEYS_MAX: usize = 16;

/// Reads `[[person]]`.
pub(super) fn people(tables: Vec<Table<'_>>, draft: &mut Draft) {
    let (mut taken, mut owners) = (Taken::default(), BTreeMap::new());
    for mut table in tables {
        let name = table.new_name(&mut taken);
        let (keys, passkeys) = keys_of(&mut table, draft);
        // Also where a part was wrong and reported: what names the person is not wrong for it.
        if let Some(name) = name {
            let materials = keys.iter().filter_map(PublicKeyLine::material);
            let materials = materials.chain(passkeys.iter().filter_map(Passkey::material));
            for key in materials {
                let owner = owners.insert(key, name.clone());
                // One key for two people would let one of them be counted as two.
                if let Some(owner) = owner.filter(|owner| *owner != name) {
                    table.error(format!("has a key of {:?}", owner.as_str()));
                }
            }
            let keys = keys.into_iter().map(PublicKeyLine::into_string).collect();
            let person = Person { keys, passkeys };
            draft.policy.people.insert(name, person);
        }
        table.finish();
    }
}

/// The keys of a person, of which there is one at the least.
fn keys_of(table: &mut Table<'_>, draft: &Draft) -> (BTreeSet<PublicKeyLine>, BTreeSet<Passkey>) {
    let (keys, passkeys) = (table.optional("keys"), table.optional("passkeys"));
    if keys.is_none() && passkeys.is_none() {
        table.error("needs keys or passkeys, by which their word is known");
    }
    if let Some(value) = &passkeys
        && draft.policy.approval_page.is_none()
    {
        value.error_hint(
            "no [approval_page] says where they are used",
            "add [approval_page] with its origin",
        );
    }
    let keys = keys.map(|keys| public_keys(&keys));
    let passkeys = passkeys.map(|value| {
        let passkeys = value.each(|one| one.map(Passkey::parse));
        if passkeys.len() > PASSKEYS_MAX {
            value.error(format!("there can be {PASSKEYS_MAX} at the most"));
        }
        passkeys
    });
    (keys.unwrap_or_default(), passkeys.unwrap_or_default())
}

/// Reads `[approval_page]`.
pub(super) fn approval_page(mut table: Table<'_>, draft: &mut Draft) {
    let origin = table.required("origin");
    draft.policy.approval_page = origin.and_then(|origin| origin.parsed());
    table.finish();
}

/// Public keys, each once: what one line asks of a key's signatures, another would not.
pub(super) fn public_keys(value: &Value<'_>) -> BTreeSet<PublicKeyLine> {
    let lines = value.each(|one| one.map(PublicKeyLine::parse));
    let keys: BTreeSet<&str> = lines.iter().map(PublicKeyLine::key).collect();
    if keys.len() < lines.len() {
        value.error("has a key with verify-required and without it");
    }
    lines
}

/// Reads `[governance]`.
pub(super) fn governance(mut table: Table<'_>, draft: &mut Draft) {
    let delay = table.optional("delay");
    if delay.is_none() {
        table.warn("has no delay: a bundle that allows more governs as soon as it is signed");
    }
    let delay_millis = delay.map_or(Some(0), |delay| delay.map(units::delay));
    let unfreeze_delay = table.optional("unfreeze_delay");
    let unfreeze_delay_millis = unfreeze_delay.and_then(|delay| delay.map(units::delay));
    if let Some((threshold, officers)) = quorum(&mut table, "officers", &draft.policy) {
        for officer in only_passkeys(&officers, &draft.policy) {
            table.error(format!(
                "officers: {:?} has passkeys alone, which sign no bundle",
                officer.as_str()
            ));
        }
        draft.policy.governance = Governance {
            threshold,
            officers,
            delay_millis: delay_millis.unwrap_or_default(),
            unfreeze_delay_millis: unfreeze_delay_millis.unwrap_or_default(),
        };
    }
    table.finish();
}

/// Reads `{ threshold = 2, people = ["ann", "bob"] }`, and where they stand `delay`, `valid`,
/// `rejection` and `passkeys`.
pub(super) fn need(value: &Value<'_>, policy: &Policy) -> Option<Need> {
    let mut table = value.table()?;
    let quorum = quorum(&mut table, "people", policy);
    let delay_millis = table.optional("delay").map(|delay| delay.map(units::delay));
    let valid_millis = table.optional("valid").map(|valid| valid.map(units::valid));
    let rejection: Option<Option<Rejection>> = table
        .optional("rejection")
        .map(|rejection| rejection.word());
    let passkeys = table.optional("passkeys");
    let passkeys = match &passkeys {
        None => Passkeys::Refused,
        Some(passkeys) => passkeys.word()?,
    };
    table.finish();
    let (threshold, people) = quorum?;
    can_be_met(value, policy, (threshold, &people), passkeys);
    let said = Need::of(threshold, people);
    Some(Need {
        delay_millis: delay_millis.unwrap_or(Some(said.delay_millis))?,
        valid_millis: valid_millis.unwrap_or(Some(said.valid_millis))?,
        rejection: rejection.unwrap_or(Some(said.rejection))?,
        passkeys,
        ..said
    })
}

/// Whether there are as many people as are needed whose keys count.
fn can_be_met(
    value: &Value<'_>,
    policy: &Policy,
    (threshold, people): (u32, &BTreeSet<Name>),
    passkeys: Passkeys,
) {
    if passkeys == Passkeys::Count {
        if policy.approval_page.is_none() {
            value.error("passkeys count, and no [approval_page] says where they are used");
        } else if !people.iter().any(|name| has_passkey(name, policy)) {
            value.warn("passkeys count, and none of its people has one");
        }
        return;
    }
    let without = only_passkeys(people, policy).count();
    let with = people.len().saturating_sub(without);
    let too_few = usize::try_from(threshold).is_ok_and(|wanted| wanted > with);
    if too_few && without > 0 {
        value.error_hint(
            format!("can never be met: {with} of its people have keys, the others passkeys alone"),
            "add passkeys = \"count\", or people who have keys",
        );
    }
}

fn has_passkey(name: &Name, policy: &Policy) -> bool {
    let person = policy.people.get(name);
    person.is_some_and(|one| !one.passkeys.is_empty())
}

/// Reports those of these people who have passkeys alone, which sign no such statement.
pub(super) fn have_keys(table: &Table<'_>, key: &str, people: &BTreeSet<Name>, policy: &Policy) {
    for one in only_passkeys(people, policy) {
        table.error(format!(
            "{key}: {:?} has passkeys alone, which sign nothing but approvals",
            one.as_str()
        ));
    }
}

/// Those who have passkeys and no key that signs anything else.
fn only_passkeys<'n>(
    people: &'n BTreeSet<Name>,
    policy: &'n Policy,
) -> impl Iterator<Item = &'n Name> {
    people.iter().filter(|name| {
        let person = policy.people.get(name);
        person.is_some_and(|one| one.keys.is_empty() && !one.passkeys.is_empty())
    })
}

pub(super) fn quorum(
    table: &mut Table<'_>,
    key: &'static str,
    policy: &Policy,
) -> Option<(u32, BTreeSet<Name>)> {
    let threshold = table.required("threshold");
    let people = groups::people(&table.required(key)?, policy);
    let value = threshold?;
    let threshold: u32 = value.number()?;
    let there_are = people.len();
    if threshold == 0 {
        value.error("must be at least 1: 0 people agree to everything");
    } else if usize::try_from(threshold).is_ok_and(|wanted| wanted > there_are) && there_are > 0 {
        value.error(format!("is above the number of {key}, {there_are}"));
    }
    Some((threshold, people))
}

/// Whether a client asks about no account: about the log, or for people.
fn is_of_the_log(verbs: &BTreeSet<Verb>) -> bool {
    let of_the_log = |verb: &Verb| {
        matches!(
            verb,
            Verb::Journal
                | Verb::Bodies
                | Verb::Witness
                | Verb::Govern
                | Verb::Intents
                | Verb::Approve
                | Verb::Attest
        )
    };
    verbs.iter().all(of_the_log)
}

/// Reads `[[client]]`.
pub(super) fn clients(tables: Vec<Table<'_>>, draft: &mut Draft) {
    let (mut taken, mut identities) = (Taken::default(), BTreeMap::new());
    for mut table in tables {
        let name = table.new_name(&mut taken);
        let identity = identity(&mut table);
        let verbs: Option<BTreeSet<Verb>> =
            table.required("verbs").map(|verbs| verbs.each(Value::word));
        let accounts = match verbs.as_ref().is_some_and(is_of_the_log) {
            true => table.optional("accounts"),
            false => table.required("accounts"),
        };
        let people = match table.optional("people") {
            Some(people) => groups::people(&people, &draft.policy),
            None => BTreeSet::new(),
        };
        let policy = &mut draft.policy;
        let accounts = accounts
            .map(|accounts| accounts.each(|one| one.known("account", policy.accounts.keys())));
        if let Some(name) = name {
            if let Some(identity) = &identity
                && let Some(other) = identities.insert(identity.clone(), name.clone())
            {
                table.error(format!("is recognised as {:?} is", other.as_str()));
            }
            let client = Client {
                identity: identity.unwrap_or_else(|| ClientIdentity::Uri(String::new())),
                verbs: verbs.unwrap_or_default(),
                accounts: accounts.unwrap_or_default(),
                people,
            };
            policy.clients.insert(name, client);
        }
        table.finish();
    }
}

fn identity(table: &mut Table<'_>) -> Option<ClientIdentity> {
    match (table.optional("uri"), table.optional("spki")) {
        (Some(uri), None) => uri.map(|text| {
            let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
            match text.split_once(':') {
                Some((scheme, rest)) if printable && !scheme.is_empty() && !rest.is_empty() => {
                    Ok(ClientIdentity::Uri(text.into()))
                }
                _ => Err("is no URI, such as \"urn:strongroom:client:walletd\""),
            }
        }),
        (None, Some(spki)) => spki.map(|text| {
            let mut bytes = [0; 32];
            let digits = text.strip_prefix("sha256:").unwrap_or_default();
            match hex::decode_to_slice(digits, &mut bytes) {
                Ok(()) if hex::encode(bytes) == digits => Ok(ClientIdentity::Spki(bytes)),
                _ => Err("is not \"sha256:\" and 64 lower-case hexadecimal digits"),
            }
        }),
        _ => {
            table.error("needs either uri or spki, by which it is recognised");
            None
        }
    }
}

/// Reads `[[source]]`.
pub(super) fn sources(tables: Vec<Table<'_>>, draft: &mut Draft) {
    let mut taken = Taken::default();
    for mut table in tables {
        let name = table.new_name(&mut taken);
        let policy = &mut draft.policy;
        let clients = table.required("clients");
        let clients =
            clients.map(|clients| clients.each(|one| one.known("client", policy.clients.keys())));
        let signers = table.optional("signers");
        let signers = signers.map(|signers| public_keys(&signers));
        if name.as_ref().is_some_and(|name| name.as_str() == "none") {
            table.error("\"none\" stands for no source and cannot be a source's name");
        }
        if let Some(name) = name {
            let signers = signers.unwrap_or_default();
            let source = Source {
                clients: clients.unwrap_or_default(),
                signers: signers
                    .into_iter()
                    .map(PublicKeyLine::into_string)
                    .collect(),
            };
            policy.sources.insert(name, source);
        }
        table.finish();
    }
}
