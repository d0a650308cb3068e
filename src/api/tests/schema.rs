//! The part of JSON Schema 2020-12 that the document uses. A keyword that is not known here fails,
//! so that nothing in the document goes unchecked unseen.

use serde_json::{Map, Value};

/// The schemas of an OpenAPI document.
pub struct Schemas {
    all: Map<String, Value>,
}

/// Where a value does not fit its schema, and why.
pub type Misfit = String;

impl Schemas {
    pub fn of(document: &Value) -> Self {
        let all = document["components"]["schemas"]
            .as_object()
            .expect("there are schemas");
        Self { all: all.clone() }
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.all.keys().map(String::as_str)
    }

    pub fn get(&self, name: &str) -> &Value {
        self.all
            .get(name)
            .unwrap_or_else(|| panic!("there is no schema {name}"))
    }

    /// Holds a value against a schema.
    pub fn check(&self, schema: &Value, value: &Value, at: &str) -> Result<(), Misfit> {
        let misfit = |why: String| Err(format!("{at}: {value} {why}"));
        for (keyword, rule) in schema.as_object().expect("a schema is an object") {
            match keyword.as_str() {
                "$ref" => self.check(self.referred(rule), value, at)?,
                "type" => {
                    if !is_of_type(value, rule.as_str().unwrap()) {
                        return misfit(format!("is no {rule}"));
                    }
                }
                "const" if value != rule => return misfit(format!("is not {rule}")),
                "enum" if !rule.as_array().unwrap().contains(value) => {
                    return misfit(format!("is none of {rule}"));
                }
                "oneOf" => {
                    let fits = |one: &&Value| self.check(one, value, at).is_ok();
                    let fitting = rule.as_array().unwrap().iter().filter(fits).count();
                    if fitting != 1 {
                        return misfit(format!("fits {fitting} alternatives"));
                    }
                }
                "minimum" if value.as_u64() < rule.as_u64() => {
                    return misfit(format!("is below {rule}"));
                }
                "maximum" if value.as_u64() > rule.as_u64() => {
                    return misfit(format!("is above {rule}"));
                }
                "maxItems" if value.as_array().map(Vec::len) > Some(number(rule)) => {
                    return misfit(format!("has more than {rule} items"));
                }
                "items" => self.items(rule, value, at)?,
                "required" => required(rule, value, at)?,
                "properties" => self.properties(schema, value, at)?,
                "additionalProperties" => assert_eq!(*rule, Value::Bool(false), "{at}"),
                "const" | "enum" | "minimum" | "maximum" | "maxItems" => {}
                // Said to readers; `wire` makes values of each pattern and reads them.
                "pattern" | "format" | "contentEncoding" | "title" | "description" => {}
                unknown => panic!("{at}: the keyword {unknown} is not known to this test"),
            }
        }
        Ok(())
    }

    /// The schema that a `$ref` names.
    pub fn referred(&self, rule: &Value) -> &Value {
        let path = rule.as_str().expect("a reference is text");
        let name = path.strip_prefix("#/components/schemas/");
        self.get(name.unwrap_or_else(|| panic!("{path} is no schema's path")))
    }

    fn items(&self, rule: &Value, value: &Value, at: &str) -> Result<(), Misfit> {
        let items = value.as_array().into_iter().flatten();
        for (index, item) in items.enumerate() {
            self.check(rule, item, &format!("{at}[{index}]"))?;
        }
        Ok(())
    }

    fn properties(&self, schema: &Value, value: &Value, at: &str) -> Result<(), Misfit> {
        let known = schema["properties"].as_object().unwrap();
        assert_eq!(
            schema["additionalProperties"],
            Value::Bool(false),
            "{at} is open"
        );
        for (key, value) in value.as_object().into_iter().flatten() {
            let at = format!("{at}.{key}");
            let schema = known.get(key).ok_or_else(|| format!("{at} is not known"))?;
            self.check(schema, value, &at)?;
        }
        Ok(())
    }
}

fn required(rule: &Value, value: &Value, at: &str) -> Result<(), Misfit> {
    let Some(object) = value.as_object() else {
        return Ok(());
    };
    let mut keys = rule.as_array().unwrap().iter().filter_map(Value::as_str);
    match keys.find(|key| !object.contains_key(*key)) {
        Some(key) => Err(format!("{at} has no {key}")),
        None => Ok(()),
    }
}

fn is_of_type(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_u64(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("the type {other} is not known to this test"),
    }
}

fn number(rule: &Value) -> usize {
    usize::try_from(rule.as_u64().unwrap()).unwrap()
}
