//! The types that fields have: how each type reads a value, and its message about an invalid value.

use std::{
    fmt::{self, Display},
    net::IpAddr,
    ops::Range,
    path::PathBuf,
    time::Duration,
};

use ruroco_messages::problems::{Problem, Problems};
use toml::{Spanned, de::DeValue};

use super::datetime::Datetime;
use super::{Source, look_alike, nearest, table::Table};

/// Longest value that is repeated. A key is longer, and no value that is wrong needs more to be found.
const MAX_SHOWN: usize = 40;

/// What can be the value of a field.
pub trait Value: Sized {
    /// What a person reads that it is, with its range: "a port number from 1 to 65535".
    fn kind() -> String;

    /// Reads the value, and adds a problem for each error in it.
    fn read(item: &Item<'_>, problems: &mut Problems) -> Option<Self>;

    /// The value as TOML.
    fn show(&self) -> String;
}

/// A value as it is written in a file.
#[derive(Clone)]
pub struct Item<'a> {
    file: &'a Source,
    field: &'a str,
    value: &'a DeValue<'a>,
    at: Range<usize>,
    /// Whether it is all of the field's value, and not an element of it.
    is_whole: bool,
    /// Whether it may be a password.
    is_secret: bool,
}

impl<'a> Item<'a> {
    /// The value of this field. If it `is_secret`, problems do not repeat it.
    pub fn new(
        file: &'a Source,
        field: &'a str,
        value: &'a Spanned<DeValue<'a>>,
        is_secret: bool,
    ) -> Self {
        Self { file, field, value: value.get_ref(), at: value.span(), is_whole: true, is_secret }
    }

    /// Where it stands.
    pub fn at(&self) -> Range<usize> {
        self.at.clone()
    }

    /// The name of its field.
    pub fn field(&self) -> &'a str {
        self.field
    }

    /// The table that it is, if it is one.
    pub fn table(&self) -> Option<Table<'a>> {
        let table = self.value.as_table()?;
        Some(Table::new(self.file, self.at(), table.clone()))
    }

    /// The value.
    pub fn value(&self) -> &'a DeValue<'a> {
        self.value
    }

    /// A problem with it.
    pub fn problem(&self, message: impl Display) -> Problem {
        match look_alike(self.file.line_at(self.at.start)) {
            Some(look_alike) => self.file.error(self.at(), format_args!("{message}; {look_alike}")),
            None => self.file.error(self.at(), message),
        }
    }

    /// That it is no such value, and what to use.
    pub fn wrong(&self, remedy: impl Display) -> Problem {
        self.problem(format_args!("{} is not valid. Use {remedy}", self.shown()))
    }

    /// The same with the line that was probably meant.
    fn wrong_like(&self, remedy: impl Display, meant: Option<String>) -> Problem {
        match meant.filter(|_| self.is_whole && !self.is_secret) {
            Some(meant) => self.wrong(format_args!("{remedy}: `{} = {meant}`", self.field)),
            None => self.wrong(remedy),
        }
    }

    /// The text of a string.
    pub fn text(&self) -> Option<&'a str> {
        self.value.as_str()
    }

    /// A date, a time, or both.
    pub fn datetime(&self) -> Option<Datetime> {
        self.value.as_datetime().copied()
    }

    /// The elements of a list.
    pub fn elements(&self) -> Option<impl Iterator<Item = Item<'a>> + use<'a>> {
        let list = self.value.as_array()?;
        let Self { file, field, is_secret, .. } = *self;
        Some(list.iter().map(move |element| Item {
            file,
            field,
            value: element.get_ref(),
            at: element.span(),
            is_whole: false,
            is_secret,
        }))
    }

    fn written(&self) -> Option<&'a str> {
        self.file.text().get(self.at())
    }

    /// What is written, as far as it may be repeated.
    fn shown(&self) -> String {
        let written = self.written().filter(|written| {
            !self.is_secret
                && written.len() <= MAX_SHOWN
                && !written.contains('\n')
                && !written.contains("poly1305")
        });
        let field = self.field;
        match written {
            Some(written) if self.is_whole => format!("`{field} = {written}`"),
            Some(written) => format!("`{written}` in `{field}`"),
            None => format!("the value of `{field}`"),
        }
    }

    fn integer(&self) -> Option<u64> {
        let number = self.value.as_integer()?;
        u64::from_str_radix(number.as_str(), number.radix()).ok()
    }

    /// The number in a text such as `"80"`.
    fn quoted_number(&self) -> Option<u64> {
        self.text()?.trim().parse().ok()
    }
}

impl fmt::Debug for Item<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Item").field("field", &self.field).field("at", &self.at).finish()
    }
}

/// A value and where it stands. A default stands at the beginning of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Where it stands, in bytes.
    pub at: Range<usize>,
}

impl<T: Value> Value for Located<T> {
    fn kind() -> String {
        T::kind()
    }

