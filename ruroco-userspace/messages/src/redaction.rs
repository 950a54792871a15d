//! Secrets in texts that are about to be shown.
//!
//! A message repeats input, which may contain a key in a wrong place: in the name of a file, in a
//! configuration file or on a command line. No message can detect that in its own input, so all output passes
//! through here last.

use std::{borrow::Cow, ops::Range};

/// What replaces a secret.
pub const INSTEAD: &str = "[secret]";

/// What a secret is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An invitation, which contains a key.
    Invitation,
    /// A key.
    Key,
    /// Something that looks like a part of a key.
    Fragment,
}

/// How keys begin that name their cipher.
const CIPHERS: [&str; 2] = ["chacha20poly1305", "aes256gcmsiv"];

/// How invitations begin. Paths lose the second slash.
const SCHEME: &str = "ruroco:/";

/// The colon behind a cipher, as it is and as invitations have it.
const COLONS: [&str; 3] = [":", "%3a", "%253a"];

/// The base64 of 40 bytes without its padding: a key that does not name its cipher.
const BARE_KEY: usize = 54;

/// Longest run of letters and digits, some of them capital, some small, that is likely to be a word.
const LONGEST_WORD: usize = 31;

/// How many characters of a longer run are examined at a time.
const WINDOW: usize = 40;

/// The text, with [`INSTEAD`] in the place of each secret.
pub fn redacted(text: &str) -> Cow<'_, str> {
    let mut shown = String::new();
    let mut rest = text;
    while let Some((before, _, after)) = first(rest) {
        shown.push_str(before);
        shown.push_str(INSTEAD);
        rest = after;
    }
    if shown.is_empty() { Cow::Borrowed(text) } else { Cow::Owned(shown + rest) }
}

/// What kind of secret a text contains, if it contains one. This ignores fragments: a valid name may look
/// like one.
pub fn secret_in(text: &str) -> Option<Kind> {
    let mut rest = text;
    while let Some((_, kind, after)) = first(rest) {
        if kind != Kind::Fragment {
            return Some(kind);
        }
        rest = after;
    }
    None
}

/// The first secret in a text: what stands before it, its kind, and what stands behind it.
fn first(text: &str) -> Option<(&str, Kind, &str)> {
    let mut start = 0_usize;
    for word in text.split_inclusive(|c: char| c.is_whitespace() || c.is_control()) {
        if let Some((place, kind)) = first_in_word(word) {
            let from = start.saturating_add(place.start);
            let to = start.saturating_add(place.end);
            return Some((text.get(..from)?, kind, text.get(to..)?));
        }
        start = start.saturating_add(word.len());
    }
    None
}

fn first_in_word(word: &str) -> Option<(Range<usize>, Kind)> {
    let lower = word.to_ascii_lowercase();
    let found = [invitation(&lower), key_with_cipher(&lower), field(word, &lower), run(word)];
    found.into_iter().flatten().min_by_key(|(place, _)| place.start)
}

/// To the end of the word, except characters that close a quotation or a sentence.
fn invitation(lower: &str) -> Option<(Range<usize>, Kind)> {
    let (start, _) = lower.match_indices(SCHEME).find(|(start, _)| {
        let behind = lower.get(start.saturating_add(SCHEME.len())..).unwrap_or_default();
        behind.trim_start_matches('/').starts_with(|c: char| c.is_alphanumeric() || c == '[')
    })?;
    let end =
        lower.trim_end().trim_end_matches(['`', '\'', '"', '.', ',', ';', ':', ')', '>']).len();
    Some((start..end, Kind::Invitation))
}

fn key_with_cipher(lower: &str) -> Option<(Range<usize>, Kind)> {
    let starts = CIPHERS.iter().flat_map(|cipher| lower.match_indices(cipher));
    let found = starts.filter_map(|(start, cipher)| {
        let behind = lower.get(start.saturating_add(cipher.len())..)?;
        let secret = COLONS.iter().find_map(|colon| behind.strip_prefix(colon))?;
        let length = encoded(secret);
        let end = lower.len().saturating_sub(secret.len()).saturating_add(length);
        (length > 0).then_some((start..end, Kind::Key))
    });
    found.min_by_key(|(place, _)| place.start)
}

/// The `key` of an invitation that has lost its beginning.
fn field(word: &str, lower: &str) -> Option<(Range<usize>, Kind)> {
    const FIELD: &str = "key=";
    lower.match_indices(FIELD).find_map(|(start, _)| {
        let start = start.saturating_add(FIELD.len());
        let value = word.get(start..)?;
        let value = value.get(..encoded(value))?;
        is_random(value).then(|| (start..start.saturating_add(value.len()), Kind::Key))
    })
}

/// A key without anything before it, or what is left of one.
fn run(word: &str) -> Option<(Range<usize>, Kind)> {
    let mut start = 0_usize;
    while let Some(rest) = word.get(start..).filter(|rest| !rest.is_empty()) {
        let length = encoded(rest);
        let (whole, end) = (rest.get(..length)?, start.saturating_add(length));
        let secret = whole.trim_end_matches("%3D").trim_end_matches("%3d").trim_end_matches('=');
        if secret.len() >= BARE_KEY && secret.len() < whole.len() {
            return Some((start..end, Kind::Key));
        }
        if is_random(whole) {
            return Some((start..end, Kind::Fragment));
        }
        let next = rest.get(length..)?.chars().next().map_or(1, char::len_utf8);
        start = end.saturating_add(next);
    }
    None
}

/// Whether a run of characters, slashes included, is too long and too mixed for words and paths.
///
/// Of 400,000 random keys and parts of 32 characters or more, simulated, it misses at most 2 in 10,000,
/// and of whole keys fewer than 1 in 100,000.
fn is_random(run: &str) -> bool {
    run.len() > LONGEST_WORD && run.as_bytes().windows(WINDOW.min(run.len())).any(is_mixed)
}

