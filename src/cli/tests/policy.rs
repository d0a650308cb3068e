//! `strongroom policy`: a bundle checked, signed and asked about.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::program::Place;

/// Anvil's account 0, whose key is public: it stands in for the device's key.
const HOT_PUBLIC: &str = "038318535b54105d4a7aae60c08fc45f9687181b4fdfc625bd1a753fa7397fed75";
const HOT: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
const ANN: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";

fn keygen(place: &Place, name: &str) -> String {
    let arguments = ["-q", "-t", "ed25519", "-N", "", "-f", name];
    let mut command = Command::new("ssh-keygen");
    let output = command.current_dir(place.folder()).args(arguments).output();
    assert!(
        output.unwrap().status.success(),
        "ssh-keygen of openssh-client"
    );
    fs::read_to_string(place.path(&format!("{name}.pub"))).unwrap()
}

/// The quick start's bundle with people and a root, in `bundle/`.
pub fn quickstart() -> Place {
    let place = Place::new();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policy/quickstart");
    fs::create_dir_all(place.path("bundle/books")).unwrap();
    fs::create_dir_all(place.path("bundle/roots")).unwrap();
    for file in [
        "accounts.toml",
        "assets.toml",
        "limits.toml",
        "statements.toml",
        "books/customers.txt",
    ] {
        fs::copy(from.join(file), place.path(&format!("bundle/{file}"))).unwrap();
    }
    let mut people = "[governance]\nthreshold = 2\nofficers = [\"alice\", \"bob\"]\n".to_owned();
    people.push_str("delay = \"24h\"\n");
    for name in ["alice", "bob"] {
        let line = keygen(&place, name);
        people.push_str(&format!(
            "[[person]]\nname = {name:?}\nkeys = {:?}\n",
            line.trim()
        ));
    }
    write(&place, "bundle/people.toml", &people);
    let root = "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n";
    write(&place, "bundle/roots/clients.pem", root);
    place
}

fn write(place: &Place, path: &str, text: &str) {
    fs::write(place.path(path), text).unwrap();
}

#[test]
fn check_says_what_is_wrong_and_where() {
    let place = quickstart();
    let clean = place.answer("policy check bundle");
    assert_eq!(
        (&clean["errors"], &clean["warnings"], &clean["diagnostics"]),
        (&json!(0), &json!(0), &json!([]))
    );
    assert_eq!(clean["room"].as_array().unwrap().len(), 9);
    let day = json!({
        "limit": "eth-destination-day", "room": "10000000000000000000",
        "window_millis": 86_400_000, "group": ["destination"],
    });
    assert_eq!(clean["room"][1], day);
    let text = String::from_utf8(place.run("policy check bundle").stdout).unwrap();
    for line in [
        "  eth-day              20 eth in 24 h\n",
        "  eth-destination-day  10 eth in 24 h, for each destination\n",
        "  eth-hour             10 eth in 1 h; more with 1 of alice, bob\n",
        "  payments-hour        2000 effects in 1 h, for each account\n",
    ] {
        assert!(text.contains(line), "{text}");
    }

    let limits = String::from_utf8(place.read("bundle/limits.toml")).unwrap();
    write(
        &place,
        "bundle/limits.toml",
        &limits.replace("20 eth", "2e1 eth"),
    );
    let output = place.run("policy check bundle");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.starts_with("limits.toml:17:7: limit \"eth-day\": cap: \"2e1\" is no plain"),
        "{text}"
    );
    let shown = "\n  17 | cap = \"2e1 eth\"\n     |       ^\n1 errors, 0 warnings\n";
    assert!(text.ends_with(shown), "{text}");
    let json: Value =
        serde_json::from_slice(&place.run("--json policy check bundle").stdout).unwrap();
    assert_eq!(
        (
            json["errors"].as_u64(),
            json["diagnostics"][0]["line"].as_u64()
        ),
        (Some(1), Some(17))
    );

    write(&place, "bundle/README.md", "");
    assert_eq!(place.run("policy check bundle").status.code(), Some(1));
    place.fails("policy check nowhere", 2, "policy-folder");
}

