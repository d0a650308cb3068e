//! Statements, people and keys that do not fit together.

use strongroom_policy::{Rejection, bundle};

use super::{assert_cases, assert_says};
use crate::bundle::fixture::{
    POLICY, errors, files, line, manifest, parse, people, person, replaced,
};

#[test]
fn references_resolve() {
    assert_cases(&[
        (
            "to = \"book:customers\"",
            "to = \"book:custmers\"",
            &[
                "policy.toml:56:6: allow \"pay\": to: no book is called \"custmers\"\n  help: did you mean \"customers\"?",
            ],
        ),
        (
            "to = \"book:customers\"",
            "to = \"customers\"",
            &["policy.toml:56:6: allow \"pay\": to: \"customers\" is no destination"],
        ),
        (
            "to = \"book:customers\"",
            "to = [\"own-class:warm\", \"own-account:x\", \"address:0x70997970C51812dc3A010C7d01b50e0d17dc79C8\"]",
            &[
                "policy.toml:56:7: allow \"pay\": to: unknown variant `warm`, expected one of `hot`",
                "policy.toml:56:25: allow \"pay\": to: no account is called \"x\"",
                "policy.toml:56:42: allow \"pay\": to: \"0x70997970C51812dc3A010C7d01b50e0d17dc79C8\" is no <chain>:<address>",
            ],
        ),
        (
            "account = \"eth-hot\"\nasset = \"eth\"\nto",
            "account = \"eth-hto\"\nasset = \"usdc\"\nclient = \"x\"\nsource = \"y\"\nchain = \"eip155:5\"\nto",
            &[
                "policy.toml:54:11: allow \"pay\": account: no account is called \"eth-hto\"\n  help: did you mean \"eth-hot\"?",
                "policy.toml:55:9: allow \"pay\": asset: no asset is called \"usdc\"",
                "policy.toml:56:10: allow \"pay\": client: no client is called \"x\"",
                "policy.toml:57:10: allow \"pay\": source: no source is called \"y\"",
                "policy.toml:58:9: allow \"pay\": chain: no [[chain]] describes eip155:5",
            ],
        ),
        (
            "accounts = [\"eth-hot\", \"ltc-hot\"]",
            "accounts = [\"eth-hot\", \"ltc-cold\"]",
            &["policy.toml:40:24: client \"walletd\": accounts: no account is called \"ltc-cold\""],
        ),
        (
            "chains = [\"litecoin:regtest\"]",
            "chains = [\"litecoin:mainnet\"]",
            &[
                "policy.toml:27:11: account \"ltc-hot\": chains: no [[chain]] describes litecoin:mainnet",
            ],
        ),
        (
            "asset = \"eip155:1/native\"",
            "asset = \"eip155:10/native\"",
            &["policy.toml:10:9: asset \"eth\": asset: no [[chain]] describes eip155:10"],
        ),
        (
            "key = \"eth-hot-1\"",
            "key = \"eth-hot-2\"",
            &[
                "policy.toml:18:1: account \"eth-hot\": no [[sequence]] says where key \"eth-hot-1\" starts on eip155:1",
                "policy.toml:31:7: sequence: key: no key is called \"eth-hot-2\"",
            ],
        ),
        (
            "file = \"books/customers.txt\"",
            "file = \"books/clients.txt\"",
            &[
                "books/customers.txt: no [[book]] names this file",
                "policy.toml:49:8: book \"customers\": file: the bundle has no file \"books/clients.txt\"",
            ],
        ),
    ]);
}

