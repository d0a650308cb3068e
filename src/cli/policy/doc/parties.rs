//! Who there is, and what is ours.

use std::sync::Arc;

use policy::{
    Account, AttestationKind, Attestations, Attester, Book, BookApart, Client, ClientIdentity,
    Clocks, Governance, Heartbeat, Hours, Person, Policy, PriceRule, Recovery, Source, Stretch,
    Verb,
};
use ssh_key::{HashAlg, PublicKey};
use tx::{Address, Chain, Name, evm::Function};

use super::super::words;
use super::sentences::class;
use super::{Block, Section, code, listed};

/// Addresses of a book that are shown one by one.
const SHOWN_MAX: usize = 20;
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// All but the statements.
pub fn sections(policy: &Policy) -> Vec<Section> {
    // Every field by name: a new one has to be given words here, or in what is called from here.
    let Policy {
        hash,
        fleet: _,
        sequence,
        governance: _,
        recovery: _,
        heartbeat: _,
        witnesses: _,
        auditors: _,
        devices: _,
        approval_page: _,
        people: _,
        groups: _,
        client_roots: _,
        clients: _,
        sources: _,
        accounts: _,
        edges: _,
        assets: _,
        chains: _,
        sequences: _,
        functions,
        books,
        hours,
        attestations: _,
        allows: _,
        denies: _,
        requires: _,
        requires_attested: _,
        limits: _,
        evacuates: _,
    } = policy;
    let bundle = format!(
        "Bundle {} with the sequence {sequence}. What stands here was made from its files by \
         `strongroom policy doc`; where the two differ, the files count.",
        code(&format!("sha256:{hash}"))
    );
    let listing = Section::listing;
    vec![
        Section {
            title: "What this is",
            blocks: vec![Block::Text(bundle)],
        },
        listing("Who governs", "", who_governs(policy)),
        listing("People", "", persons(policy)),
        listing("Who asks", "", who_asks(policy)),
        listing("What is ours", "", ours(policy)),
        listing(
            "Books of destinations",
            "",
            books.iter().map(book).collect(),
        ),
        listing(
            "What may be called",
            "",
            functions.iter().map(function).collect(),
        ),
        listing("Hours of the week", "", hours.iter().map(weekly).collect()),
        listing("Who attests", "", attests(&policy.attestations)),
    ]
}

fn function((contract, of): (&Address, &Arc<Function>)) -> String {
    let name = code(of.name.as_str());
    let parameters = of.signature.leaves().into_iter();
    let parameters: Vec<String> = parameters
        .map(|(name, of)| format!("{of} {name}"))
        .collect();
    let canonical = code(&of.signature.canonical());
    let contract = code(&contract.qualified());
    match parameters.is_empty() {
        true => format!("{name} is {canonical} of the contract {contract}."),
        false => format!(
            "{name} is {canonical} of the contract {contract}, with the arguments {}.",
            code(&parameters.join(", "))
        ),
    }
}

fn who_governs(policy: &Policy) -> Vec<String> {
    let mut lines = governing(&policy.governance);
    lines.extend(policy.recovery.as_ref().map(recovering));
    lines.extend(policy.heartbeat.as_ref().map(beating));
    lines.extend(policy.witnesses.as_ref().map(|quorum| {
        let (needed, named) = (quorum.needed(), quorum.witnesses().len());
        format!("What is signed is released once {needed} of {named} witnesses cosigned the log.")
    }));
    if !policy.auditors.is_empty() {
        let keys = policy.auditors.iter().map(|key| code(&key.to_string()));
        let keys = listed(keys, "and");
        lines.push(format!(
            "What witnesses keep of the log is encrypted to {keys}."
        ));
    }
    lines.extend(policy.devices.as_ref().map(|serials| {
        let serials = listed(serials.iter().map(|serial| code(serial)), "and");
        format!("Keys are used on the devices with the serial numbers {serials} alone.")
    }));
    lines.extend(policy.approval_page.as_ref().map(|page| {
        let origin = code(page.origin());
        format!(
            "Passkeys are used on the page {origin} alone, by who shows the device who they are."
        )
    }));
    lines
}