    fn read(item: &Item<'_>, problems: &mut Problems) -> Option<Self> {
        Some(Self { value: T::read(item, problems)?, at: item.at() })
    }

    fn show(&self) -> String {
        self.value.show()
    }
}

impl Value for String {
    fn kind() -> String {
        "text".to_owned()
    }

    fn read(item: &Item<'_>, problems: &mut Problems) -> Option<Self> {
        let Some(text) = item.text() else {
            let written = item.written().unwrap_or_default();
            let is_plain = !written.is_empty() && !written.contains(['"', '\'', '[', '{', '\n']);
            let meant = is_plain.then(|| format!("\"{written}\""));
            problems.add(item.wrong_like("a text in quotes", meant));
            return None;
        };
        Some(text.to_owned())
    }

    fn show(&self) -> String {
        format!("{self:?}")
    }
}

impl Value for PathBuf {
    fn kind() -> String {
        "absolute path".to_owned()
    }

    fn read(item: &Item<'_>, problems: &mut Problems) -> Option<Self> {
        let path = Self::from(String::read(item, problems)?);
        if path.is_absolute() && !path.as_os_str().as_encoded_bytes().contains(&0) {
            return Some(path);
        }
        problems.add(item.wrong("an absolute path, which begins with /"));
        None
    }

    fn show(&self) -> String {
        format!("{self:?}")
    }
}

impl Value for IpAddr {
    fn kind() -> String {
        "IP address".to_owned()
    }

    fn read(item: &Item<'_>, problems: &mut Problems) -> Option<Self> {
        let address = item.text().and_then(|text| text.parse().ok());
        if address.is_none() {
            problems.add(item.wrong("an IP address in quotes, such as \"192.0.2.1\" or \"::\""));
        }
        address
    }

    fn show(&self) -> String {
        format!("\"{self}\"")
    }
}

impl Value for bool {
    fn kind() -> String {
        "true or false".to_owned()
    }