#[test]
fn two_officers_sign() {
    let place = quickstart();
    place.fails("policy sign bundle --key alice", 2, "policy-no-manifest");
    let first = place.answer("policy sign bundle --fleet main --sequence 1 --key alice");
    assert_eq!(
        (&first["signed_by"], &first["threshold"]),
        (&json!(["alice"]), &json!(2))
    );
    let second = place.answer("policy sign bundle --key bob");
    assert_eq!(second["signed_by"], json!(["alice", "bob"]));
    assert_eq!(second["fingerprint"], first["fingerprint"]);
    assert!(
        first["fingerprint"]
            .as_str()
            .unwrap()
            .starts_with("sha256:")
    );
    let again = place.answer("policy sign bundle --key bob");
    assert_eq!(again["signed_by"], json!(["alice", "bob"]));

    // ssh-keygen makes what this makes.
    let allowed = format!(
        "alice {}",
        fs::read_to_string(place.path("alice.pub")).unwrap()
    );
    write(&place, "allowed", &allowed);
    let armour = String::from_utf8(place.read("bundle/manifest.sig")).unwrap();
    let end = "-----END SSH SIGNATURE-----\n";
    assert_eq!(
        armour.matches(end).count(),
        2,
        "a signature stands there once"
    );
    let alices = armour.split_inclusive(end).next().unwrap();
    write(&place, "alice.sig", alices);
    let verified = Command::new("ssh-keygen")
        .current_dir(place.folder())
        .args([
            "-Y",
            "verify",
            "-f",
            "allowed",
            "-I",
            "alice",
            "-n",
            "strongroom-bundle-v1",
            "-s",
            "alice.sig",
        ])
        .stdin(fs::File::open(place.path("bundle/manifest")).unwrap())
        .output()
        .unwrap();
    assert!(verified.status.success());

    // A changed file is not signed by the way; a new manifest begins without signatures.
    write(&place, "bundle/books/customers.txt", &format!("{ANN}\n"));
    place.fails("policy sign bundle --key bob", 2, "policy-manifest");
    place.fails(
        "policy sign bundle --fleet main --sequence 2 --replaces 2",
        2,
        "policy-sequence",
    );
    let next = place.answer("policy sign bundle --fleet main --sequence 2 --key bob");
    assert_eq!(
        (&next["signed_by"], &next["dropped"]),
        (&json!(["bob"]), &json!(2))
    );
    assert_eq!(next["replaces"], json!(1));
    assert_ne!(next["fingerprint"], first["fingerprint"]);
}

/// An agent with one key, which nobody else has any longer.
struct Agent(Child, PathBuf);

