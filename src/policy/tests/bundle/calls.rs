//! Functions in a bundle: what is declared, what statements say of them, and what is refused where.

use strongroom_policy::{ArgumentCondition, FunctionId, Policy, To};
use tx::{AccountClass, Address};

use super::fixture::{POLICY, errors, files, manifest, parse};

const STAKING: &str = "0x00000000219ab540356cBB839Cbe05303d7705Fa";

/// The bundle with functions and what bounds calls.
fn with(more: &str) -> String {
    let bounds = r#"
[[limit]]
name = "calls-day"
effect = "call"
asset = "eth"
measure = "amount"
window = "24h"
cap = "64 eth"

[[limit]]
name = "calls-count"
effect = "call"
asset = "eth"
measure = "count"
window = "24h"
cap = "4"
"#;
    format!("{POLICY}{bounds}{more}")
}

fn function(name: &str, signature: &str) -> String {
    format!(
        "\n[[function]]\nname = {name:?}\ncontract = \"eip155:1:{STAKING}\"\nsignature = {signature:?}\n"
    )
}

const STAKE: &str = "stake(bytes key, (address owner, uint256 amount) of, bool slow, int24 tick)";

fn allow(conditions: &str) -> String {
    format!(
        "\n[[allow]]\nname = \"stake\"\neffect = \"call\"\naccount = \"eth-hot\"\nasset = \"eth\"\n\
         function = \"stake\"\n{conditions}\n"
    )
}

fn governing(text: &str) -> Policy {
    let bundle = parse(text).unwrap_or_else(|found| panic!("{found:#?}"));
    let warnings: Vec<String> = bundle.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(warnings, [""; 0]);
    bundle.under(&manifest(&files(text), "main", 1, 0))
}

/// The one thing that is wrong.
fn wrong(text: &str) -> String {
    let found = errors(text);
    assert_eq!(found.len(), 1, "{found:#?}");
    found.into_iter().next().unwrap()
}

#[test]
fn a_function_and_conditions_on_its_arguments_are_read() {
    let conditions = r#"args.key = "0x00ff"
args."of.owner" = ["own-account:eth-hot", "book:customers", "own-class:cold"]
args."of.amount" = { over = "0", max = "32 eth" }
args.slow = "false"
args.tick = ["-1", "0"]"#;
    let policy = governing(&with(&(function("stake", STAKE) + &allow(conditions))));
    let contract = Address::parse_qualified(&format!("eip155:1:{STAKING}")).unwrap();
    let declared: Vec<_> = policy.functions.iter().collect();
    assert_eq!(declared.len(), 1);
    assert_eq!(declared[0].0, &contract);
    let signature = "stake(bytes,(address,uint256),bool,int24)";
    assert_eq!(declared[0].1.signature.canonical(), signature);
    let stake = policy.allows.last().unwrap();
    let id = FunctionId {
        contract,
        signature: signature.into(),
    };
    let among = |texts: &[&str]| {
        ArgumentCondition::Among(texts.iter().map(|text| (*text).into()).collect())
    };
    let owners = [
        To::OwnAccount("eth-hot".parse().unwrap()),
        To::Book("customers".parse().unwrap()),
        To::OwnClass(AccountClass::Cold),
    ];
    let within = ArgumentCondition::Within {
        over: "0".parse().ok(),
        max: "32000000000000000000".parse().ok(),
    };
    let expected = [
        (0, among(&["0x00ff"])),
        (1, ArgumentCondition::To(owners.into())),
        (2, within),
        (3, among(&["false"])),
        (4, among(&["-1", "0"])),
    ];
    let functions = stake.selector.functions.clone().unwrap();
    assert_eq!(functions, [(id, expected.into())].into());
}

#[test]
fn calls_need_a_limit_on_their_value_and_one_on_their_number() {
    let text = format!("{POLICY}{}{}", function("stake", STAKE), allow(""));
    let found = errors(&text);
    assert_eq!(found.len(), 3, "{found:#?}");
    assert!(
        found
            .iter()
            .any(|one| one.contains("nothing bounds the amount of eth call"))
    );
    assert!(
        found
            .iter()
            .any(|one| one.contains("nothing bounds the count of eth call"))
    );
    assert!(
        found
            .iter()
            .any(|one| one.contains("no limit bounds eth call over all accounts"))
    );
}

