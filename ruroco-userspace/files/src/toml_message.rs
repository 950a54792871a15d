//! The errors of `serde` and `toml` in the words of the people who write the file: no Rust types, but the
//! line as it is and as it could be.

/// Longest value that is repeated. A key is longer, and no value that is wrong needs more to be found.
const MAX_SHOWN: usize = 40;

/// Where the mistake is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place<'a> {
    /// The name of the field.
    pub(crate) field: Option<&'a str>,
    /// What is written in the place of its value, if that is what the mistake is about.
    pub(crate) written: Option<&'a str>,
    /// Whether that is all of the value, and not a part of it.
    pub(crate) is_whole: bool,
}

/// The message about an error. Unknown messages are repeated as they are.
pub(crate) fn explain(message: &str, place: Place<'_>) -> String {
    if message == "duplicate key" {
        return match place.field.or(place.written) {
            Some(field) => format!("duplicate key `{field}`. Remove one of the two"),
            None => "duplicate key. Remove one of the two".to_owned(),
        };
    }
    let what = place.what();
    if let Some(known) = message.strip_prefix("unknown variant ") {
        let mut names = known.split('`').skip(1).step_by(2);
        let written = names.next().unwrap_or_default();
        let known: Vec<&str> = names.collect();
        let meant = crate::toml_file::nearest(written, known.iter().copied());
        let meant = meant.map(|meant| format!("; did you mean \"{meant}\"?")).unwrap_or_default();
        return format!("{what} is not valid. Use {}{meant}", one_of(&known));
    }
    let expected = message
        .strip_prefix("invalid type: ")
        .or_else(|| message.strip_prefix("invalid value: "))
        .and_then(|rest| rest.rsplit_once(", expected "));
    match expected.and_then(|(_, expected)| remedy(expected, place)) {
        Some(remedy) => format!("{what} is not valid. {remedy}"),
        None => message.to_owned(),
    }
}

impl Place<'_> {
    /// The line, as far as it is known and may be repeated.
    fn what(&self) -> String {
        let written = self.written.filter(|written| {
            written.len() <= MAX_SHOWN && !written.contains('\n') && !written.contains("poly1305")
        });
        match (self.field, written) {
            (Some(field), Some(written)) if self.is_whole => format!("`{field} = {written}`"),
            (Some(field), Some(written)) => format!("`{written}` in `{field}`"),
            (Some(field), None) => format!("the value of `{field}`"),
            (None, Some(written)) => format!("`{written}`"),
            (None, None) => "this value".to_owned(),
        }
    }

    /// The line with the value that was likely meant, if there is one.
    fn with(&self, value: Option<String>) -> String {
        match (self.field.filter(|_| self.is_whole), value) {
            (Some(field), Some(value)) => format!(": `{field} = {value}`"),
            _ => String::new(),
        }
    }

    fn is_in_seconds(&self) -> bool {
        let is =
            |field: &str| ["timeout", "_sec", "_seconds"].iter().any(|end| field.ends_with(end));
        self.field.is_some_and(is)
    }
}

/// What to write where `serde` expected this.
fn remedy(expected: &str, place: Place<'_>) -> Option<String> {
    let written = place.written.unwrap_or_default();
    Some(match expected {
        // All of them are ports.
        "u16" => {
            let usable = number_in(written).filter(|number| (1..=65535).contains(number));
            let example = place.with(usable.map(|number| number.to_string()));
            format!("Use a port number from 1 to 65535, without quotes{example}")
        }
        "u8" | "u32" | "u64" | "usize" => {
            let example = place.with(number_in(written).map(|number| number.to_string()));
            let seconds = if place.is_in_seconds() { " of seconds" } else { "" };
            format!("Use a whole number{seconds}, without quotes{example}")
        }
        "a boolean" => {
            let value = Some(written.trim_matches(['"', '\'']).to_owned());
            let example = place.with(value.filter(|value| value == "true" || value == "false"));
            format!("Use true or false, without quotes{example}")
        }
        "a string" => {
            let is_plain = !written.is_empty() && !written.contains(['"', '\'', '[', '{', '\n']);
            let example = place.with(is_plain.then(|| format!("\"{written}\"")));
            format!("Use a text in quotes{example}")
        }
        "a sequence" => {
            let is_text = written.starts_with(['"', '\'']);
            let example = place.with(is_text.then(|| format!("[{written}]")));
            match example.is_empty() {
                true => "Use a list, as in [\"one\", \"two\"]".to_owned(),
                false => format!("Use a list{example}"),
            }
        }
        other if other == "a map" || other.starts_with("struct ") => {
            "Use a table, with a line for each of its fields".to_owned()
        }
        _ => return None,
    })
}