fn persons(policy: &Policy) -> Vec<String> {
    let people = policy.people.iter().map(|(name, of)| person(name, of));
    let groups = policy.groups.iter().map(|(group, people)| {
        let people = listed(people.iter().map(|name| code(name.as_str())), "and");
        format!("The group {} is {people}.", code(group.as_str()))
    });
    people.chain(groups).collect()
}

fn who_asks(policy: &Policy) -> Vec<String> {
    let clients = policy.clients.iter().map(|(name, of)| client(name, of));
    let sources = policy.sources.iter().map(|(name, of)| source(name, of));
    let mut lines: Vec<String> = clients.collect();
    let roots = policy.client_roots.len();
    let plural = if roots == 1 { "" } else { "s" };
    lines.push(format!(
        "Certificates of clients are those of {roots} file{plural} of authorities."
    ));
    lines.extend(sources);
    lines
}

fn ours(policy: &Policy) -> Vec<String> {
    let accounts = policy.accounts.iter().map(|(name, of)| account(name, of));
    let mut lines: Vec<String> = accounts.collect();
    let edges = policy.edges.iter();
    let edges = edges.map(|(from, to)| format!("from {} to {}", class(from), class(to)));
    lines.push(match edges.len() {
        0 => "Own value moves between no classes of accounts.".to_owned(),
        _ => format!(
            "Own value moves between classes only {}.",
            listed(edges, "and")
        ),
    });
    lines.extend(policy.assets.iter().map(|(name, unit)| {
        let (name, asset) = (code(name.as_str()), code(&unit.asset.to_string()));
        let decimals = unit.decimals;
        format!("{name} is {asset}, in units of {decimals} decimal places.")
    }));
    lines.extend(policy.chains.iter().map(|(chain, set)| {
        let (ahead, height) = (set.max_ahead, set.locktime_height_max);
        let bound = match chain {
            Chain::Evm(_) => format!("at most {ahead} nonces are signed beyond the final one"),
            _ => format!("no lock time is above the height {height}"),
        };
        format!("On {}, {bound}.", code(&chain.to_string()))
    }));
    lines.extend(policy.sequences.iter().map(|((key, chain), start)| {
        format!(
            "The nonces of {} on {} start at {}; those below {} are final.",
            code(key.as_str()),
            code(&chain.to_string()),
            start.next,
            start.finalized
        )
    }));
    lines
}

fn governing(governance: &Governance) -> Vec<String> {
    let Governance {
        threshold,
        officers,
        delay_millis,
        unfreeze_delay_millis,
    } = governance;
    let officers = listed(officers.iter().map(|name| code(name.as_str())), "and");
    let wait = |millis: u64, at_once: &str, after: &str| match millis {
        0 => at_once.to_owned(),
        millis => format!("{after} {}", words::length(millis)),
    };
    vec![
        format!("Another bundle needs the signatures of {threshold} of {officers}."),
        format!(
            "One that is not shown to allow less governs {}; any one officer can veto it meanwhile.",
            wait(*delay_millis, "at once", "after")
        ),
        format!(
            "Any one officer freezes, at once. {threshold} of them lift a freeze, {}.",
            wait(*unfreeze_delay_millis, "at once", "after")
        ),
    ]
}

fn recovering(recovery: &Recovery) -> String {
    let Recovery {
        threshold,
        people,
        delay_millis,
    } = recovery;
    let people = listed(people.iter().map(|name| code(name.as_str())), "and");
    let delay = words::length(*delay_millis);
    format!(
        "While everything is frozen, {threshold} of {people} can replace people, after {delay} in which any one \
         officer can veto it; nothing else."
    )
}

fn beating(heartbeat: &Heartbeat) -> String {
    let Heartbeat {
        within_millis,
        threshold,
        people,
    } = heartbeat;
    let people = listed(people.iter().map(|name| code(name.as_str())), "and");
    let within = words::length(*within_millis);
    format!(
        "Everything freezes unless {threshold} of {people} said within {within} that they are there and have \
         seen the log."
    )
}