impl Agent {
    fn with(place: &Place, key: &str) -> Self {
        let socket = place.path("agent");
        let mut command = Command::new("ssh-agent");
        command.arg("-D").arg("-a").arg(&socket);
        let child = command.stdout(Stdio::null()).spawn().unwrap();
        let agent = Self(child, socket);
        let added = || {
            let mut command = Command::new("ssh-add");
            let command = command.arg(place.path(key));
            let output = command.env("SSH_AUTH_SOCK", &agent.1).output().unwrap();
            output.status.success()
        };
        while !added() {
            std::thread::yield_now();
        }
        fs::remove_file(place.path(key)).unwrap();
        agent
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// What is not simply in a file is left to OpenSSH: an agent, a security key, a passphrase, and a key of one of
/// 256 for ECDSA that the library does not read.
#[test]
fn an_agent_signs_for_an_officer() {
    let place = quickstart();
    let agent = Agent::with(&place, "alice");
    let sign = "--json policy sign bundle --fleet main --sequence 1 --key alice.pub";
    let mut command = place.command(sign);
    let output = command.env("SSH_AUTH_SOCK", &agent.1).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["signed_by"], json!(["alice"]));
}

#[test]
fn what_cannot_be_signed_is_not() {
    let place = quickstart();
    let sign = "policy sign bundle --fleet main --sequence 1 --key";
    keygen(&place, "elsewhere");
    fs::remove_file(place.path("elsewhere")).unwrap();
    place.fails(&format!("{sign} elsewhere.pub"), 2, "not-signed");
    place.fails(&format!("{sign} nowhere"), 2, "file");
    let mut command = Command::new("ssh-keygen");
    let command = command.current_dir(place.folder());
    command.args(["-q", "-t", "ed25519", "-N", "secret", "-f", "locked"]);
    assert!(command.output().unwrap().status.success());
    let error = place.fails(&format!("{sign} locked"), 2, "not-signed");
    let said = error["message"].as_str().unwrap();
    assert!(said.contains("did not sign with locked: "), "{said}");
    write(&place, "bundle/limits.toml", "");
    place.fails(&format!("{sign} alice"), 1, "policy-wrong");
}

/// An EIP-1559 payment of `wei` from the hot account, and its intent.
fn payment(place: &Place, to: &str, value: &str, wei: &str) {
    let payload = format!(
        "0x02{}",
        rlp(&[
            "827a69",
            "80",
            "843b9aca00",
            "8504a817c800",
            "825208",
            &format!("94{}", &to[2..]),
            value,
            "80",
            "c0"
        ])
    );
    let transaction =
        json!({"format": "eip2718", "chain": "eip155:31337", "from": HOT, "payload": payload});
    write(place, "tx.json", &transaction.to_string());
    let intent = json!([{"intent": {
        "source": "payouts", "id": "w-1", "epoch": 1, "asset": "eip155:31337/native", "amount": wei,
        "destination": to, "max_fee": "1000000000000000", "expires": "2099-01-01T00:00:00Z",
    }}]);
    write(place, "intents.json", &intent.to_string());
    let keys =
        json!({"keys": [{"name": "eth-hot-1", "public_key": HOT_PUBLIC, "account": "eth-hot"}]});
    write(place, "keys.json", &keys.to_string());
}

/// An RLP list of items that are encoded already.
fn rlp(items: &[&str]) -> String {
    let body = items.concat();
    format!("{:02x}{body}", 0xc0 + body.len() / 2)
}

const EXPLAIN: &str = "policy explain bundle --transaction tx.json --intents intents.json --keys keys.json --client walletd";

#[test]
fn explain_names_the_statements_that_allow_it() {
    let place = quickstart();
    payment(&place, ANN, "880de0b6b3a7640000", "1000000000000000000");
    let answer = place.answer(EXPLAIN);
    assert_eq!(answer["verdict"], "permit");
    let text = String::from_utf8(place.run(EXPLAIN).stdout).unwrap();
    assert!(
        text.contains(
            "payment of 1 eth from eth-hot to 0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
        ),
        "{text}"
    );
    assert!(
        text.contains("by eth-pay-customers (statements.toml:"),
        "{text}"
    );
    assert!(
        text.contains("limit    eth-day: 1000000000000000000 of 20000000000000000000 used"),
        "{text}"
    );
}

#[test]
fn explain_lists_all_that_refuses_it() {
    let place = quickstart();
    payment(
        &place,
        "0xa0Ee7A142d267C1f36714E4a8F75612F20a79720",
        "8901a055690d9db80000",
        "30000000000000000000",
    );
    let output = place.run(&format!("--json {EXPLAIN}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*stderr), (Some(1), ""));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["verdict"], "refuse");
    let reasons = answer["reasons"].as_array().unwrap().iter();
    let codes: Vec<&str> = reasons
        .map(|reason| reason["code"].as_str().unwrap())
        .collect();
    for code in ["uncovered", "denied", "limit"] {
        assert!(codes.contains(&code), "{code}: {codes:?}");
    }
    let text = String::from_utf8(place.run(EXPLAIN).stdout).unwrap();
    assert!(
        text.contains("  refused  denied by blocked (statements.toml:"),
        "{text}"
    );
    assert!(
        text.contains("  needs    1 of alice, bob: large-eth (statements.toml:"),
        "{text}"
    );
}

#[test]
fn explain_names_the_input_that_is_wrong() {
    let place = quickstart();
    payment(&place, ANN, "880de0b6b3a7640000", "1");
    write(&place, "keys.json", "{\"keys\": []}");
    place.fails(EXPLAIN, 1, "policy-not-understood");
    write(&place, "keys.json", "[]");
    place.fails(EXPLAIN, 2, "policy-input");
}

fn copy_cases(place: &Place) -> String {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policy/quickstart.test.toml");
    fs::read_to_string(from)
        .inspect(|text| write(place, "cases.toml", text))
        .unwrap()
}

#[test]
fn the_cases_of_the_quick_start_pass_and_name_what_none_of_them_holds() {
    let place = quickstart();
    copy_cases(&place);
    let report = place.answer("policy test bundle cases.toml");
    assert_eq!(report["failed"], 0, "{report:#}");
    let cases = report["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 22);
    let names: Vec<&str> = report["unnoticed"]
        .as_array()
        .unwrap()
        .iter()
        .map(|statement| statement["name"].as_str().unwrap())
        .collect();
    // Hundreds of payments are no case of one request.
    assert_eq!(names, ["payments-hour", "eth-fees-day", "ltc-fees-day"]);
    let output = place.run("policy test bundle cases.toml --all-statements");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains(
            "no case would notice if it were gone: limit \"payments-hour\" (limits.toml:"
        ),
        "{text}"
    );
    assert!(
        text.ends_with("22 cases, 0 failed; 14 of 17 statements are held by them\n"),
        "{text}"
    );
}

#[test]
fn a_bundle_that_decides_otherwise_fails_its_cases_at_their_places() {
    let place = quickstart();
    copy_cases(&place);
    let limits = String::from_utf8(place.read("bundle/limits.toml")).unwrap();
    write(
        &place,
        "bundle/limits.toml",
        &limits.replace("\"20 eth\"", "\"40 eth\""),
    );
    let output = place.run("policy test bundle cases.toml");
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("FAILED more-ether-than-a-day-has (cases.toml:"),
        "{text}"
    );
    assert!(text.contains("expected refuse, was permit"), "{text}");
    assert!(text.contains("22 cases, 1 failed"), "{text}");
}

#[test]
fn a_case_that_cannot_be_says_why() {
    let place = quickstart();
    let case = |rest: &str| {
        let head = "[[case]]\nname = \"one\"\nclient = \"walletd\"\nexpect = \"permit\"\n";
        write(&place, "cases.toml", &format!("{head}{rest}\n"));
        let output = place.run("--json policy test bundle cases.toml");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        report["cases"][0]["differences"][0]
            .as_str()
            .map(str::to_owned)
    };
    let ann = format!("to = {ANN:?}, source = \"payouts\"");
    for (rest, expected) in [
        (
            format!("account = \"nobody\"\npay = [{{ {ann}, amount = \"1 eth\" }}]"),
            "the request: the bundle has no account nobody",
        ),
        (
            format!("account = \"eth-hot\"\npay = [{{ {ann}, amount = \"1 xrp\" }}]"),
            "the request: \"xrp\" is no asset of this bundle",
        ),
        (
            format!("account = \"eth-hot\"\npay = [{{ {ann}, amount = \"1 ltc\" }}]"),
            "the request: account eth-hot has no key that pays on litecoin:regtest",
        ),
        (
            "account = \"eth-hot\"".to_owned(),
            "the request: nothing is paid that says on which chain it is: give `chain`",
        ),
        (
            format!(
                "account = \"eth-hot\"\npay = [{{ {ann}, amount = \"1 eth\" }}]\n\
                 earlier = [{{ ago = \"1h\", pay = [{{ {ann}, amount = \"6 eth\" }}] }}]"
            ),
            "earlier payment 0 would not have been signed: Pending by large-eth",
        ),
        (
            format!(
                "account = \"eth-hot\"\npay = [{{ {ann}, amount = \"1 eth\" }}]\n\
                 earlier = [{{ ago = \"1s\", pay = [] }}]"
            ),
            "\"1s\" is no length of time from 1m to 90d, such as \"24h\"",
        ),
    ] {
        assert_eq!(case(&rest).as_deref(), Some(expected), "{rest}");
    }
    write(&place, "cases.toml", "[[case]]\nname = \"one\"\n");
    place.fails("policy test bundle cases.toml", 2, "policy-cases");
    write(&place, "cases.toml", "case = []\n");
    place.fails("policy test bundle cases.toml", 2, "policy-cases");
    place.fails("policy test bundle nowhere.toml", 2, "file");
}

/// The examples of policy/README.md, beside the quick start's statements, decide its cases.
#[test]
fn the_guides_cases_are_decided_as_it_says() {
    let place = quickstart();
    let guide = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policy/README.md");
    let guide = fs::read_to_string(guide).unwrap();
    let blocks = guide.split("```toml\n").skip(1);
    let blocks = blocks.map(|block| block.split_once("```").unwrap().0);
    let (cases, statements): (Vec<&str>, Vec<&str>) =
        blocks.partition(|block| block.starts_with("[[case]]"));
    assert_eq!(statements.len(), 5);
    write(&place, "bundle/examples.toml", &statements.concat());
    write(&place, "cases.toml", &cases.concat());
    let report = place.answer("policy test bundle cases.toml");
    assert_eq!(report["failed"], 0, "{report:#}");
    assert_eq!(report["cases"].as_array().unwrap().len(), 8);
    // Each of the examples is what one of them is about.
    let unnoticed = report["unnoticed"].to_string();
    for text in statements {
        let (_, name) = text.split_once("name = \"").unwrap();
        let (name, _) = name.split_once('"').unwrap();
        assert!(!unnoticed.contains(&format!("{name:?}")), "{unnoticed}");
    }
}

/// One coin that two transactions spend is charged as the larger of them.
#[test]
fn a_case_replaces_what_was_signed_before() {
    let place = quickstart();
    const TO: &str = "rltc1qqqqsyqcyq5rqwzqfpg9scrgwpugpzysnrwhxws";
    const OTHER: &str = "rltc1qv3jkvemgd94xkmrddehhqutjwd682anhgp938e";
    let pay = |to: &str, amount: &str| {
        format!("{{ to = {to:?}, amount = \"{amount} ltc\", source = \"payouts\" }}")
    };
    let case = |now: &str, earlier: &str, more: &str| {
        let before = (0..4).map(|_| {
            format!(
                "[[case.earlier]]\nago = \"50m\"\npay = [{}]\n",
                pay(OTHER, "5")
            )
        });
        let text = format!(
            "[[case]]\nname = \"one\"\nclient = \"walletd\"\naccount = \"ltc-hot\"\npay = [{now}]\n{more}\n\
             {}[[case.earlier]]\nname = \"slow\"\nago = \"40m\"\npay = [{}]\n{earlier}\n",
            before.collect::<String>(),
            pay(TO, "4")
        );
        write(&place, "cases.toml", &text);
        let output = place.run("--json policy test bundle cases.toml");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        report["cases"][0]["differences"].to_string()
    };
    let same = pay(TO, "4");
    let permit = "expect = \"permit\"\nreplaces = \"slow\"";
    assert_eq!(case(&same, "", permit), "[]");
    // 24 of 25 in an hour are signed: one more in the same transaction, and not two.
    let one_more = format!("{same}, {}", pay(OTHER, "1"));
    assert_eq!(case(&one_more, "", permit), "[]");
    let two_more = format!("{same}, {}", pay(OTHER, "2"));
    let pending = "expect = \"pending\"\nneeds = [\"ltc-hour\"]\nreplaces = \"slow\"";
    assert_eq!(case(&two_more, "", pending), "[]");
    assert_eq!(case(&pay(OTHER, "2"), "", permit), "[]", "less than before");
    // By another transaction the same costs four more.
    assert_eq!(
        case(&same, "", "expect = \"pending\"\nneeds = [\"ltc-hour\"]"),
        "[]"
    );
    // What was replaced itself: all of them are named.
    let again = format!(
        "[[case.earlier]]\nname = \"faster\"\nago = \"30m\"\npay = [{same}]\nreplaces = \"slow\""
    );
    let fastest = permit.replace("slow", "faster");
    assert_eq!(case(&same, &again, &fastest), "[]");
    assert_eq!(case(&one_more, &again, permit), "[]");
    let cheap = format!("{permit}\nfee_rate = \"1 sat/vb\"");
    let refused = cheap.replace(
        "\"permit\"",
        "\"refuse\"\nrefused_by = [\"replacement-fee\"]",
    );
    assert_eq!(case(&same, "", &refused), "[]");
    for unknown in [
        permit.replace("slow", "quick"),
        permit.replace("slow", "one"),
    ] {
        let told = case(&same, "", &unknown);
        assert!(
            told.contains("no one earlier payment before it is called"),
            "{told}"
        );
    }
    let told = case(&same, "times = 2", permit);
    assert!(
        told.contains("no one earlier payment before it is called"),
        "{told}"
    );
}

#[test]
fn a_case_gives_the_very_transaction() {
    let place = quickstart();
    let cases = copy_cases(&place);
    let start = cases.find("name = \"the-bytes-of-a-payment\"").unwrap();
    let end = cases[start..].find("expect").unwrap();
    let given = &cases[start..start + end];
    let keys =
        &cases[cases.find("[keys]").unwrap()..cases.find("# --- payments of ether").unwrap()];
    let case = |change: (&str, &str), more: &str| {
        assert!(given.contains(change.0), "{}", change.0);
        let given = given.replace(change.0, change.1);
        write(
            &place,
            "cases.toml",
            &format!("{keys}[[case]]\n{given}{more}\n"),
        );
        let output = place.run("--json policy test bundle cases.toml");
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        report["cases"][0]["differences"].to_string()
    };
    let same = ("walletd", "walletd");
    assert_eq!(case(same, "expect = \"permit\""), "[]");
    // One byte more, or another chain: a signer refuses what it does not understand.
    let refused = "expect = \"refuse\"\nrefused_by = [\"transaction\"]";
    assert_eq!(case(("80c0\"", "80c000\""), refused), "[]");
    assert_eq!(case(("827a69", "827a68"), refused), "[]");
    // The nonce is spent by what was signed before.
    let earlier = format!(
        "earlier = [{{ ago = \"1h\", pay = [{{ to = {ANN:?}, amount = \"1 eth\", source = \"payouts\" }}] }}]"
    );
    let conflict =
        "expect = \"refuse\"\nrefused_by = [\"undeclared-conflict\", \"replacement-fee\"]";
    assert_eq!(case(same, &format!("{conflict}\n{earlier}")), "[]");
    let says = |change, more: &str| case(change, &format!("expect = \"permit\"\n{more}"));
    let account = says(("account = \"eth-hot\"", "account = \"ltc-hot\""), "");
    assert!(
        account.contains("the transaction is of account eth-hot"),
        "{account}"
    );
    let sourceless = says((", source = \"payouts\"", ""), "");
    assert!(
        sourceless.contains("only `pay` with the `source`"),
        "{sourceless}"
    );
    let rate = says(same, "fee_rate = \"1 gwei\"");
    assert!(rate.contains("only `pay` with the `source`"), "{rate}");
}

#[test]
fn a_case_freezes_a_scope() {
    let place = quickstart();
    let case = |frozen: &str, expect: &str| {
        let text = format!(
            "[[case]]\nname = \"one\"\nclient = \"walletd\"\naccount = \"eth-hot\"\nfrozen = {frozen}\n\
             pay = [{{ to = {ANN:?}, amount = \"1 eth\", source = \"payouts\" }}]\nexpect = {expect:?}\n"
        );
        write(&place, "cases.toml", &text);
        place
            .run("--json policy test bundle cases.toml")
            .status
            .code()
    };
    for held in [
        "true",
        "\"everything\"",
        "\"book customers\"",
        "\"account eth-hot\"",
    ] {
        assert_eq!(case(held, "refuse"), Some(0), "{held}");
    }
    for free in [
        "false",
        "\"book blocked\"",
        "\"own-class cold\"",
        "\"account ltc-hot\"",
    ] {
        assert_eq!(case(free, "permit"), Some(0), "{free}");
    }
    assert_eq!(case("\"customers\"", "permit"), Some(2));
}

#[test]
fn a_case_says_what_is_attested_and_what_became_of_the_first_issue() {
    let place = quickstart();
    let line = |seed: u8| {
        let key = ssh_key::private::Ed25519Keypair::from_seed(&[seed; 32]);
        ssh_key::PrivateKey::from(key)
            .public_key()
            .to_openssh()
            .unwrap()
    };
    let mut watching = String::new();
    for number in 1..=3 {
        watching.push_str(&format!(
            "[[attester]]\nname = \"w{number}\"\nkeys = {:?}\nsays = [\"dead\", \"head\"]\n",
            line(number)
        ));
    }
    watching.push_str(
        "[[require]]\nname = \"fresh\"\neffect = \"payment\"\nneed = { attested = \"head\", within = \"10m\" }\n",
    );
    let statements = String::from_utf8(place.read("bundle/statements.toml")).unwrap();
    let people = "name = \"reissue-people\"\n";
    assert_eq!(statements.matches(people).count(), 1);
    let statements = statements.replace(people, &format!("{people}dead = false\n"));
    write(&place, "bundle/statements.toml", &statements);
    write(&place, "bundle/watching.toml", &watching);
    let case = |name: &str, rest: &str| {
        format!(
            "[[case]]\nname = \"{name}\"\nclient = \"walletd\"\naccount = \"eth-hot\"\n\
             pay = [{{ to = {ANN:?}, source = \"payouts\", amount = \"1 eth\" }}]\n{rest}\n"
        )
    };
    let head = "attested = [\"head\"]\n";
    let cases = [
        case("blind", "expect = \"pending\"\nneeds = [\"fresh\"]"),
        case("seen", &format!("{head}expect = \"permit\"")),
        case(
            "dead",
            &format!("{head}reissue = \"dead\"\nexpect = \"permit\""),
        ),
        case(
            "alive",
            &format!(
                "{head}reissue = \"alive\"\nexpect = \"pending\"\nneeds = [\"reissue-people\"]"
            ),
        ),
    ];
    write(&place, "cases.toml", &cases.concat());
    let output = place.run("policy test bundle cases.toml");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("4 cases, 0 failed"), "{text}");
}

/// The quick start's bundle, which pays by the clocks of Zurich.
fn by_hours() -> Place {
    let place = quickstart();
    let statements = String::from_utf8(place.read("bundle/statements.toml")).unwrap();
    let name = "name = \"eth-pay-customers\"\n";
    assert_eq!(statements.matches(name).count(), 1);
    let hours = "\n[[hours]]\nname = \"office\"\nzone = \"Europe/Zurich\"\nopen = \"mon-fri 08:00-18:00\"\n";
    let statements = statements.replace(name, &format!("{name}hours = \"office\"\n"));
    write(&place, "bundle/statements.toml", &(statements + hours));
    place
}

#[test]
fn the_rules_of_zones_are_written_where_a_manifest_is_made() {
    let place = by_hours();
    let check = place.run("policy check bundle");
    assert_eq!(check.status.code(), Some(1));
    let text = String::from_utf8(check.stdout).unwrap();
    assert!(
        text.contains("no rule of the time zone \"Europe/Zurich\""),
        "{text}"
    );

    let written = place.answer("policy zones bundle");
    assert_eq!(written["zones"][0]["name"], "Europe/Zurich");
    assert_eq!(written["zones"][0]["changes"], json!(20));
    assert_eq!(place.answer("policy check bundle")["errors"], json!(0));
    let rules = place.read("bundle/zones.toml");
    fs::remove_file(place.path("bundle/zones.toml")).unwrap();
    place.answer("policy sign bundle --fleet main --sequence 1 --key alice");
    assert_eq!(place.read("bundle/zones.toml"), rules);
    // The second officer signs what is there.
    write(&place, "bundle/zones.toml", "# other rules\n");
    place.fails("policy sign bundle --key bob", 1, "policy-wrong");

    let statements = String::from_utf8(place.read("bundle/statements.toml")).unwrap();
    let nowhere = statements.replace("Europe/Zurich", "Europe/Atlantis");
    write(&place, "bundle/statements.toml", &nowhere);
    place.fails("policy zones bundle", 2, "file");
    let no_zone = statements.replace("Europe/Zurich", "Europe");
    write(&place, "bundle/statements.toml", &no_zone);
    assert_ne!(place.run("policy zones bundle").status.code(), Some(0));
}

#[test]
fn explain_asks_about_another_hour() {
    let place = by_hours();
    place.answer("policy zones bundle");
    payment(&place, ANN, "880de0b6b3a7640000", "1000000000000000000");
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
    let year = today.year() + 1;
    let at = |time: &str| format!("{EXPLAIN} --at {year}-{time}Z");
    // A weekday at noon and at night, whichever day of the year's second week it is.
    let verdicts = |hour: &str| {
        let days = 8..15;
        let asked = days.map(|day| {
            place.run(&format!(
                "--json {}",
                at(&format!("07-{day:02}T{hour}:00:00"))
            ))
        });
        let open = asked.filter(|output| output.status.code() == Some(0));
        open.count()
    };
    assert_eq!(verdicts("06"), 5, "08:00 by the clocks there");
    assert_eq!(verdicts("05"), 0);
    assert_eq!(verdicts("15"), 5);
    assert_eq!(verdicts("16"), 0);
    let closed = place.run(&at("07-08T02:00:00"));
    let text = String::from_utf8(closed.stdout).unwrap();
    assert!(
        text.contains("ask in the hours of eth-pay-customers"),
        "{text}"
    );
}

#[test]
fn two_bundles_are_compared() {
    let place = quickstart();
    let copy = Command::new("cp")
        .current_dir(place.folder())
        .args(["-r", "bundle", "wider"])
        .status();
    assert!(copy.unwrap().success());
    let same = place.answer("policy diff bundle wider");
    assert_eq!(
        (&same["changed"], &same["narrower"]),
        (&json!(0), &json!(true))
    );
    assert!(same["generated"].as_u64().unwrap() > 100);

    let limits = String::from_utf8(place.read("wider/limits.toml")).unwrap();
    write(
        &place,
        "wider/limits.toml",
        &limits.replace("20 eth", "21 eth"),
    );
    let output = place.run(&format!(
        "policy diff bundle wider --cases {}",
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../policy/quickstart.test.toml")
            .display()
    ));
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    for line in [
        "not shown to be narrower: it waits for the delay\n",
        "  limit \"eth-day\" is gone or restricts less\n",
        "refuse (eth-day) -> permit (eth-fees, eth-pay-customers): 1\n",
        "  such as case more-ether-than-a-day-has (",
    ] {
        assert!(text.contains(line), "{line}{text}");
    }
}

#[test]
fn the_page_and_the_schema_are_written() {
    let place = quickstart();
    let page = place.run("policy doc bundle");
    let text = String::from_utf8(page.stdout).unwrap();
    assert!(
        text.starts_with("# The policy of fleet unsigned\n"),
        "{text}"
    );
    assert!(
        text.contains("`eth-day`: At most 20 eth in any 24 h, counted over a payment of `eth`.")
    );
    let written = place.answer("policy doc bundle --form html --out page.html");
    assert_eq!(written["file"], "page.html");
    let html = String::from_utf8(place.read("page.html")).unwrap();
    assert!(html.contains("<h2>What is never possible</h2>"), "{html}");
    assert_eq!(
        place.run("policy doc bundle --out page.html").status.code(),
        Some(2)
    );

    let printed = place.run("policy schema").stdout;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policy/schema.json");
    assert_eq!(
        String::from_utf8(printed).unwrap(),
        fs::read_to_string(file).unwrap()
    );
}
