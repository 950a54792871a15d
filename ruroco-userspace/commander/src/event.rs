//! An event, as the [audit trail](super::audit) and [notifications](super::notify) have it: a few named facts.

use ruroco_daemon::timestamp;

use super::json::Object;

/// Beginning of the names of variables that hold facts.
const VARIABLE: &str = "RUROCO_";

/// An event with its facts, in their order.
#[derive(Clone, Debug)]
pub struct Event {
    name: &'static str,
    facts: Vec<(&'static str, Fact)>,
}

#[derive(Clone, Debug)]
enum Fact {
    Text(String),
    Number(u64),
}

impl Event {
    /// An event of this kind that happens now.
    pub fn now(name: &'static str) -> Self {
        Self { name, facts: Vec::new() }.text("time", timestamp::now()).text("event", name)
    }

    /// Of which kind it is.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The key that it is about; empty if it is about none.
    pub fn key(&self) -> &str {
        self.facts
            .iter()
            .find_map(|fact| match fact {
                ("key", Fact::Text(key)) => Some(key.as_str()),
                (_, Fact::Text(_) | Fact::Number(_)) => None,
            })
            .unwrap_or_default()
    }

    /// Adds a text.
    #[must_use]
    pub fn text(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.facts.push((name, Fact::Text(value.into())));
        self
    }

    /// Adds a number.
    #[must_use]
    pub fn number(mut self, name: &'static str, value: u64) -> Self {
        self.facts.push((name, Fact::Number(value)));
        self
    }

    /// The facts as JSON.
    pub fn to_object(&self) -> Object {
        self.facts.iter().fold(Object::default(), |object, (name, fact)| match fact {
            Fact::Text(text) => object.text(name, text),
            Fact::Number(number) => object.number(name, *number),
        })
    }

    /// The facts as variables of an environment, in which there is no NUL character.
    pub fn to_variables(&self) -> Vec<(String, String)> {
        let variable = |(name, fact): &(&str, Fact)| {
            let value = match fact {
                Fact::Text(text) => text.replace('\0', ""),
                Fact::Number(number) => number.to_string(),
            };
            (format!("{VARIABLE}{}", name.to_uppercase()), value)
        };
        self.facts.iter().map(variable).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    proptest! {
        #[test]
        fn json_and_variables_have_the_same_facts(text in any::<String>(), number: u64) {
            let event = Event::now("door").text("door", text.clone()).number("until", number);
            let json: Value = serde_json::from_str(&event.to_object().close()).unwrap();
            prop_assert_eq!(&json["event"], "door");
            prop_assert_eq!(&json["door"], &text);
            prop_assert_eq!(&json["until"], number);
            let variables = event.to_variables();
            let names: Vec<&str> = variables.iter().map(|(name, _)| name.as_str()).collect();
            prop_assert_eq!(names, ["RUROCO_TIME", "RUROCO_EVENT", "RUROCO_DOOR", "RUROCO_UNTIL"]);
            prop_assert_eq!(&variables[2].1, &text.replace('\0', ""));
            prop_assert_eq!(&variables[3].1, &number.to_string());
        }
    }
}