/// Random base64 has 41 % capital letters, 41 % small ones and 16 % digits; paths have far fewer capitals
/// and digits.
fn is_mixed(window: &[u8]) -> bool {
    let count = |what: fn(&u8) -> bool| window.iter().filter(|byte| what(byte)).count();
    let capital = count(u8::is_ascii_uppercase);
    let digits = count(u8::is_ascii_digit);
    let is_at_least = |count: usize, part: usize| count.saturating_mul(part) >= window.len();
    let has_digits = capital > 0 && digits > 0 && is_at_least(capital.saturating_add(digits), 4);
    is_at_least(count(u8::is_ascii_lowercase), 8) && (has_digits || is_at_least(capital, 3))
}

/// How many bytes at the beginning of a text can be base64, percent-encoded or not.
fn encoded(text: &str) -> usize {
    let is_encoded = |c: char| c.is_ascii_alphanumeric() || "+/=%".contains(c);
    text.find(|c| !is_encoded(c)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64ct::{Base64, Encoding};
    use proptest::prelude::*;

    const BARE: &str = "AAECAwQFBgcgISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==";
    const ENCODED: &str = "AAECAwQFBgcgISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0%2BPw%3D%3D";
    const LINE: &str = "ruroco://203.0.113.5:80?name=home&key=chacha20poly1305%3A";

    #[test]
    fn a_secret_is_not_shown_wherever_it_stands() {
        let invitation = format!("{LINE}{ENCODED}&command=open_ssh&wait=22");
        let without_scheme = format!("//203.0.113.5?key={ENCODED}&wait=22");
        for (secret, kind) in [
            (invitation.clone(), Kind::Invitation),
            (invitation.replace("//", "/"), Kind::Invitation),
            (invitation.to_uppercase().replace(&ENCODED.to_uppercase(), ENCODED), Kind::Invitation),
            (without_scheme, Kind::Key),
            (format!("chacha20poly1305:{BARE}"), Kind::Key),
            (format!("aes256gcmsiv:{BARE}"), Kind::Key),
            (BARE.to_owned(), Kind::Key),
            (format!("keys/{BARE}"), Kind::Key),
        ] {
            for text in [
                secret.clone(),
                format!("`{secret}` is no name"),
                format!("Error: could not open '{secret}': not found"),
                format!("--key={secret}"),
                format!("first\nsecond \"{secret}\"\nthird"),
                format!("ä{secret} {secret}"),
            ] {
                let shown = redacted(&text);
                assert!(shown.contains(INSTEAD) && !shown.contains("ISIjJCUm"), "{text}: {shown}");
                assert_eq!(secret_in(&text), Some(kind), "{text}");
            }
        }
        let shown =
            redacted("could not open 'ruroco://203.0.113.5?name=a&key=b': not found").into_owned();
        assert_eq!(shown, "could not open '[secret]': not found");
    }

    #[test]
    fn a_part_of_a_key_is_not_shown() {
        for part in [&BARE[..54], &BARE[..40], &BARE[10..50]] {
            let text = format!("there is no host {part}; see");
            assert_eq!(redacted(&text), "there is no host [secret]; see");
            assert_eq!(secret_in(part), None, "it may be a name");
        }
    }

    #[test]
    fn everything_else_is_shown() {
        for text in [
            "",
            "Error: begins with `ruroco://`, as `ruroco-gate` shows it",
            "`chacha20poly1305:` followed by 56 characters of standard base64",
            "added host home (203.0.113.5:80) and its key, chacha20poly1305 0001020304050607",
            "/home/Alice2/Documents/jobs/servers/production/eu/central/machines/keys/home.key",
            "/nix/store/7rjjpl2sqkbzpqmb8vdvy3yk5z0fmwbx-ruroco/bin/ruroco-client",
            "key=/home/alice/keys/servers/production/eu",
            "--key=keys/servers/production/europe/web1.key",
            "--key=thelaptopofaliceinthesecondflooroffice",
            "/Users/JohnDoe2/Library/Application/Support/ruroco/keys/home.key",
            "command open_ssh (hash 0123456789abcdef)",
        ] {
            assert_eq!(redacted(text), text);
            assert_eq!(secret_in(text), None, "{text}");
        }
    }

    #[test]
    fn no_piece_of_a_random_key_is_shown_however_much_of_it_is_pasted() {
        use proptest::test_runner::TestRunner;
        let keys = proptest::array::uniform::<_, 40>(any::<u8>());
        let mut runner = TestRunner::deterministic();
        runner
            .run(&(keys, 53..=56_usize), |(key, length)| {
                let key = Base64::encode_string(&key);
                let pasted = &key[..length];
                for text in [
                    format!("there is no host {pasted}; see"),
                    format!("there is no host keys/servers/production/europe/{pasted}; see"),
                ] {
                    let shown = redacted(&text);
                    let is_shown = key
                        .as_bytes()
                        .windows(6)
                        .any(|piece| shown.contains(str::from_utf8(piece).unwrap()));
                    prop_assert!(!is_shown, "{pasted}: {shown}");
                }
                Ok(())
            })
            .unwrap();
    }

    proptest! {
        #[test]
        fn no_text_breaks_it_and_what_is_redacted_stays_so(text in ".*", before in ".{0,5}", after in ".{0,5}") {
            let once = redacted(&text).into_owned();
            prop_assert_eq!(&redacted(&once), &once);
            let around = format!("{before} chacha20poly1305:{BARE} {after}");
            prop_assert!(!redacted(&around).contains("ISIjJCUm"));
        }
    }
}