/// The whole number that was probably meant by `"30s"` or `"80"`; for `-1` or `1.5`, there is no such number.
fn number_in(written: &str) -> Option<u64> {
    let text = written.strip_prefix('"')?.strip_suffix('"')?;
    let digits =
        text.len().checked_sub(text.trim_start_matches(|c: char| c.is_ascii_digit()).len())?;
    let (number, unit) = text.split_at_checked(digits)?;
    let is_seconds = matches!(unit.trim(), "" | "s" | "sec" | "seconds");
    number.parse().ok().filter(|_| is_seconds)
}

/// `"a"`, `"b"` or `"c"`.
fn one_of(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
    match quoted.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => "another value".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_told_without_types_and_with_the_line_to_write() {
        for (message, field, written, told) in [
            (
                "invalid type: string \"30s\", expected u64",
                "timeout",
                "\"30s\"",
                "`timeout = \"30s\"` is not valid. Use a whole number of seconds, without quotes: \
                 `timeout = 30`",
            ),
            (
                "invalid value: integer `70000`, expected u16",
                "wait",
                "70000",
                "`wait = 70000` is not valid. Use a port number from 1 to 65535, without quotes",
            ),
            (
                "invalid type: string \"80\", expected u16",
                "port",
                "\"80\"",
                "`port = \"80\"` is not valid. Use a port number from 1 to 65535, without quotes: \
                 `port = 80`",
            ),
            (
                "invalid value: integer `-1`, expected u32",
                "max_requests_per_second",
                "-1",
                "`max_requests_per_second = -1` is not valid. Use a whole number, without quotes",
            ),
            (
                "invalid type: string \"5 min\", expected u64",
                "timeout",
                "\"5 min\"",
                "`timeout = \"5 min\"` is not valid. Use a whole number of seconds, without quotes",
            ),
            (
                "invalid type: string \"true\", expected a boolean",
                "allow",
                "\"true\"",
                "`allow = \"true\"` is not valid. Use true or false, without quotes: `allow = true`",
            ),
            (
                "invalid type: integer `1`, expected a string",
                "socket_user",
                "1",
                "`socket_user = 1` is not valid. Use a text in quotes: `socket_user = \"1\"`",
            ),
            (
                "invalid type: string \"true\", expected a sequence",
                "run",
                "\"true\"",
                "`run = \"true\"` is not valid. Use a list: `run = [\"true\"]`",
            ),
            (
                "invalid type: integer `3`, expected struct RawCommand",
                "x",
                "3",
                "`x = 3` is not valid. Use a table, with a line for each of its fields",
            ),
            (
                "unknown variant `upd`, expected `xdp` or `udp`",
                "source",
                "\"upd\"",
                "`source = \"upd\"` is not valid. Use \"xdp\" or \"udp\"; did you mean \"udp\"?",
            ),
            (
                "unknown variant `drv`, expected one of `native`, `generic`, `auto`",
                "mode",
                "\"drv\"",
                "`mode = \"drv\"` is not valid. Use \"native\", \"generic\" or \"auto\"",
            ),
            ("duplicate key", "port", "port", "duplicate key `port`. Remove one of the two"),
        ] {
            let place = Place { field: Some(field), written: Some(written), is_whole: true };
            assert_eq!(explain(message, place), told);
        }
    }

    #[test]
    fn a_part_of_a_value_is_told_as_one_and_a_long_one_is_not_repeated() {
        let part = Place { field: Some("ips"), written: Some("1"), is_whole: false };
        let told = explain("invalid type: integer `1`, expected a string", part);
        assert_eq!(told, "`1` in `ips` is not valid. Use a text in quotes");
        for secret in ["\"chacha20poly1305:AAEC\"".to_owned(), format!("\"{}\"", "A".repeat(48))] {
            let place = Place { field: Some("port"), written: Some(&secret), is_whole: true };
            let message = format!("invalid type: string {secret}, expected u16");
            let told = explain(&message, place);
            let expected = "the value of `port` is not valid. Use a port number from 1 to 65535, without \
                            quotes";
            assert_eq!(told, expected);
        }
    }
}