#[test]
fn tables_and_keys_are_known() {
    assert_cases(&[
        (
            "to = \"book:customers\"",
            "too = \"book:customers\"",
            &["policy.toml:56:1: allow \"pay\": unknown key \"too\"\n  help: did you mean \"to\"?"],
        ),
        (
            "[[source]]",
            "[[sauce]]",
            &[
                "policy.toml:42:3: a bundle has no table \"sauce\"\n  help: did you mean \"source\"?",
            ],
        ),
        (
            "[[source]]",
            "[source]",
            &["policy.toml:42:2: write [[source]], in two pairs of brackets"],
        ),
        (
            "cap = \"10 eth\"",
            "cap = \"10 eth\"\ncap = \"20 eth\"",
            &["policy.toml:71:1: not TOML: duplicate key"],
        ),
        (
            "cap = \"10 eth\"",
            "cap = \"10 eth\"\nover = 1",
            &["policy.toml:71:8: limit \"eth-day\": over: must be a table"],
        ),
        (
            "verbs = [\"sign\"]",
            "verbs = [\"sing\", 1]",
            &[
                "policy.toml:39:10: client \"walletd\": verbs: unknown variant `sing`, expected one of `sign`",
                "policy.toml:39:18: client \"walletd\": verbs: must be a text in quotes",
            ],
        ),
        (
            "verbs = [\"sign\"]",
            "verbs = [\"sign\", \"sign\"]",
            &["policy.toml:39:18: client \"walletd\": verbs: stands in the list twice"],
        ),
        (
            "verbs = [\"sign\"]",
            "verbs = []",
            &["policy.toml:39:9: client \"walletd\": verbs: an empty list matches nothing"],
        ),
    ]);
}

#[test]
fn people_and_thresholds() {
    let need = |need: &str| {
        let cap = "cap = \"10 eth\"";
        errors(&replaced(POLICY, cap, &format!("{cap}\nover = {need}")))
    };
    const OVER: &str = "policy.toml:71:";
    for (text, column, says) in [
        (
            "{ threshold = 0, people = [\"ann\"] }",
            22,
            "over: threshold: must be at least 1",
        ),
        (
            "{ threshold = 2, people = [\"ann\"] }",
            22,
            "over: threshold: is above the number of people, 1",
        ),
        (
            "{ threshold = 1, people = [\"eve\"] }",
            35,
            "over: people: no person is called \"eve\"",
        ),
        (
            "{ threshold = 1, people = [] }",
            34,
            "over: people: an empty list matches nothing",
        ),
        ("{ threshold = 1 }", 8, "over: people is missing"),
        ("{ people = [\"ann\"] }", 8, "over: threshold is missing"),
        (
            "{ threshold = 1, people = [\"ann\"], x = 1 }",
            43,
            "over: unknown key \"x\"",
        ),
    ] {
        let says = format!("{OVER}{column}: limit \"eth-day\": {says}");
        assert_says(&need(text), &[&says], text);
    }
}

#[test]
fn a_need_says_how_long_and_how_final() {
    let asking = |rest: &str| {
        let need = format!("need = {{ threshold = 1, people = [\"ann\", \"ben\"]{rest} }}");
        let require = "[[require]]\nname = \"ask\"\neffect = \"payment\"";
        format!("{POLICY}\n{require}\n{need}\n")
    };
    let whole = ", delay = \"90s\", valid = \"12h\", rejection = \"final\"";
    let files = files(&asking(whole));
    let manifest = manifest(&files, "main", 1, 0);
    let policy = bundle::parse(&files).unwrap().under(&manifest);
    let need = &policy.requires[0].says.need;
    assert_eq!((need.delay_millis, need.valid_millis), (90_000, 43_200_000));
    assert_eq!(need.rejection, Rejection::Final);
    for (rest, says) in [
        (", delay = \"1w\"", "no length of time from 0s to 90d"),
        (", valid = \"8d\"", "no length of time from 1m to 7d"),
        (", rejection = \"never\"", "unknown variant `never`"),
        (", patience = \"1h\"", "unknown key \"patience\""),
    ] {
        let found = errors(&asking(rest)).join("\n");
        assert!(found.contains(says), "{found}");
    }
}

#[test]
fn needs_that_take_more_people_than_there_are_are_warned_of() {
    let warned = |over: &str| {
        let cap = "cap = \"10 eth\"";
        let text = replaced(POLICY, cap, &format!("{cap}\nover = {over}"));
        let need = "need = { threshold = 1, people = [\"ann\", \"ben\"] }";
        let require = "[[require]]\nname = \"ask\"\neffect = \"payment\"";
        let bundle = parse(&format!("{text}\n{require}\n{need}\n")).unwrap();
        let warnings = bundle.warnings().iter().map(ToString::to_string);
        let needs = warnings.filter(|one| one.contains("different people"));
        needs.collect::<Vec<_>>()
    };
    assert!(warned("{ threshold = 1, people = [\"ann\", \"ben\"] }").is_empty());
    assert!(warned("{ threshold = 1, people = [\"ann\", \"cem\"] }").is_empty());
    let both = warned("{ threshold = 2, people = [\"ann\", \"ben\"] }");
    assert_eq!(both.len(), 1);
    assert!(both[0].contains("take 3 different people together, and there are 2"));
}