fn person(name: &Name, person: &Person) -> String {
    let Person { keys, passkeys } = person;
    let keys = keys.iter().map(|line| {
        let (asks, key) = match line.strip_prefix("verify-required ") {
            Some(key) => (", with PIN or finger", key),
            None => ("", line.as_str()),
        };
        let algorithm = key.split(' ').next().unwrap_or_default();
        let print = PublicKey::from_openssh(key).map(|key| key.fingerprint(HashAlg::Sha256));
        match print {
            Ok(print) => format!("{} {}{asks}", code(algorithm), code(&print.to_string())),
            Err(_) => code(line),
        }
    });
    let signs = format!("signs with {}", listed(keys, "or"));
    let passkeys = passkeys.iter().map(|passkey| code(passkey.as_str()));
    let approves = format!(
        "approves intents by the passkeys {}",
        listed(passkeys, "or")
    );
    let does = match (person.keys.is_empty(), person.passkeys.is_empty()) {
        (_, true) => signs,
        (true, false) => approves,
        (false, false) => format!("{signs}, and {approves}"),
    };
    format!("{} {does}.", code(name.as_str()))
}

fn client(name: &Name, client: &Client) -> String {
    let Client {
        identity,
        verbs,
        accounts,
        people,
    } = client;
    let identity = match identity {
        ClientIdentity::Uri(uri) => code(uri),
        ClientIdentity::Spki(spki) => code(&format!("sha256:{}", hex::encode(spki))),
    };
    let verbs = listed(verbs.iter().map(|verb| may(*verb).to_owned()), "and");
    let accounts = match accounts.is_empty() {
        true => "of no account".to_owned(),
        false => format!(
            "of {}",
            listed(accounts.iter().map(|name| code(name.as_str())), "and")
        ),
    };
    let run_by = match people.is_empty() {
        true => String::new(),
        false => {
            let people = people.iter().map(|person| code(person.as_str()));
            let people = listed(people, "and");
            format!(" It is run by {people}, who approve nothing that it asks for.")
        }
    };
    format!(
        "{} ({identity}) may {verbs}, {accounts}.{run_by}",
        code(name.as_str())
    )
}

fn may(verb: Verb) -> &'static str {
    match verb {
        Verb::Sign => "have transactions signed",
        Verb::Evaluate => "ask what would be decided",
        Verb::Keys => "see keys and room",
        Verb::Requests => "see its requests",
        Verb::Journal => "see the log's tree",
        Verb::Bodies => "read all that was decided",
        Verb::Witness => "bring cosignatures",
        Verb::Govern => "bring officers' statements",
        Verb::Intents => "ask people to approve intents and transactions",
        Verb::Approve => "bring what people say of intents and transactions",
        Verb::Attest => "bring attesters' statements",
    }
}

fn attests(attestations: &Attestations) -> Vec<String> {
    let Attestations {
        attesters,
        needed,
        currency,
        prices,
    } = attestations;
    let attesters = attesters.iter().map(|(name, attester)| {
        let Attester { keys, says } = attester;
        let says = listed(says.iter().map(|kind| attested(*kind).to_owned()), "and");
        let keys = listed(keys.iter().map(|line| code(line)), "or");
        format!(
            "{} attests {says}, signed with {keys}.",
            code(name.as_str())
        )
    });
    let needed = needed.iter().map(|(kind, needed)| {
        let kind = attested(*kind);
        format!("Of those who attest {kind}, {needed} are needed.")
    });
    let currency = currency.as_ref().map_or("", Name::as_str);
    let prices = prices.iter().map(|(asset, rule)| {
        let PriceRule {
            decimals: _,
            haircut_bp,
            floor,
            max_age_millis,
        } = rule;
        format!(
            "One {} is worth what attesters say, the middle one of them, and {}.{:02}% more; at least \
             {floor} {}. What they say holds for {}; without it, whatever a limit on values counts is \
             refused.",
            code(&asset.to_string()),
            haircut_bp / 100,
            haircut_bp % 100,
            code(currency),
            words::length(*max_age_millis),
        )
    });
    attesters.chain(needed).chain(prices).collect()
}

