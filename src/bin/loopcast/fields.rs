//! JSON objects whose fields keep the order they are written in.

use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::Value;

/// An object under construction.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fields(Vec<(&'static str, Field)>);

#[derive(Clone, Debug)]
enum Field {
    Value(Value),
    Object(Fields),
    Array(Vec<Fields>),
}

impl Fields {
    /// An object without fields.
    pub(crate) fn new() -> Fields {
        Fields::default()
    }

    /// The same with one more field. An absent option becomes `null`.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Fields {
        self.0.push((name, Field::Value(value.into())));
        self
    }

    /// The same with an object in a field.
    pub(crate) fn object(mut self, name: &'static str, object: Fields) -> Fields {
        self.0.push((name, Field::Object(object)));
        self
    }

    /// The same with a list of objects in a field.
    pub(crate) fn array(
        mut self,
        name: &'static str,
        array: impl IntoIterator<Item = Fields>,
    ) -> Fields {
        self.0
            .push((name, Field::Array(array.into_iter().collect())));
        self
    }

    /// The same with another object's fields behind its own.
    pub(crate) fn and(mut self, more: Fields) -> Fields {
        self.0.extend(more.0);
        self
    }

    /// On one line.
    pub(crate) fn line(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// On many, indented.
    pub(crate) fn pretty(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default()
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, field) in &self.0 {
            map.serialize_entry(name, field)?;
        }
        map.end()
    }
}

impl Serialize for Field {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Field::Value(value) => value.serialize(serializer),
            Field::Object(object) => object.serialize(serializer),
            Field::Array(array) => array.serialize(serializer),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_kept_and_all_is_escaped() {
        let inner = Fields::new().with("z", 1u64).with("a", None::<u64>);
        let f = Fields::new()
            .with("name", "a\"\n")
            .object("o", inner.clone())
            .array("l", [inner]);
        assert_eq!(
            f.line(),
            r#"{"name":"a\"\n","o":{"z":1,"a":null},"l":[{"z":1,"a":null}]}"#
        );
    }
}