const BOARD: &str = "[[group]]\nname = \"board\"\nmembers = [\"ann\", \"group:night\"]\n";
const NIGHT: &str = "[[group]]\nname = \"night\"\nmembers = [\"ben\", \"ann\"]\n";

fn of_groups(groups: &str, threshold: u32, officers: &str) -> Vec<String> {
    let quorum = "threshold = 2\nofficers = [\"ann\", \"ben\", \"cem\"]";
    let by = format!("threshold = {threshold}\nofficers = {officers}");
    let mut files = files(POLICY);
    files.insert(
        "people.toml".into(),
        replaced(&people(), quorum, &by).into(),
    );
    files.insert("groups.toml".into(), groups.into());
    let found = bundle::parse(&files).err().unwrap_or_default();
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn groups_of_people() {
    let both = [BOARD, NIGHT].concat();
    assert_eq!(of_groups(&both, 2, "\"group:board\""), [""; 0]);
    for (groups, threshold, officers, says) in [
        (
            // Two people, one of whom is named three times.
            &*both,
            3,
            "[\"group:board\", \"group:night\", \"ann\"]",
            &["people.toml:2:13: governance: threshold: is above the number of officers, 2"][..],
        ),
        (
            &*both,
            2,
            "[\"group:bord\"]",
            &[
                "people.toml:3:13: governance: officers: no group is called \"bord\"\n  help: did you mean \"board\"?",
            ],
        ),
        (
            BOARD,
            1,
            "\"group:board\"",
            &["groups.toml:3:19: group \"board\": members: no group is called \"night\""],
        ),
        (
            &NIGHT.replace("ben", "eve"),
            1,
            "\"ann\"",
            &["groups.toml:3:12: group \"night\": members: no person is called \"eve\""],
        ),
        (
            &NIGHT.replace("ben", "ann"),
            1,
            "\"ann\"",
            &["groups.toml:3:19: group \"night\": members: stands in the list twice"],
        ),
    ] {
        assert_says(&of_groups(groups, threshold, officers), says, groups);
    }
}

#[test]
fn groups_have_members_and_names_of_their_own() {
    let both = [BOARD, NIGHT].concat();
    for (groups, says) in [
        (
            &NIGHT.replace("[\"ben\", \"ann\"]", "[]"),
            &["groups.toml:3:11: group \"night\": members: an empty list matches nothing"][..],
        ),
        (
            &NIGHT.replace("members", "member"),
            &[
                "groups.toml:1:1: group \"night\": members is missing",
                "groups.toml:3:1: group \"night\": unknown key \"member\"\n  help: did you mean \"members\"?",
            ],
        ),
        (
            &NIGHT.replace("\"night\"", "\"ann\""),
            &["groups.toml:1:1: group \"ann\": has the name of a person"],
        ),
        (
            &NIGHT.replace("\"night\"", "\"cern\""),
            &["groups.toml:1:1: group \"cern\": the name looks like that of the person \"cem\""],
        ),
        (
            &[NIGHT, NIGHT].concat(),
            &["groups.toml:4:1: group \"night\": the name is taken at groups.toml:1:1"],
        ),
        (
            &both.replace("\"ben\"", "\"group:board\""),
            &["groups.toml:1:1: group \"board\": is a member of itself: board has night has board"],
        ),
        (
            &NIGHT.replace("\"ben\"", "\"group:night\""),
            &["groups.toml:1:1: group \"night\": is a member of itself: night has night"],
        ),
    ] {
        assert_says(&of_groups(groups, 1, "\"ann\""), says, groups);
    }
    let many: String = (0..1001)
        .map(|n| NIGHT.replace("night", &format!("g{n}")))
        .collect();
    assert_says(
        &of_groups(&many, 1, "\"ann\""),
        &["groups.toml:3001:1: group: there can be 1000 groups at the most"],
        "many groups",
    );
}

#[test]
fn keys_of_people() {
    let with = |text: &str| {
        let mut files = files(POLICY);
        files.insert("people.toml".into(), text.into());
        let found = bundle::parse(&files).expect_err("it is wrong");
        found.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_says(
        &with(&(people() + &person("eve", &[&line(1)]))),
        &["people.toml:21:1: person \"eve\": has a key of \"ann\""],
        "one key, two people",
    );
    let rsa = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAgQC5";
    assert_says(
        &with(&(people() + &person("eve", &[rsa, "ssh-ed25519 AAAA"]))),
        &[
            "people.toml:23:9: person \"eve\": keys: not a public key",
            "people.toml:23:53: person \"eve\": keys: not a public key",
        ],
        "no keys",
    );
    assert_says(
        &with(&people().replace("threshold = 2", "threshold = 4")),
        &["people.toml:2:13: governance: threshold: is above the number of officers, 3"],
        "threshold",
    );
    assert_says(
        &with(&person("ann", &[&line(1)])),
        &["manifest: no file of the bundle has a [governance] table"],
        "no governance",
    );
}

#[test]
fn statements_say_something() {
    assert_cases(&[
        (
            "effect = \"payment\"\naccount",
            "account",
            &["policy.toml:51:1: allow \"pay\": names no effect"],
        ),
        (
            "[[limit]]\nname = \"fees-day\"",
            "[[deny]]\nname = \"nothing\"\n[[limit]]\nname = \"fees-day\"",
            &["policy.toml:72:1: deny \"nothing\": has no condition"],
        ),
        (
            "[[limit]]\nname = \"fees-day\"",
            "[[require]]\nname = \"r\"\neffect = \"payment\"\n[[limit]]\nname = \"fees-day\"",
            &["policy.toml:72:1: require \"r\": need is missing"],
        ),
        (
            "effect = \"payment\"\nasset = \"eth\"\nmeasure",
            "effect = \"payment\"\nmeasure",
            &[
                "policy.toml:69:7: limit \"eth-day\": cap: is in eth, which is not the one asset that is selected",
            ],
        ),
        (
            "asset = \"eth\"\nmeasure = \"amount\"\nwindow = \"24h\"\ncap = \"10 eth\"",
            "asset = [\"eth\", \"ltc\"]\nmeasure = \"amount\"\nwindow = \"24h\"\ncap = \"10 eth\"",
            &[
                "policy.toml:70:7: limit \"eth-day\": cap: is in eth, which is not the one asset that is selected",
            ],
        ),
        (
            "measure = \"amount\"\nwindow = \"24h\"\ncap = \"10 eth\"",
            "measure = \"count\"\ncap = \"10 eth\"",
            &[
                "policy.toml:64:1: limit \"eth-day\": window is missing",
                "policy.toml:69:7: limit \"eth-day\": cap: \"10 eth\" is no count of effects",
            ],
        ),
    ]);
}

#[test]
fn what_is_ours_is_ours_once() {
    let account = "keys = [\"ltc-hot-1\"]";
    assert_cases(&[
        (
            account,
            "keys = [\"eth-hot-1\"]",
            &["policy.toml:28:9: account \"ltc-hot\": keys: is a key of account \"eth-hot\""],
        ),
        (
            account,
            "",
            &["policy.toml:24:1: account \"ltc-hot\": needs keys"],
        ),
        (
            account,
            "addresses = [\"eip155:1:0x70997970C51812dc3A010C7d01b50e0d17dc79C8\"]",
            &[
                "policy.toml:28:14: account \"ltc-hot\": addresses: eip155:1 is none of the account's chains",
            ],
        ),
        (
            "finalized = 0",
            "finalized = 1",
            &["policy.toml:34:13: sequence: finalized: is above next"],
        ),
        (
            "[[client]]",
            "[[edge]]\nfrom = \"hot\"\nto = [\"cold\", \"retired\"]\n[[client]]",
            &["policy.toml:38:15: edge: to: retired accounts are never paid to"],
        ),
        (
            "[[client]]",
            "[[client]]\nname = \"x\"\nuri = \"urn:strongroom:client:walletd\"\nverbs = \"keys\"\naccounts = \"eth-hot\"\n[[client]]",
            &["policy.toml:41:1: client \"walletd\": is recognised as \"x\" is"],
        ),
        (
            "uri = \"urn:strongroom:client:walletd\"",
            "spki = \"sha256:00\"",
            &["policy.toml:38:8: client \"walletd\": spki: is not \"sha256:\" and 64"],
        ),
        (
            "uri = \"urn:strongroom:client:walletd\"\n",
            "",
            &["policy.toml:36:1: client \"walletd\": needs either uri or spki"],
        ),
    ]);
}
