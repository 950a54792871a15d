//! Changes of a text at known places. The rest of it stays as it was written: comments, order and spaces.

use std::ops::Range;

/// A text, and what is to change in it.
pub(super) struct Edit<'a> {
    text: &'a str,
    changes: Vec<(Range<usize>, String)>,
}

impl<'a> Edit<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self { text, changes: Vec::new() }
    }

    /// Has this place, in bytes, say something else. No two places may overlap.
    pub(super) fn replace(&mut self, place: Range<usize>, with: impl Into<String>) {
        self.changes.push((place, with.into()));
    }

    /// The changed text, or `None` if nothing changes.
    pub(super) fn finish(mut self) -> Option<String> {
        if self.changes.is_empty() {
            return None;
        }
        self.changes.sort_by_key(|(place, _)| place.start);
        let (mut changed, mut done) = (String::new(), 0);
        for (place, with) in &self.changes {
            changed.push_str(self.text.get(done..place.start).unwrap_or_default());
            changed.push_str(with);
            done = place.end;
        }
        changed.push_str(self.text.get(done..).unwrap_or_default());
        Some(changed)
    }
}
