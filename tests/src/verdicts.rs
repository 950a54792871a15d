//! The counters of the gate, as `ruroco status --json` shows them.

use std::collections::BTreeMap;

use ruroco_common::verdict::Verdict;
use serde_json::Value;

/// How many packets got which verdict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdicts(BTreeMap<&'static str, u64>);

impl Verdicts {
    /// From the output of `ruroco status --json`.
    ///
    /// # Panics
    /// If a verdict is missing, or there is one of another name.
    pub fn of_status(status: &Value) -> Self {
        let shown = status["verdicts"].as_object().expect("verdicts in the status");
        assert_eq!(shown.len(), Verdict::ALL.len(), "{shown:?}");
        Self(
            Verdict::ALL
                .into_iter()
                .map(|verdict| {
                    let count = shown.get(verdict.name()).and_then(Value::as_u64);
                    (
                        verdict.name(),
                        count.unwrap_or_else(|| panic!("no {} in {shown:?}", verdict.name())),
                    )
                })
                .collect(),
        )
    }

    /// The count of one verdict.
    pub fn of(&self, verdict: Verdict) -> u64 {
        self.0.get(verdict.name()).copied().unwrap_or(0)
    }

    /// How many more there are than in an earlier answer, of those verdicts that there are more of.
    ///
    /// [`Verdict::NotOurs`] is left out: interfaces have a life of their own (multicast groups
    /// being joined), and a packet has only one verdict.
    pub fn since(&self, earlier: &Self) -> BTreeMap<&'static str, u64> {
        let more = self.0.iter().map(|(name, count)| {
            (*name, count.checked_sub(earlier.0[name]).expect("counters only go up"))
        });
        more.filter(|(name, count)| *count != 0 && *name != Verdict::NotOurs.name()).collect()
    }
}
