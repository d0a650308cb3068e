//! The OpenAPI document lists exactly the routes that there are.

use std::collections::BTreeSet;

use serde_json::Value;
use wallet::web::ROUTES;

use super::house::House;

fn document() -> Value {
    serde_json::from_str(include_str!("../../../api/wallet.json")).unwrap()
}

#[test]
fn lists_exactly_the_routes() {
    let document = document();
    let listed: BTreeSet<(&str, &str)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().keys();
            methods.map(move |method| (method.as_str(), path.as_str()))
        })
        .collect();
    assert_eq!(listed, ROUTES.iter().copied().collect());
}

#[test]
fn names_the_parameters_of_each_path() {
    let document = document();
    for (method, path) in ROUTES {
        let named = path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let parameters = document["paths"][path][method]["parameters"].as_array();
        let in_path = parameters
            .into_iter()
            .flatten()
            .filter(|parameter| parameter["in"] == "path" && parameter["required"] == true)
            .filter_map(|parameter| parameter["name"].as_str());
        assert_eq!(
            in_path.collect::<Vec<_>>(),
            named.collect::<Vec<_>>(),
            "{path}"
        );
    }
}

/// The parameters behind the question mark that the document lists are taken, and no others.
#[tokio::test]
async fn takes_the_parameters_that_are_listed() {
    let house = House::new().await;
    let document = document();
    let good = |name: &str| match name {
        "source" => "desk",
        "stage" => "final",
        "account" => "ann",
        _ => "1",
    };
    for (method, path) in ROUTES.iter().filter(|(method, _)| *method == "get") {
        let asked = path.replace("{id}", "w-1").replace("{name}", "ann");
        let asked = asked.replace("{lane}", "litecoin:regtest:hot");
        let parameters = document["paths"][path][method]["parameters"].as_array();
        let listed = parameters.into_iter().flatten();
        for parameter in listed.filter(|parameter| parameter["in"] == "query") {
            let name = parameter["name"].as_str().unwrap();
            let answer = house
                .get("officer", &format!("{asked}?{name}={}", good(name)))
                .await;
            assert!(matches!(answer.status, 200 | 404), "{path} {name}");
        }
        if !matches!(*path, "/v1/status" | "/v1/accounts/{name}") {
            let answer = house.get("officer", &format!("{asked}?unheard=1")).await;
            answer.is("malformed", 400);
        }
    }
}