#[test]
fn a_function_that_cannot_be_called_is_refused_at_its_line() {
    let declare = |signature: &str| wrong(&with(&(function("stake", signature))));
    let cases = [
        ("approve(address spender, uint256 amount)", "(evm-approve)"),
        ("multicall(bytes[] calls)", "(evm-multicall)"),
        (
            "setApprovalForAll(address operator, bool on)",
            "(evm-set-approval-for-all)",
        ),
        (
            "permit(address owner, address spender, uint256 value, uint256 deadline, uint8 v, bytes32 r, bytes32 s)",
            "(evm-permit)",
        ),
        (
            "transfer(address to, uint256 amount)",
            "is understood without a declaration",
        ),
        ("stake(uint amount)", "\"uint\" is no type"),
        ("stake", "is expected"),
    ];
    for (signature, says) in cases {
        let found = declare(signature);
        assert!(
            found.starts_with("policy.toml:99:13: function \"stake\": signature: "),
            "{found}"
        );
        assert!(found.contains(says), "{signature}: {found}");
    }
    let twice = function("stake", STAKE) + &function("again", STAKE);
    assert!(
        wrong(&with(&twice)).contains("has a function of the same selector already, \"stake\"")
    );
    let named = function("stake", STAKE) + &function("stake", "other()");
    assert!(wrong(&with(&named)).contains("the name is taken"));
    let contract = |text: &str| {
        let declared = function("stake", STAKE).replace(&format!("eip155:1:{STAKING}"), text);
        wrong(&with(&declared))
    };
    assert!(
        contract("eip155:5:0x00000000219ab540356cBB839Cbe05303d7705Fa")
            .contains("no [[chain]] describes eip155:5")
    );
    assert!(
        contract("eip155:1:0x0000000000000000000000000000000000000000").contains("zero address")
    );
    assert!(contract(STAKING).contains("is no <chain>:<address>"));
    let own = with(&function("stake", STAKE)).replace(
        "keys = [\"eth-hot-1\"]",
        &format!("keys = [\"eth-hot-1\"]\naddresses = [\"eip155:1:{STAKING}\"]"),
    );
    assert!(wrong(&own).contains("it is an address of the own account \"eth-hot\""));
}

#[test]
fn conditions_that_mean_nothing_are_refused_at_their_place() {
    let signature = "stake(bytes key, (address owner, uint8 amount) of, uint256[] list)";
    let said =
        |conditions: &str| wrong(&with(&(function("stake", signature) + &allow(conditions))));
    let cases = [
        (
            "args.kye = \"0x\"",
            "has no argument of this name\n  help: did you mean \"key\"?",
        ),
        ("args.of = \"x\"", "has no argument of this name"),
        (
            "args.list = \"[1]\"",
            "is of the type uint256[], of which no condition can be",
        ),
        ("args.key = \"0xF\"", "\"0xF\" is no bytes"),
        ("args.\"of.amount\" = \"256\"", "\"256\" is no uint8"),
        ("args.\"of.amount\" = \"1 eth\"", "is no uint8"),
        ("args.\"of.amount\" = {}", "needs one of max and over"),
        (
            "args.\"of.amount\" = { least = \"1\" }",
            "unknown key \"least\"",
        ),
        (
            "args.\"of.owner\" = \"0x70997970C51812dc3A010C7d01b50e0d17dc79C8\"",
            "is no destination",
        ),
        (
            "args.\"of.owner\" = \"book:custmers\"",
            "no book is called \"custmers\"",
        ),
        ("args.\"of.owner\" = []", "an empty list matches nothing"),
        ("args = {}", "names no argument; leave it out"),
        ("args = \"key\"", "must be a table"),
    ];
    for (conditions, says) in cases {
        let found = match conditions.contains("least") {
            true => errors(&with(&(function("stake", signature) + &allow(conditions)))).concat(),
            false => said(conditions),
        };
        assert!(found.contains(says), "{conditions}: {found}");
    }
    let unknown = with(&(function("stake", signature) + &allow("")))
        .replace("function = \"stake\"", "function = \"stakes\"");
    assert!(
        wrong(&unknown)
            .contains("no function is called \"stakes\"\n  help: did you mean \"stake\"?")
    );
    let without = with(&format!(
        "{}{}",
        function("stake", signature),
        allow("args.key = \"0x\"")
    ))
    .replace("function = \"stake\"\n", "");
    assert!(wrong(&without).contains("no function is selected"));
    let paying = with(&(function("stake", signature) + &allow(""))).replace(
        "effect = \"call\"\naccount",
        "effect = [\"call\", \"payment\"]\naccount",
    );
    assert!(errors(&paying).concat().contains("binds calls alone"));
}

#[test]
fn conditions_that_no_call_meets_are_warned_of() {
    let warned = |text: &str| {
        let bundle = parse(text).unwrap_or_else(|found| panic!("{found:#?}"));
        let warnings = bundle.warnings().iter().map(ToString::to_string);
        warnings.collect::<Vec<_>>().join("\n")
    };
    let empty = "args.\"of.amount\" = { over = \"5\", max = \"5\" }";
    let text = with(&(function("stake", STAKE) + &allow(empty)));
    assert!(warned(&text).contains("can never match: no argument is left"));
    let text = with(&(function("stake", STAKE) + &allow("chain = \"litecoin:regtest\"")));
    assert!(
        warned(&text).contains("can never match"),
        "{}",
        warned(&text)
    );
    let undeclared = with(&allow("").replace("function = \"stake\"\n", ""));
    assert!(warned(&undeclared).contains("can never match: the bundle has no [[function]]"));
}

/// One function of two contracts, by one statement.
#[test]
fn a_function_of_several_contracts_is_one_name() {
    let other = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
    let both = format!("[\"eip155:1:{STAKING}\", \"eip155:1:{other}\"]");
    let declared = function("stake", STAKE).replace(&format!("\"eip155:1:{STAKING}\""), &both);
    let policy = governing(&with(&(declared + &allow("args.slow = \"true\""))));
    let functions = policy
        .allows
        .last()
        .unwrap()
        .selector
        .functions
        .clone()
        .unwrap();
    assert_eq!(functions.len(), 2);
    let mut conditions = functions.values();
    assert!(conditions.all(|one| one.len() == 1 && one.contains_key(&3)));
}
