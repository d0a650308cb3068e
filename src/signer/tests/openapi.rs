//! The OpenAPI document lists exactly the routes that there are.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::repository;

#[test]
fn lists_exactly_the_routes() {
    let document: Value = serde_json::from_str(&repository::read("src/api/openapi.json")).unwrap();
    let listed: BTreeSet<(String, String)> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().keys();
            methods.map(move |method| (method.to_uppercase(), path.clone()))
        })
        .collect();
    let routes = signerd::http::ROUTES.map(|(method, path)| (method.to_owned(), path.to_owned()));
    assert_eq!(listed, BTreeSet::from(routes));
}

#[test]
fn names_the_parameters_of_each_path() {
    let document: Value = serde_json::from_str(&repository::read("src/api/openapi.json")).unwrap();
    for (_, path) in signerd::http::ROUTES {
        let named = path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        for operation in document["paths"][path].as_object().unwrap().values() {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let in_path = parameters
                .filter(|parameter| parameter["in"] == "path" && parameter["required"] == true)
                .filter_map(|parameter| parameter["name"].as_str());
            assert_eq!(
                in_path.collect::<Vec<_>>(),
                named.clone().collect::<Vec<_>>(),
                "{path}"
            );
        }
    }
}