pub(super) fn attested(kind: AttestationKind) -> &'static str {
    match kind {
        AttestationKind::Price => "prices",
        AttestationKind::Final => "what is final",
        AttestationKind::Dead => "which attempts are dead",
        AttestationKind::Head => "the heads of chains",
        AttestationKind::Reconciled => "that the journal agrees with the chains",
        AttestationKind::Time => "what time it is at least",
        _ => kind.as_str(),
    }
}

fn source(name: &Name, source: &Source) -> String {
    let Source { clients, signers } = source;
    let clients = listed(clients.iter().map(|name| code(name.as_str())), "and");
    let signed = match signers.len() {
        0 => "They are not signed: who brings one is believed.".to_owned(),
        1 => "Each is signed by its one key.".to_owned(),
        keys => format!("Each is signed by one of {keys} keys."),
    };
    format!(
        "Intents of {} are brought by {clients}. {signed}",
        code(name.as_str())
    )
}

fn account(name: &Name, account: &Account) -> String {
    let Account {
        class: of,
        chains,
        keys,
        addresses,
    } = account;
    let chains = listed(chains.iter().map(|chain| code(&chain.to_string())), "and");
    let mut text = format!(
        "The {} account {} on {chains}",
        class(of),
        code(name.as_str())
    );
    if !keys.is_empty() {
        let keys = listed(keys.iter().map(|key| code(key.as_str())), "and");
        text.push_str(&format!(", signed for by {keys}"));
    }
    if !addresses.is_empty() {
        let addresses = listed(addresses.iter().map(|one| code(&one.to_string())), "and");
        text.push_str(&format!(", with {addresses} signed for elsewhere"));
    }
    text + "."
}

fn book((name, book): (&Name, &Book)) -> String {
    let Book { addresses, apart } = book;
    let name = code(name.as_str());
    if let Some(apart) = apart {
        return loaded_apart(&name, apart);
    }
    match addresses.len() {
        0 => format!("{name} is empty."),
        number if number <= SHOWN_MAX => {
            let addresses = addresses.iter().map(|one| code(&one.to_string()));
            format!("{name} has {}.", listed(addresses, "and"))
        }
        number => format!("{name} has {number} addresses."),
    }
}

fn loaded_apart(name: &str, book: &BookApart) -> String {
    let BookApart {
        chain,
        threshold,
        signers,
        cooling_millis,
    } = book;
    let signers = listed(signers.iter().map(|one| code(one.as_str())), "and");
    let cooling = words::length(*cooling_millis);
    format!(
        "{name} has addresses of {} and is loaded apart from this bundle, signed by {threshold} of {signers}; what is \
         added or taken out is cooling for {cooling}, and is taken until then so that less is allowed.",
        code(&chain.to_string())
    )
}

fn weekly((name, hours): (&Name, &Hours)) -> String {
    let Hours { open, clocks } = hours;
    let clocks = match clocks {
        Clocks::Utc => "UTC".to_owned(),
        Clocks::Zone(zone) => format!("a time zone whose rule is known until {}", zone.until),
    };
    let open = listed(open.iter().map(stretch), "and");
    format!(
        "{} is {open}, by the clocks of {clocks}.",
        code(name.as_str())
    )
}

fn stretch(stretch: &Stretch) -> String {
    let Stretch { from, until } = stretch;
    let day = DAYS.get(usize::try_from(from / 1440).unwrap_or_default());
    let midnight = from - from % 1440;
    let time = |minute: u32| format!("{:02}:{:02}", (minute - midnight) / 60, minute % 60);
    let (day, from, until) = (day.copied().unwrap_or_default(), time(*from), time(*until));
    format!("{day} {from}-{until}")
}