    fn read(item: &Item<'_>, problems: &mut Problems) -> Option<Self> {
        let value = item.value.as_bool();
        if value.is_none() {
            let meant = item.text().filter(|text| matches!(*text, "true" | "false"));
            let meant = meant.map(str::to_owned);
            problems.add(item.wrong_like("true or false, without quotes", meant));
        }
        value
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

/// A port of TCP or UDP: 1 to 65535.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port(pub u16);

impl Value for Port {
    fn kind() -> String {
        "port number from 1 to 65535".to_owned()
    }

    fn read(item: &Item<'_>, problems: &mut Problems) -> Option<Self> {
        let port = |number: u64| u16::try_from(number).ok().filter(|port| *port != 0);
        let value = item.integer().and_then(port);
        if value.is_none() {
            let meant = item.quoted_number().and_then(port).map(|port| port.to_string());
            problems.add(item.wrong_like("a port number from 1 to 65535, without quotes", meant));
        }
        value.map(Self)
    }

    fn show(&self) -> String {
        self.0.to_string()
    }
}

/// How many: at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count(pub u32);

impl Value for Count {
    fn kind() -> String {
        "whole number from 1".to_owned()
    }

    fn read(item: &Item<'_>, problems: &mut Problems) -> Option<Self> {
        let count = |number: u64| u32::try_from(number).ok().filter(|count| *count != 0);
        let value = item.integer().and_then(count);
        if value.is_none() {
            let meant = item.quoted_number().and_then(count).map(|count| count.to_string());
            problems.add(item.wrong_like("a whole number, at least 1, without quotes", meant));
        }
        value.map(Self)
    }

    fn show(&self) -> String {
        self.0.to_string()
    }
}

/// Units of time and the seconds in each, the longest first.
const UNITS: [(&str, u64); 4] = [("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];

/// A time of `MIN` to `MAX` seconds: a number with a unit in quotes, or whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time<const MIN: u64, const MAX: u64>(pub Duration);

impl<const MIN: u64, const MAX: u64> Value for Time<MIN, MAX> {
    fn kind() -> String {
        format!("time from {} to {}", in_words(MIN), in_words(MAX))
    }

    fn read(item: &Item<'_>, problems: &mut Problems) -> Option<Self> {
        let seconds = item.integer().or_else(|| item.text().and_then(seconds));
        let seconds = seconds.filter(|seconds| (MIN..=MAX).contains(seconds));
        if seconds.is_none() {
            problems.add(item.wrong(format_args!(
                "a time from {} to {}, such as {}",
                in_words(MIN),
                in_words(MAX),
                examples(MIN, MAX)
            )));
        }
        seconds.map(|seconds| Self(Duration::from_secs(seconds)))
    }

    fn show(&self) -> String {
        format!("{:?}", shortest(self.0.as_secs()))
    }
}

/// Times between these bounds, as they are written.
fn examples(min: u64, max: u64) -> String {
    let seconds = [30, 300, 3_600].into_iter().filter(|seconds| (min..=max).contains(seconds));
    let mut written: Vec<String> = seconds.map(|one| format!("{:?}", shortest(one))).collect();
    match written.pop() {
        Some(last) if written.is_empty() => last,
        Some(last) => format!("{} or {last}", written.join(", ")),
        None => format!("{:?}", shortest(min)),
    }
}

/// The time in a text such as `5m`, in whole seconds.
pub fn parse_time(text: &str) -> Option<Duration> {
    seconds(text).map(Duration::from_secs)
}

/// The seconds in a text such as `5m`.
fn seconds(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = text.get(digits.len()..)?.trim();
    let (_, seconds) = UNITS.iter().find(|(name, _)| *name == unit)?;
    digits.parse::<u64>().ok()?.checked_mul(*seconds)
}

/// The seconds with the longest unit of which they are a whole number.
fn shortest(seconds: u64) -> String {
    let fits = |(_, unit): &&(&str, u64)| seconds != 0 && seconds.is_multiple_of(*unit);
    let (name, unit) = UNITS.iter().find(fits).copied().unwrap_or(("s", 1));
    format!("{}{name}", seconds.checked_div(unit).unwrap_or(seconds))
}

fn in_words(seconds: u64) -> String {
    let text = shortest(seconds);
    let (number, unit) = text.split_at(text.len().saturating_sub(1));
    let unit = match unit {
        "d" => "day",
        "h" => "hour",
        "m" => "minute",
        _ => "second",
    };
    let plural = if number == "1" { "" } else { "s" };
    format!("{number} {unit}{plural}")
}

impl<T: Value> Value for Vec<T> {
    fn kind() -> String {
        let kind = T::kind();
        let end = match kind.chars().last() {
            Some('s') => "es",
            // Literal values.
            Some('"') => "",
            _ => "s",
        };
        format!("list of {kind}{end}")
    }

    /// Those of the elements that are good.
    fn read(item: &Item<'_>, problems: &mut Problems) -> Option<Self> {
        let Some(elements) = item.elements() else {
            let meant = item.text().and(item.written()).map(|written| format!("[{written}]"));
            problems.add(match meant {
                Some(meant) => item.wrong_like("a list", Some(meant)),
                None => item.wrong("a list, as in [\"one\", \"two\"]"),
            });
            return None;
        };
        Some(elements.filter_map(|element| T::read(&element, problems)).collect())
    }

    fn show(&self) -> String {
        format!("[{}]", self.iter().map(T::show).collect::<Vec<_>>().join(", "))
    }
}

/// One of a few names.
pub trait Choice: Copy + PartialEq + 'static {
    /// The names, and what each stands for.
    const CHOICES: &'static [(&'static str, Self)];
}

/// The value of a field that is one of a few names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OneOf<T>(pub T);

impl<T: Choice> Value for OneOf<T> {
    fn kind() -> String {
        names::<T>()
    }

    fn read(item: &Item<'_>, problems: &mut Problems) -> Option<Self> {
        let text = item.text();
        let choice = T::CHOICES.iter().find(|(name, _)| text == Some(*name));
        if choice.is_none() {
            let known = T::CHOICES.iter().map(|(name, _)| *name);
            let meant = text.and_then(|text| nearest(text, known));
            problems.add(match meant {
                Some(meant) => {
                    item.wrong(format_args!("{}; did you mean \"{meant}\"?", names::<T>()))
                }
                None => item.wrong(names::<T>()),
            });
        }
        choice.map(|(_, value)| Self(*value))
    }

    fn show(&self) -> String {
        let name = T::CHOICES.iter().find(|(_, value)| *value == self.0);
        name.map(|(name, _)| format!("\"{name}\"")).unwrap_or_default()
    }
}

/// `"a"`, `"b"` or `"c"`.
fn names<T: Choice>() -> String {
    let quoted: Vec<String> = T::CHOICES.iter().map(|(name, _)| format!("\"{name}\"")).collect();
    match quoted.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} or {last}", others.join(", ")),
        _ => quoted.concat(),
    }
}

/// A list with at least one element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filled<T>(pub Vec<T>);

impl<T: Value> Value for Filled<T> {
    fn kind() -> String {
        Vec::<T>::kind()
    }

    /// Those of the elements that are good.
    fn read(item: &Item<'_>, problems: &mut Problems) -> Option<Self> {
        let elements = Vec::read(item, problems)?;
        if item.elements().is_some_and(|mut elements| elements.next().is_none()) {
            let (field, kind) = (item.field, T::kind());
            problems
                .add(item.problem(format_args!("`{field}` is empty. List at least one {kind}")));
            return None;
        }
        Some(Self(elements))
    }

    fn show(&self) -> String {
        self.0.show()
    }
}
