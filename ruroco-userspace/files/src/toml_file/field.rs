//! What a field of a file is: its name, type, default, range, meaning, and when a change takes effect.
//!
//! There is one such definition for each field. Reading, problems, the reference page and the dictionary of
//! the fuzzers all come from it.

use super::value::Value;

/// A field that holds a `T`.
pub struct Field<T: 'static> {
    /// Its name.
    pub name: &'static str,
    /// What it says, in a sentence or two.
    pub doc: &'static str,
    /// What it is where the file does not say.
    pub default: Default<T>,
    /// When a change of it takes effect.
    pub change: Change,
}

/// What a field is where the file does not say.
pub enum Default<T> {
    /// The file must contain the field.
    Required,
    /// Nothing; this is what that means.
    Nothing(&'static str),
    /// This value.
    Value(fn() -> T),
}

/// When a changed field takes effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// When the file is read again: by a daemon at a reload, by a client each time that it runs.
    Reload,
    /// When these daemons start again; a reload that would change it is rejected by them.
    Restart(&'static [Daemon]),
}

/// A program that reads configuration and keeps running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Daemon {
    /// `ruroco-gate`
    Gate,
    /// `ruroco-server`
    Server,
    /// `ruroco-commander`
    Commander,
}

impl Daemon {
    /// The program's name.
    pub const fn program(self) -> &'static str {
        match self {
            Self::Gate => "ruroco-gate",
            Self::Server => "ruroco-server",
            Self::Commander => "ruroco-commander",
        }
    }
}

/// A field as a person reads about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Info {
    /// Its name.
    pub name: &'static str,
    /// What kind of value it holds, with its range.
    pub kind: String,
    /// What it is where the file does not say, as TOML; or in words.
    pub default: Shown,
    /// When a change of it takes effect.
    pub change: Change,
    /// What it says.
    pub doc: &'static str,
}

/// A default as a person reads about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// The file must contain the field.
    Required,
    /// In words.
    Words(&'static str),
    /// A value, as TOML.
    Value(String),
}

impl<T: Value> Field<T> {
    /// What it is where the file does not say, if it is something.
    pub fn default_value(&self) -> Option<T> {
        match &self.default {
            Default::Value(default) => Some(default()),
            Default::Required | Default::Nothing(_) => None,
        }
    }

    /// What a person reads about it.
    pub fn info(&self) -> Info {
        let default = match &self.default {
            Default::Required => Shown::Required,
            Default::Nothing(meaning) => Shown::Words(meaning),
            Default::Value(default) => Shown::Value(default().show()),
        };
        Info { name: self.name, kind: T::kind(), default, change: self.change, doc: self.doc }
    }
}

/// Defines the fields of a table, and a function that lists them in the order of their definition.
#[macro_export]
macro_rules! fields {
    ($(#[doc = $about:literal])+ $all:ident; $(
        $(#[doc = $doc:literal])+
        $constant:ident: $type:ty = $name:literal, $default:expr, $change:expr;
    )+) => {
        $(
            $(#[doc = $doc])+
            pub const $constant: $crate::toml_file::field::Field<$type> =
                $crate::toml_file::field::Field {
                    name: $name,
                    doc: concat!($($doc),+),
                    default: $default,
                    change: $change,
                };
        )+

        $(#[doc = $about])+
        pub fn $all() -> Vec<$crate::toml_file::field::Info> {
            vec![$($constant.info()),+]
        }
    };
}
