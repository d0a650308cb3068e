//! What `strongroom policy prove` says can leave is what leaves of the real signer, to the unit.

use std::process::Command;

use api::problem::ProblemKind;
use serde_json::Value;
use strongroom_softhsm_tests::{
    ask::units,
    evm::{Draft, ETHER},
    program::{binary, run},
    world::World,
};

use crate::support::{CUSTOMER, sender, transfer};

/// Four ether an hour over all; one and a half a payment, and two for each destination.
const LIMITS: &str = r#"
[[deny]]
name = "large"
effect = "payment"
asset = "eth"
amount_over = "1.5 eth"

[[limit]]
name = "destination-hour"
effect = "payment"
asset = "eth"
measure = "amount"
window = "1h"
cap = "2 eth"
group = ["destination"]

[[limit]]
name = "payments-hour"
effect = "payment"
asset = "eth"
measure = "count"
window = "1h"
cap = "3"
"#;

fn proved(world: &World) -> Value {
    let mut command = Command::new(binary("strongroom"));
    command
        .args(["--json", "policy", "prove"])
        .arg(world.policy());
    command.args(["--asset", "eth", "--within", "1h", "--witness", "--steps"]);
    let said = run(&mut command).stdout;
    let mut said: Value = serde_json::from_slice(&said).expect("JSON");
    said["answers"][0].take()
}

#[test]
fn the_requests_that_reach_a_bound_are_signed_and_not_one_unit_more() {
    let world = World::with(|bundle| {
        bundle.replace("statements.toml", "cap = \"20 eth\"", "cap = \"4 eth\"");
        bundle.append("statements.toml", LIMITS);
    });
    let answer = proved(&world);
    assert_eq!(answer["most"], (4 * ETHER).to_string(), "{answer}");
    assert_eq!(answer["is_exact"], true, "{answer}");

    let _daemon = world.start();
    let mut client = world.walletd();
    let from = sender(&mut client);
    let mut nonce = 0;
    for step in answer["witness"]["steps"].as_array().expect("steps") {
        let paid = &step["effects"][0];
        let to = paid["to"]["address"].as_str().expect("an address");
        let to = to.rsplit(':').next().expect("its end");
        let amount: u128 = paid["amount"]
            .as_str()
            .expect("text")
            .parse()
            .expect("a number");
        let draft = Draft::transfer(nonce, to, amount);
        client.sign(&transfer(&format!("step-{nonce}"), &from, &draft));
        nonce += 1;
    }
    assert_eq!(client.used("eth-day"), units(4 * ETHER));

    let more = transfer("more", &from, &Draft::transfer(nonce, CUSTOMER, 1));
    let problem = client.refused(&more);
    assert_eq!(problem.kind, ProblemKind::Refused, "{problem:?}");
    let codes: Vec<_> = problem.reasons.iter().map(|reason| &reason.code).collect();
    assert!(codes.iter().all(|code| *code == "limit"), "{problem:?}");
}
