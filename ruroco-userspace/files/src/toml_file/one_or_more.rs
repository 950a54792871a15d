//! A field with one value or a list of them: `port = "tcp/22"` or `port = ["tcp/22", "udp/22"]`.

use ruroco_messages::problems::Problems;

use super::value::{Item, Value};

/// One value or a list of at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneOrMore<T>(pub Vec<T>);

impl<T: Value> Value for OneOrMore<T> {
    fn kind() -> String {
        format!("{}, or a list of them", T::kind())
    }

    /// Those of the elements that are good.
    fn read(item: &Item<'_>, problems: &mut Problems) -> Option<Self> {
        let Some(elements) = item.elements() else {
            return T::read(item, problems).map(|value| Self(vec![value]));
        };
        let elements: Vec<Item<'_>> = elements.collect();
        if elements.is_empty() {
            let (field, kind) = (item.field(), T::kind());
            problems
                .add(item.problem(format_args!("`{field}` is empty. List at least one {kind}")));
            return None;
        }
        Some(Self(elements.iter().filter_map(|element| T::read(element, problems)).collect()))
    }

    fn show(&self) -> String {
        match self.0.as_slice() {
            [one] => one.show(),
            several => format!("[{}]", several.iter().map(T::show).collect::<Vec<_>>().join(", ")),
        }
    }
}
